#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A detach, a drain and an end of the daemon while a snapshot is being made, at each of its steps: they wait for it, or leave it to
# the next daemon. What was written is there afterwards, also what was written meanwhile; the snapshot is
# a layer as it was at one moment, or there is none.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

faults=$OVBD_BUILD/tests/kernel/ovbdd_faults
[ -x "$faults" ] || skip "ovbdd_faults was not built"
steps="snapshot-made snapshot-named snapshot-switched snapshot-sealed"

random 1048576 base
"$ovbd" convert -q base base.ovbd
cp base model
"$ovbd" create 1M rw.data
echo '{"lowers": [{"file": "base.ovbd"}], "upper": {"file": "rw.data"}}' >rw.json

attach() {
	"$ovbd" attach -q -t "$1" --id rw --path "$tmp/rw.$1" --rw rw.json
}

# put PLACE LENGTH: random bytes into the device, and into the model
put() {
	head -c "$2" /dev/urandom >piece
	for to in model rw.fuse; do
		dd if=piece of=$to bs="$2" seek="$1" oflag=seek_bytes conv=notrunc,fsync status=none || fail "dd $to"
	done
}

nlayers() {
	grep -o '"file": *"[^"]*"' rw.json | wc -l
}

# snap STEP: begins to make a snapshot, which waits at the step; what is written before and what is written then are known
snap() {
	rm -f go
	stop_daemon TERM
	ovbdd=$faults
	OVBD_FAULT_WAIT=$1 OVBD_FAULT_GO=$tmp/go start_daemon
	ovbdd=$OVBD_BUILD/daemon/ovbdd
	before=$(nlayers)
	put 4096 70000
	cp model before.model
	"$ovbd" snapshot create rw >said 2>&1 &
	snapper=$!
	wait_for said "fault point $1: waits"
	put 500000 5000
}

# made STATUS WHAT: the snapshot's verb ended so ("any": if it could not be told, it may have been made); then all that was written is there, and the layers are whole
made() {
	s=0
	wait $snapper || s=$?
	[ "$1" = any ] || [ $s = "$1" ] || fail "$2: the snapshot ended with $s: $(cat said)"
	cmp rw.fuse model || fail "$2: something else is there"
	now=$(nlayers)
	[ "$now" = "$before" ] || [ "$now" = $((before + 1)) ] || fail "$2: $(cat rw.json)"
	[ $s != 0 ] || [ "$now" = $((before + 1)) ] || fail "$2: there is no layer more"
	[ $s != 0 ] || ! grep -q sealing rw.json || fail "$2: $(cat rw.json)"
	ok "$2"
}

# is_snapshot WRITTEN: the topmost layer and those beneath are what was there before the snapshot was asked for, with what was
# written while it waited (1) or without that (0)
is_snapshot() {
	python3 - >lowers.json <<-'END'
		import json
		print(json.dumps({"lowers": json.load(open("rw.json"))["lowers"]}))
	END
	"$ovbd" convert -q -O raw --force lowers.json got
	want=before.model
	[ "$1" = 0 ] || want=model
	cmp got $want || fail "the snapshot is not what was there"
	"$ovbd" check -q lowers.json || fail "the layers are damaged"
}

start_daemon
attach fuse >/dev/null
for step in $steps; do
	written=1 # before the switch what is written is in the snapshot
	case $step in snapshot-switched | snapshot-sealed) written=0 ;; esac

	snap "$step"
	"$ovbd" detach rw &
	other=$!
	wait_for not test -e rw.fuse
	kill -0 $other || fail "detached beside a snapshot"
	: >go
	wait $other || fail "$step: detach ended with $?"
	attach fuse >/dev/null
	made 0 "a detach at $step"
	is_snapshot $written

	snap "$step"
	exec 5<rw.fuse
	"$ovbd" detach --lazy rw
	dd bs=4096 count=1 status=none <&5 | cmp -n 4096 - model || fail "$step: its user is not served"
	: >go
	exec 5<&-
	wait_for not "$ovbd" status rw >/dev/null 2>&1
	attach fuse >/dev/null
	made 0 "a lazy detach at $step"
	is_snapshot $written

	snap "$step"
	"$ovbd" drain &
	other=$!
	wait_for not test -e rw.fuse
	: >go
	wait $other || fail "$step: drain ended with $?"
	attach fuse >/dev/null
	made 0 "a drain at $step"
	is_snapshot $written

	snap "$step"
	kill -TERM "$daemon"
	wait_for not test -e "$OVBD_SOCKET"
	: >go
	s=0
	wait "$daemon" || s=$?
	[ $s = 0 ] || fail "$step: ovbdd ended with $s"
	start_daemon
	made any "an end at $step, which waits"
	[ "$(nlayers)" = "$before" ] || is_snapshot $written

	snap "$step" # and one that takes too long to be waited for
	stop_daemon TERM
	start_daemon
	made 69 "an end at $step, which does not wait"
	[ "$(nlayers)" = "$before" ] || is_snapshot $written
done
