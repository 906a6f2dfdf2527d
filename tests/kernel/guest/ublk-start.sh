#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ublk-lib.sh

# A server killed after MS milliseconds of its start, whatever it has done by then.
killed_after() {
	ublk_server -w -r -i 3 -j 2 /image >/tmp/disk 2>>"$log" &
	server=$!
	usleep "$1"000
	dies
}

# dies: the server is killed, and ends: nothing that it does in the kernel may keep it.
dies() {
	kill -KILL $server 2>/dev/null || : # it may have ended in order
	wait_for not kill -0 $server 2>/dev/null
	wait $server 2>/dev/null || :
}

# back WHEN: the next server has the disk, and all that is on it, within 5 s
back() {
	started=$(now_ms)
	serve -w -r -i 3 -j 2 /image
	took=$(($(now_ms) - started))
	[ $took -le $longest ] || longest=$took
	[ "$disk" = /dev/ublkb3 ] || fail "$1: $disk"
	[ $took -le 5000 ] || fail "$1: it took $took ms to come back"
	dd if="$disk" bs=64k iflag=direct 2>/dev/null | cmp - /image || fail "$1: it differs"
}

# Killed while the disk is started, then while it is taken over; each twice.
read -r end step </milliseconds
ms=0 rounds=0 longest=0
while [ $ms -lt "$end" ]; do
	for again in 0 3 7 $ms; do
		killed_after $((ms + again))
	done
	back "killed $ms ms after its start"
	# and while it ends: with something for its disk in the kernel's cache, which somebody has open
	rm -f /tmp/dirty
	{ dd if=/image bs=64k count=8 >&3 && : >/tmp/dirty && exec sleep 1000; } 3<>"$disk" 2>/dev/null &
	user=$!
	wait_for test -e /tmp/dirty
	kill -TERM $server
	usleep $((ms / 2))000
	dies
	kill -KILL $user
	back "killed $((ms / 2)) ms into its end"
	wait $user 2>/dev/null || :
	kill -TERM $server
	ended 0
	rounds=$((rounds + 1))
	ms=$((ms + step))
done
ok "$rounds rounds of deaths at the start and at the end: the disk was back in $longest ms at most"

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
