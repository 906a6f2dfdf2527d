#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh

: >/tmp/tested
dead() {
	! kill -0 "$daemon" 2>/dev/null
}

# faulty HOW POINT: from now on a daemon that will die there (POINT) or be asked to end (END)
faulty() {
	point="$2, $1, $transport"
	echo "$(now_ms) $point"
	echo "$2" >>/tmp/tested
	unset OVBD_FAULT_POINT OVBD_FAULT_END
	export "OVBD_FAULT_$1=$2"
	ovbdd=ovbdd_faults
}

# good: after the end of the faulty one, the next
good() {
	unset OVBD_FAULT_POINT OVBD_FAULT_END
	ovbdd=ovbdd
	wait_for dead
	wait "$daemon" 2>/dev/null || :
	start_daemon
	no_orphans
}

is_settled() {
	! ovbd list -q | grep -qvE '^[^ ]+ +(serving|failed) '
}

# whose_disks: the ids of the disks that are in the kernel
whose_disks() {
	for backend in /sys/block/nbd*/backend; do
		[ ! -e "$backend" ] || sed 's/.*://' "$backend"
	done
	for disk in /sys/kernel/config/target/core/user_*/*/control; do
		[ ! -e "$disk" ] || basename "${disk%/control}"
	done
}

# no_orphans: each disk is of a device that ovbdd has
no_orphans() {
	wait_for is_settled
	for id in $(whose_disks); do
		ovbd list -q | grep -q "^$id " || fail "$point: nobody's disk: $id"
	done
}

nothing_left() {
	[ -z "$(ovbd list -q)" ] || fail "$point: left: $(ovbd list -q)"
	[ -z "$(whose_disks)" ] || fail "$point: a disk is left: $(whose_disks)"
	[ -z "$(ls /run/ovbd/devices)" ] || fail "$point: left: $(ls /run/ovbd/devices)"
	[ "$(pidof ovbdd-helper | wc -w)" -le 1 ] || fail "$point: a helper is left"
}

attached_well() {
	ovbd attach -t "$transport" --id own /image.ovbd >/tmp/own 2>&1 || fail "$point: $(cat /tmp/own)"
	cmp "$(cat /tmp/own)" /image || fail "$point: the disk differs"
}

# detached_well: whether it is there or not
detached_well() {
	ovbd detach own 2>/tmp/why || grep -q 'none of this id' /tmp/why || fail "$point: $(cat /tmp/why)"
	nothing_left
}

# while_attaching HOW POINT
while_attaching() {
	faulty "$1" "$2"
	start_daemon
	ovbd attach -t "$transport" --id own /image.ovbd >/tmp/own 2>&1 && fail "$point: attached by a dead daemon"
	good
	attached_well
	detached_well
	kill_daemon KILL
}

# while_detaching HOW POINT OPTION...
while_detaching() {
	faulty "$1" "$2"
	shift 2
	start_daemon
	attached_well
	ovbd detach "$@" own >/tmp/why 2>&1 || :
	good
	detached_well
	kill_daemon KILL
}

# while_used HOW POINT OPTION...: with a user
while_used() {
	faulty "$1" "$2"
	shift 2
	start_daemon
	attached_well
	exec 4<"$(cat /tmp/own)"
	ovbd detach "$@" own >/tmp/why 2>&1 || :
	exec 4<&-
	good
	detached_well
	kill_daemon KILL
}

# while_recovering HOW POINT
while_recovering() {
	ovbdd=ovbdd
	start_daemon
	attached_well
	kill_daemon KILL
	faulty "$1" "$2"
	$ovbdd >>"$log" 2>&1 &
	daemon=$!
	good
	[ -n "$(ovbd list -q)" ] || fail "$point: it is gone"
	cmp "$(cat /tmp/own)" /image || fail "$point: the disk differs"
	detached_well
	kill_daemon KILL
}

transport=tcmu
for p in make-written make-opened; do
	while_attaching END $p
done
transport=nbd
for how in POINT END; do
	for p in make-written make-noted nbd-connected make-opened; do
		while_attaching $how $p
	done
	while_detaching $how device-ending
done
while_recovering POINT nbd-reconnected
for p in nbd-held nbd-leaving nbd-released nbd-closed; do
	while_detaching POINT $p
	while_used POINT $p --force
	while_used END $p --lazy
done
while_detaching POINT unmake-forgotten

# The state files are lost: what nobody uses goes, what somebody uses can be attached again.
transport=nbd point="lost files"
start_daemon
ovbd attach -t nbd --id unused /image.ovbd >/tmp/unused
attached_well
exec 4<"$(cat /tmp/own)"
sleep 600 &
user=$!
exec 4<&-
kill_daemon KILL
rm /run/ovbd/devices/*.json
start_daemon
[ "$(whose_disks)" = own ] || fail "$point: there are: $(whose_disks)"
grep -q "device unused: has no state file; $(cat /tmp/unused), which was left" $log || fail "$point: not told"
grep -q "device own: has no state file, but $(cat /tmp/own) is left of it, in use by process" $log ||
	fail "$point: not told of what is used"
used=$(cat /tmp/own)
attached_well
[ "$(cat /tmp/own)" = "$used" ] || fail "$point: another disk"
kill $user
wait $user || :
detached_well
kill_daemon KILL

while read -r point; do
	grep -qx "$point" /tmp/tested || fail "$point is not tested"
done </points
! dmesg | grep -E 'WARNING|BUG:|blocked for more' || fail "the kernel complains"
ok "$(sort -u /tmp/tested | wc -l) places to die and to end at"
