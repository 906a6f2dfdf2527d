#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /snapshotter.sh

: >/tmp/tested
dead() {
	! kill -0 "$daemon" 2>/dev/null
}

# faulty POINT: a daemon that will die there
faulty() {
	point=$1
	echo "$point" >>/tmp/tested
	export OVBD_FAULT_POINT="$point"
	ovbdd=ovbdd_faults
	start_daemon
}

# good: after the death of the faulty one, the next, and $started
good() {
	unset OVBD_FAULT_POINT
	ovbdd=ovbdd
	wait_for dead
	wait "$daemon" 2>/dev/null || :
	started=$(now_ms)
	start_daemon
}

over() {
	! kill -0 "$1" 2>/dev/null
}

in_time() { # WHAT
	took=$(($(now_ms) - started))
	[ $took -le 5000 ] || fail "$point: $1 took $took ms after the restart"
	echo "$point: $1 after $took ms"
}

# goes_on PID WHAT: it has ended, within 5 s of the good daemon's start
goes_on() {
	wait_for over "$1"
	in_time "$2"
}

attach_in_background() { # ID
	rm -f "/tmp/attached.$1"
	snapshotter_prepare "$1" /image.ovbd
	(snapshotter_attach "$1" "$config" && touch "/tmp/attached.$1") &
	attacher=$!
}

attached_well() { # ID
	[ -e "/tmp/attached.$1" ] || fail "$point: attach: $(cat "/tmp/snapshotter.$1")"
	[ "$(cat "/var/snapshots/$1/block/init-debug.log")" = success ] || fail "$point: no success"
	cmp "$(cat "/var/snapshots/$1/block/backstore_mark")" /image || fail "$point: the disk differs"
}

start_daemon
kill_daemon KILL

for p in add-understood add-expected add-received add-begun ring-mapped add-opened add-told add-answering add-answered; do
	faulty $p
	attach_in_background 1
	good
	goes_on $attacher "the attach"
	attached_well 1
	snapshotter_detach 1
	kill_daemon KILL
done

start_daemon
for p in remove-received remove-understood remove-begun remove-closed remove-answering remove-answered; do
	attach_in_background 2
	wait $attacher || fail "attach: $(cat /tmp/snapshotter.2)"
	kill_daemon KILL
	faulty $p
	snapshotter_detach 2 &
	detacher=$!
	good
	goes_on $detacher "the detach"
	[ ! -e "$hba/dev_2" ] || fail "$point: the disk is left"
done

attach_in_background 3
wait $attacher || fail "attach: $(cat /tmp/snapshotter.3)"
for p in reconfig-received reconfig-begun reconfig-opened reconfig-answering reconfig-answered; do
	kill_daemon KILL
	faulty $p
	printf %s "$(stat -c %s /image)" 2>/dev/null >"$hba/dev_3/attrib/dev_size" &
	writer=$!
	good
	goes_on $writer "the change"
	printf %s "$(stat -c %s /image)" >"$hba/dev_3/attrib/dev_size" || fail "$point: the same size"
	if printf 4096 2>/dev/null >"$hba/dev_3/attrib/dev_size"; then fail "$point: another size"; fi
done

# With a disk that is read, one that is served, and one that is being made.
for p in listen-joined listen-blocked listen-reset listen-scanned listen-ready ring-blocked ring-reset; do
	kill_daemon KILL
	echo 3 >/proc/sys/vm/drop_caches
	dd if="$(cat /var/snapshots/3/block/backstore_mark)" of=/tmp/read bs=64k count=4 iflag=direct \
		2>/dev/null &
	reader=$!
	attach_in_background 4
	usleep 300000
	point=$p
	echo $p >>/tmp/tested
	OVBD_FAULT_POINT=$p ovbdd_faults >>$log 2>&1 &
	daemon=$!
	good
	goes_on $reader "the reader"
	goes_on $attacher "the attach"
	attached_well 4
	head -c 262144 /image | cmp - /tmp/read || fail "$point: the reader"
	snapshotter_detach 4
done
snapshotter_detach 3

for p in make-written make-noted make-begun make-configured make-enabled ring-mapped make-opened link-begun \
	link-done link-named; do
	kill_daemon KILL
	faulty $p
	ovbd attach -t tcmu --id own /image.ovbd >/tmp/own 2>&1 && fail "$point: attached by a dead daemon"
	good
	ovbd attach -t tcmu --id own /image.ovbd >/tmp/own 2>&1 || fail "$point: $(cat /tmp/own)"
	in_time "the attach"
	cmp "$(cat /tmp/own)" /image || fail "$point: the disk differs"
	ovbd detach own
done

for p in unlink-begun unlink-done unmake-done unmake-forgotten; do
	ovbd attach -t tcmu --id own /image.ovbd >/tmp/own
	kill_daemon KILL
	faulty $p
	ovbd detach own 2>/tmp/why && fail "$point: detached by a dead daemon"
	good
	ovbd detach own 2>/tmp/why || grep -q 'none of this id' /tmp/why || fail "$point: $(cat /tmp/why)"
	in_time "the detach"
	set -- $target/loopback/naa.* $target/core/user_*/own
	for left; do
		[ ! -e "$left" ] || fail "$point: left: $left"
	done
done

# Who takes what the kernel says hangs: the watchdog is told, and the next daemon goes on.
kill_daemon KILL
export WATCHDOG_USEC=1000000 OVBD_FAULT_HANG=add-received
ovbdd=ovbdd_faults
start_daemon
point="a listener that hangs"
attach_in_background 5
wait_for grep -q "questions about TCMU disks are not answered" $log
unset WATCHDOG_USEC OVBD_FAULT_HANG
kill_daemon KILL
good
goes_on $attacher "the attach"
attached_well 5
snapshotter_detach 5

kill_daemon KILL
while read -r point; do
	grep -qx "$point" /tmp/tested || fail "$point is not tested"
done </points
set -- /sys/class/uio/uio*
[ ! -e "$1" ] || fail "uio devices are left: $*"
! dmesg | grep -E 'WARNING|BUG:|blocked for more|I/O error' || fail "the kernel complains"
ok "$(sort -u /tmp/tested | wc -l) places to die at"
