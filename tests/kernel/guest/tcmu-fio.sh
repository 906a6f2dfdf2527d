#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /fio-verify.sh
. /snapshotter.sh

# both SECONDS: fio on both disks; $pids
both() {
	rm -f /tmp/*.ok
	(fio_verify "$writable" "$1" && touch /tmp/writer.ok) >/tmp/writer.said 2>&1 &
	pids=$!
	(fio_read "/dev/$disk" "$1" && touch /tmp/reader.ok) >/tmp/reader.said 2>&1 &
	pids="$pids $!"
}

running() {
	for pid in $pids; do
		! kill -0 "$pid" 2>/dev/null || return 0
	done
	return 1
}

both_well() {
	[ -e /tmp/writer.ok ] || fail "the writer: $(cat /tmp/writer.said)"
	[ -e /tmp/reader.ok ] || fail "the reader: $(cat /tmp/reader.said)"
	ok "$1 times: $(cat /tmp/writer.said /tmp/reader.said)"
	! dmesg | grep -i 'I/O error\|aborting\|ring is broken' || fail "the kernel noticed"
}

read -r seconds </seconds
cp /bin/ovbdd /bin/ovbdd-new
truncate -s 32M /tmp/disk.raw
start_daemon
writable=$(ovbd attach -t tcmu --id w -f raw --rw /tmp/disk.raw)
snapshotter_prepare 1 /image.ovbd
snapshotter_attach 1 "$config" || fail "attach: $(cat /tmp/snapshotter.1)"

both "$seconds"
kills=0
while running; do
	sleep 1
	kill_daemon KILL
	kills=$((kills + 1))
	start_daemon
done
both_well "killed $kills"
[ $kills -ge 3 ] || fail "that is no test"

# An upgrade: asked to end, and another program started.
both 4
upgrades=0
while running; do
	sleep 2
	kill_daemon TERM
	if [ $((upgrades % 2)) = 0 ]; then ovbdd="ovbdd-new"; else ovbdd=ovbdd; fi
	start_daemon
	upgrades=$((upgrades + 1))
done
both_well "upgraded $upgrades"
ovbd detach w
snapshotter_detach 1
