#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /snapshotter.sh

read -r rounds ndisks </numbers
start_daemon

# --- the images, and every file in them
id=1
for fs in ext4 erofs; do
	snapshotter_prepare "$id" /$fs.ovbd
	snapshotter_attach "$id" "$config" || fail "attach: $(cat /tmp/snapshotter."$id")"
	[ "$(cat "$snapshot/block/init-debug.log")" = success ] || fail "no success in the result file"
	cmp "/dev/$disk" /$fs || fail "the disk differs"
	options=ro,discard
	[ $fs = ext4 ] || options=ro
	mount -t $fs -o $options "/dev/$disk" "$snapshot/block/mountpoint"
	check_tree "$snapshot/block/mountpoint"
	umount "$snapshot/block/mountpoint"
	snapshotter_detach "$id" || fail "detach"
	ok "$fs attached, mounted, detached"
	id=$((id + 1))
done

# --- again and again
# What a daemon may leak: descriptors, threads, private memory in KiB, mapped rings, netlink sockets.
anonymous() {
	awk '$1 == "RssAnon:" { print $2 }' "/proc/$daemon/status"
}
held() {
	set -- "/proc/$daemon/fd/"* "/proc/$daemon/task/"*
	echo "$# $(grep -c uio "/proc/$daemon/maps") $(wc -l </proc/net/netlink)"
}
settled() {
	[ "$(held)" = "$before" ]
}
one_round() {
	snapshotter_attach 7 "$config" || fail "round $1: $(cat /tmp/snapshotter.7)"
	snapshotter_detach 7 || fail "round $1: detach"
}

snapshotter_prepare 7 /ext4.ovbd
before=$(held)
for n in 1 2 3 4 5; do one_round $n; done
wait_for settled
memory=$(anonymous)
n=0
while [ $n -lt "$rounds" ]; do
	n=$((n + 1))
	one_round $n
done
wait_for settled
grown=$(($(anonymous) - memory))
[ $grown -lt 512 ] || fail "$rounds rounds: $grown KiB more memory"
set -- /sys/class/uio/uio*
[ ! -e "$1" ] || fail "uio devices are left: $*"
ok "$rounds rounds: the same descriptors, threads, rings and sockets; $grown KiB more memory"

# --- many at a time, from a registry that takes its time
digest=sha256:$(sha256sum /ext4.ovbd | cut -d' ' -f1)
prepare_remote() { # ID MS
	snapshotter_prepare "$1"
	printf '{"repoBlobUrl":"http://127.0.0.1:8000/%s/%s/blobs","lowers":[{"digest":"%s","size":%s,"dir":"%s"}],"upper":{},"resultFile":"%s"}' \
		"$2" "$1" "$digest" "$(stat -c %s /ext4.ovbd)" "$snapshot/fs" \
		"$snapshot/block/init-debug.log" >"$config"
}

attach_one() { # ID
	id=$1
	snapshotter_make "$id" "/var/snapshots/$id/block/config.v1.json"
	: >"/tmp/made.$id"
	read -r _ </tmp/go || : # which is a fifo: until it is opened for writing
	snapshotter_enable "$id" || return
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}0" >"/tmp/enabled.$id"
	snapshotter_link "$id"
}

all_made() {
	set -- /tmp/made.*
	[ $# = "$ndisks" ]
}

# attach_all MS FIRST: $ndisks at a time, from a server that takes MS milliseconds. $enabled: after
# how many milliseconds the last "enable" was answered; $took: the last attach was complete
attach_all() {
	rm -f /tmp/made.*
	n=0 pids=
	while [ $n -lt "$ndisks" ]; do
		prepare_remote $(($2 + n)) "$1"
		attach_one $(($2 + n)) &
		pids="$pids $!"
		n=$((n + 1))
	done
	wait_for all_made
	sleep 1
	started=$(now_ms)
	: >/tmp/go
	n=0
	for pid in $pids; do
		wait "$pid" || fail "disk $n: $(cat "/tmp/snapshotter.$(($2 + n))")"
		n=$((n + 1))
	done
	took=$(($(now_ms) - started)) enabled=0
	n=$2
	while [ "$n" -lt $(($2 + ndisks)) ]; do
		cmp "/var/snapshots/$n/block/init-debug.log" /success || fail "disk $n"
		[ $(($(cat "/tmp/enabled.$n") - started)) -lt $enabled ] ||
			enabled=$(($(cat "/tmp/enabled.$n") - started))
		snapshotter_detach "$n" || fail "disk $n: detach"
		n=$((n + 1))
	done
}

printf success >/success
slow_server 8000 /ext4.ovbd >/tmp/server &
wait_for grep -q ready /tmp/server
mkfifo /tmp/go
attach_all 0 100
echo "$ndisks at a time, from a server that answers at once: enabled in $enabled ms, attached in $took ms"
at_once=$enabled
attach_all 2000 1000
echo "$ndisks at a time, from a server that takes 2000 ms: enabled in $enabled ms, attached in $took ms"
[ $((enabled - at_once)) -le 2500 ] || fail "the server's time is paid more than once"
wait_for settled
ok "$ndisks disks at a time"
! dmesg | grep -E 'I/O error|WARNING|BUG:|blocked for more|tcmu nl cmd' || fail "the kernel complains"
