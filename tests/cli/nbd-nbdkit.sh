#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# nbdkit's client: its nbd plugin reads and writes our export, and others read and write through it.
. "${OVBD_SOURCE:?}/tests/lib/nbd.sh"

command -v nbdkit >/dev/null || skip "nbdkit is not installed"
head -c 6000000 /dev/urandom >disk
truncate -s 32M disk
"$ovbd" convert -q disk layer.ovbd

# through ARGUMENT...: nbdkit before our server, at nk.sock; $nbdkit is its process
through() {
	rm -f nk.sock
	nbdkit -f -U "$tmp/nk.sock" nbd socket="$tmp/disk.sock" "$@" 2>nbdkit.log &
	nbdkit=$!
	pids="$pids $nbdkit"
	wait_for test -S nk.sock
}
nk="nbd+unix:///?socket=$tmp/nk.sock"

serve_nbd layer.ovbd
through
[ "$(nbdinfo --size "$nk")" = 33554432 ] || fail "size: $(cat nbdkit.log)"
nbdinfo "$nk" | grep -q "is_read_only: true" || fail "not read-only"
{ nbdcopy "$nk" copy && cmp copy disk; } || fail "nbdcopy: $(cat nbdkit.log)"
qemu-img compare -q "$nk" disk || fail "qemu-img compare: $(cat nbdkit.log)"
# holes come through both
nbdinfo --map --totals "$nk" | grep -q "hole,zero" || fail "no holes: $(nbdinfo --map --totals "$nk")"
kill "$nbdkit"
wait_for not is_running "$nbdkit"
kill "$server"
ended 0
ok "reading"

serve_nbd --rw disk
through shared=true
head -c 32M /dev/urandom >want
nbdcopy --connections=4 want "$nk" || fail "nbdcopy: $(cat nbdkit.log)"
cmp want disk || fail "what was written"
qemu-io -f raw -c "write -z 1M 1M" -c "discard 4M 1M" -c "write -f -P 7 8M 64k" -c flush "$nk" >io ||
	fail "$(cat io nbdkit.log)"
grep -qiE "failed|error" io && fail "$(cat io)"
qemu-io -f raw -r -c "read -P 0 1M 1M" -c "read -P 0 4M 1M" -c "read -P 7 8M 64k" disk >io
grep -qiE "failed|error" io && fail "the file: $(cat io)"
kill "$nbdkit"
wait_for not is_running "$nbdkit"
kill "$server"
ended 0
ok "writing"
