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

merged() {
	ovbd info /dev/vdc | awk '$1 == "merge:" { print $2 }'
}

start_daemon
store=$(ovbd attach -t "$transport" --id store --update dm-snapshot /dev/vda /dev/vdc)
dmsetup create -r new --table "0 $sectors snapshot /dev/vda $store P 8"
same "read-only" /dev/mapper/new
dmsetup remove new
ovbd detach store

store=$(ovbd attach -t "$transport" --id store --update dm-snapshot --rw /dev/vda /dev/vdc)
dmsetup create new --table "0 $sectors snapshot /dev/vda $store P 8"
some_pieces /dev/mapper/new
# As Android does: the table of the snapshot becomes that of its merge.
dmsetup load new --table "0 $sectors snapshot-merge /dev/vda $store P 8"
dmsetup suspend new
dmsetup resume new
kills=0
last=$(left)
while [ "$(left)" -gt 0 ]; do
	[ $kills -ge 3 ] || [ "$(left)" = "$last" ] || {
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
dmsetup status new | grep -qv Invalid || fail "$(dmsetup status new)"
some_pieces /dev/mapper/new
dmsetup remove new
same "merged" /dev/vda
ovbd detach store
[ "$(merged)" = "$(cat /nops)" ] || fail "counted $(merged) of $(cat /nops): $(ovbd info /dev/vdc)"
! dmesg | grep -E 'I/O error|BUG:|WARNING:|Invalidating' || fail "the kernel noticed"
kill_daemon TERM
