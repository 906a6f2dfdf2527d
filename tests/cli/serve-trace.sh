#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is read of a served image is recorded, each page once, in order.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

random 1048576 raw
random 4096 new
cp raw changed
dd if=new of=changed bs=4096 seek=10 conv=notrunc status=none
"$ovbd" convert -q -f raw raw base.ovbd
"$ovbd" convert -q -f raw -B base.ovbd changed delta.ovbd

serve file --record-trace start.trace base.ovbd delta.ovbd
dd if=file of=/dev/null bs=4096 skip=10 count=1 iflag=direct status=none
dd if=file of=/dev/null bs=4096 skip=100 count=1 iflag=direct status=none
dd if=file of=/dev/null bs=4096 skip=100 count=1 iflag=direct status=none
kill -USR1 "$server"
wait_for test -s start.trace
cp start.trace early.trace
dd if=file of=/dev/null bs=4096 skip=50 count=1 iflag=direct status=none
kill "$server"
ended 0
said "start.trace: " || fail "$(cat "$log")"

ranges() {
	"$ovbd" trace show "$1" | tail -n +3 | awk '{ print $1 ":" $2 ":" $3 }'
}
# the data begin behind a header of 4096 bytes: block 10 of the device is in the upper layer
ranges early.trace >early
ranges start.trace >late
head -n "$(wc -l <early)" late | cmp - early || fail "what was read first comes first"
tail -n 2 early | tr '\n' ' ' | grep -qx "1:4096:4096 0:413696:4096 " || fail "$(cat early)"
[ "$(tail -n 1 late)" = 0:208896:4096 ] || fail "$(cat late)"
[ "$(sort late | uniq -d | wc -l)" = 0 ] || fail "twice: $(cat late)"
ok "recorded"

expect 2 "--record-trace and --rw exclude each other" "$ovbd" serve --fuse file --rw --record-trace t raw
s=0
"$ovbd" serve --fuse file --record-trace nowhere/t --run true base.ovbd 2>log || s=$?
[ $s = 1 ] || fail "$s: $(cat log)"
grep -q "nowhere/t: cannot create a file in nowhere" log || fail "$(cat log)"
ok "what cannot be written is told"
