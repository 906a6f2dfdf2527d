#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A raw file that NBD clients write: all kinds of writes, and what may not be written.
. "${OVBD_SOURCE:?}/tests/lib/nbd.sh"

truncate -s 16M disk
head -c 16M /dev/urandom >want

serve_nbd --rw disk
nbdinfo "$uri" | grep -q "is_read_only: false" || fail "read-only"
nbdcopy --flush want "$uri" || fail "nbdcopy"
cmp want disk || fail "nbdcopy wrote something else"
ok "nbdcopy"

qemu-io -f raw -c "write -P 7 -f 4096 65536" -c "write -P 8 1000 500" -c "discard 1M 1M" \
	-c "write -z 2M 64k" -c "write -z -u 3M 1M" -c "write -P 9 -f 5M 3M" -c flush \
	-c "read -P 7 4096 65536" -c "read -P 8 1000 500" -c "read -P 0 2M 64k" -c "read -P 0 3M 1M" \
	"$uri" >io || fail "qemu-io: $(cat io)"
grep -qiE "failed|error" io && fail "qemu-io: $(cat io)"
qemu-io -f raw -c "read -P 7 4096 65536" -c "read -P 0 3M 1M" -c "read -P 9 5M 3M" disk >io
grep -qiE "failed|error" io && fail "the file: $(cat io)"
cmp -n 1000 want disk || fail "before what was written"
cmp -i 8M want disk || fail "behind what was written"
qemu-img map --output=json "$uri" | grep -q '"start": 3145728, "length": 1048576.*"zero": true' ||
	fail "no hole: $(qemu-img map --output=json "$uri")"
ok "all kinds of writes"

# Two writers at once, each in its own half.
head -c 16M /dev/urandom >want
qemu-img convert -n -O raw --target-is-zero want "$uri" 2>/dev/null || nbdcopy want "$uri"
cmp want disk || fail "qemu-img convert"
kill "$server"
ended 0
cmp want disk || fail "after the end"

# What -v tells.
# shellcheck disable=SC2016 # for the inner shell
"$ovbd" serve -v --nbd disk.sock --rw --run 'qemu-io -f raw -c "write 0 4k" -c flush "$OVBD_URI"' \
	disk >io 2>&1
grep -q "1 writes, 4 KiB" io || grep -q "writes, 4" io || fail "not told: $(cat io)"

"$ovbd" convert -q want layer.ovbd
sum=$(cksum <layer.ovbd)
expect 1 "-f raw takes it as raw" "$ovbd" serve --nbd disk.sock --rw layer.ovbd
[ "$(cksum <layer.ovbd)" = "$sum" ] || fail "the layer has changed"
expect 2 "--rw takes one SRC" "$ovbd" serve --nbd disk.sock --rw disk want
expect 2 "--export goes with --nbd" "$ovbd" serve --fuse file --export x disk
expect 2 "--allow-other goes with --fuse" "$ovbd" serve --nbd disk.sock --allow-other disk
expect 2 "exclude each other" "$ovbd" serve --nbd disk.sock --fuse file disk
