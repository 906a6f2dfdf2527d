#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /dev/vda: the base; vdb: what it shall become; vdc: the update, a COW. /how says by which transport.
. /ovbdd-lib.sh
export DM_DISABLE_UDEV=1

read -r transport </how
sectors=$(blockdev --getsz /dev/vda)
began=$(date +%s)

# same WHAT DISK
same() {
	same_bytes "$2" /dev/vdb || fail "$1: wrong bytes"
	ok "$1: all bytes are right ($(($(date +%s) - began)) s)"
}

# some_pieces DISK: a few of them, anywhere
some_pieces() {
	for mib in 1 50 111 173 222 299 330; do
		same_bytes "$1" /dev/vdb $((mib << 20)) 262144 ||
			fail "wrong bytes while it is merged"
	done
}

# what is left to merge, in sectors
left() {
	dmsetup status new | sed 's/.* \([0-9]*\)\/[0-9]* \([0-9]*\)$/\1 \2/' | {
		read -r allocated metadata && echo $((allocated - metadata))
	}
}

is_merging() {
	dmsetup table new | grep -q snapshot-merge
}

merged() {
	ovbd info /dev/vdc | awk '$1 == "merge:" { print $2 }'
}

start_daemon
store=$(ovbd attach -t "$transport" --id store --update dm-snapshot /dev/vda /dev/vdc)
dmsetup create -r new --table "0 $sectors snapshot /dev/vda $store P 8"
same "read-only" /dev/mapper/new
dmsetup remove new
ovbd detach store

ovbd snapshot map new /dev/vda /dev/null 2>/tmp/why && fail "no COW, and mapped"
[ -z "$(ovbd list -q)" ] || fail "left after a failure: $(ovbd list)"
[ "$(ovbd snapshot map -t "$transport" new /dev/vda /dev/vdc)" = /dev/mapper/new ] || fail "map"
ovbd snapshot map -t "$transport" new /dev/vda /dev/vdc 2>/tmp/why && fail "mapped twice"
grep -q "there is a device new already" /tmp/why || fail "$(cat /tmp/why)"
some_pieces /dev/mapper/new
ovbd snapshot merge new >/tmp/merge 2>&1 &
merger=$!
wait_for is_merging
kills=0
last=$(left)
while [ $kills -lt 3 ] && is_merging; do
	[ "$(left)" = "$last" ] || {
		last=$(left)
		kill_daemon KILL
		kills=$((kills + 1))
		ok "killed with $last sectors left"
		start_daemon
		some_pieces /dev/mapper/new
	}
	sleep 1
done
[ $kills -ge 3 ] || fail "killed $kills times: that is no test"
wait $merger || fail "$(cat /tmp/merge)"
dmsetup table new | grep -q linear || fail "$(dmsetup table new)"
[ -z "$(ovbd list -q)" ] || fail "left after the merge: $(ovbd list)"
same "merged" /dev/mapper/new
ovbd snapshot unmap new
[ ! -e /dev/mapper/new ] || fail "unmapped, and there"
[ "$(merged)" = "$(cat /nops)" ] || fail "counted $(merged) of $(cat /nops): $(ovbd info /dev/vdc)"
! dmesg | grep -E 'I/O error|BUG:|WARNING:|Invalidating' || fail "the kernel noticed"
kill_daemon TERM
