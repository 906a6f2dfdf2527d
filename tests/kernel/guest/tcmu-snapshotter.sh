#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /snapshotter.sh
# as its unit has it: a busy host's turn order is not to decide when requests leave
ovbdd="nice -n -5 ovbdd"

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
# What the C library keeps for threads that meet grows now and then, by some; a leak grows always.
# So there must be ten rounds in a row without any growth, at the end, and soon enough.
memory=$(anonymous) last=0 n=0 same=0
while [ $n -lt "$rounds" ] || [ $same -lt 10 ]; do
	n=$((n + 1))
	[ $n -le $((rounds + 100)) ] || fail "$n rounds: $grown KiB more memory, and more each time"
	one_round $n
	grown=$(($(anonymous) - memory))
	if [ $grown = $last ]; then same=$((same + 1)); else same=0; fi
	last=$grown
done
wait_for settled
[ "$grown" -lt 8192 ] || fail "$n rounds: $grown KiB more memory"
set -- /sys/class/uio/uio*
[ ! -e "$1" ] || fail "uio devices are left: $*"
ok "$n rounds: the same descriptors, threads, rings and sockets; $grown KiB more memory"

# --- many at a time, from a registry that takes its time
digest=sha256:$(sha256sum /ext4.ovbd | cut -d' ' -f1)
prepare_remote() { # ID MS
	snapshotter_prepare "$1"
	printf '{"repoBlobUrl":"http://127.0.0.1:8000/%s/%s/blobs","lowers":[{"digest":"%s","size":%s,"dir":"%s"}],"upper":{},"resultFile":"%s"}' \
		"$2" "$1" "$digest" "$(stat -c %s /ext4.ovbd)" "$snapshot/fs" \
		"$snapshot/block/init-debug.log" >"$config"
}

# busy_ms PID: how much of a processor it has had
busy_ms() {
	awk '{ print 10 * ($14 + $15) }' "/proc/$1/stat"
}

# attach_all MS FIRST: $ndisks at a time, from a server that takes MS milliseconds. $enabled, $took:
# after how many milliseconds the last "enable" was answered, the last attach was complete
attach_all() {
	n=$2 disks=
	while [ "$n" -lt $(($2 + ndisks)) ]; do
		prepare_remote "$n" "$1"
		disks="$disks $n $config"
		n=$((n + 1))
	done
	used=$(busy_ms "$daemon")
	# shellcheck disable=SC2086 # several words
	snapshotter $disks >/tmp/took || fail "not all were attached"
	used=$(($(busy_ms "$daemon") - used))
	[ "$(wc -l </tmp/took)" = "$ndisks" ] || fail "attached: $(cat /tmp/took)"
	enabled=$(sort -n -k 3 /tmp/took | awk 'END { print $3 }')
	took=$(sort -n -k 4 /tmp/took | awk 'END { print $4 }')
	n=$2
	while [ "$n" -lt $(($2 + ndisks)) ]; do
		cmp "/var/snapshots/$n/block/init-debug.log" /success || fail "disk $n"
		snapshotter_detach "$n" || fail "disk $n: detach"
		n=$((n + 1))
	done
	echo "$ndisks at a time, from a server that takes $1 ms: enabled in $enabled ms, attached in $took ms," \
		"of which ovbdd computed $used ms"
}

printf success >/success
slow_server 8000 /ext4.ovbd >/tmp/server &
wait_for grep -qs ready /tmp/server
# The clock is that of one processor of 10^9 instructions a second; what there is to compute takes
# its time there: making the disks and scanning them, by the kernel and the snapshotter, and $used.
attach_all 0 100
at_once=$took
[ "$used" -le 200 ] || fail "ovbdd computes too much"
attach_all 2000 1000
[ "$used" -le 200 ] || fail "ovbdd computes too much"
[ $((took - at_once)) -le 2050 ] || fail "the server's time is paid more than once"
[ "$took" -le 2500 ] || fail "the server's 2 s became more than 2 s and 25 %"
wait_for settled
ok "$ndisks disks at a time"
! dmesg | grep -E 'I/O error|WARNING|BUG:|blocked for more|tcmu nl cmd' || fail "the kernel complains"
