#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ublk-lib.sh

# A server killed after MS milliseconds of its start, whatever it has done by then.
killed_after() {
	ublk_server -w -r -i 3 -j 2 /image >/tmp/disk 2>>"$log" &
	server=$!
	usleep "$1"000
	kill -KILL $server
	wait $server 2>/dev/null || :
}

# Killed while the disk is started, then while it is taken over; each twice.
read -r end step ends </milliseconds
ms=0 rounds=0
while [ $ms -lt "$end" ]; do
	for again in 0 3 7 $ms; do
		killed_after $((ms + again))
	done
	serve -w -r -i 3 -j 2 /image
	[ "$disk" = /dev/ublkb3 ] || fail "after $ms ms: $disk"
	dd if="$disk" bs=64k iflag=direct 2>/dev/null | cmp - /image || fail "after $ms ms: it differs"
	if [ "$ends" = yes ]; then
		kill -TERM $server
		usleep $ms"000"
		kill -KILL $server 2>/dev/null || : # while it ends
		wait $server 2>/dev/null || :
		serve -w -r -i 3 -j 2 /image
		[ "$disk" = /dev/ublkb3 ] || fail "$ms ms into its end: $disk"
		dd if="$disk" bs=64k iflag=direct 2>/dev/null | cmp - /image || fail "after an end: it differs"
	fi
	kill -TERM $server
	ended 0
	rounds=$((rounds + 1))
	ms=$((ms + step))
done
ok "$rounds rounds of deaths at the start (at the end too: $ends): the disk came back with its number"

cp /image /tmp/parted
# one partition, by the rules of the MBR
printf '\0\0\0\0\203\0\0\0\10\0\0\0\377\0\0\0' | dd of=/tmp/parted bs=1 seek=446 conv=notrunc 2>/dev/null
printf '\125\252' | dd of=/tmp/parted bs=1 seek=510 conv=notrunc 2>/dev/null
serve -w -i 4 /tmp/parted
not test -e /sys/block/ublkb4/ublkb4p1 || fail "the kernel looked for partitions"
kill -TERM $server
ended 0
dmesg | grep -E 'WARNING:|BUG:|blocked for more|I/O error' && fail "the kernel complains"
ok "the kernel does not look for partitions"
