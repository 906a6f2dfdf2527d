#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /grow names devices, by their transports (nbd, tcmu, and user_999999999.dev_1 of the snapshotter). Over /base.ovbd, an ext4
# of 16 MiB, each has a writable layer of another format.
. /ovbdd-lib.sh
. /snapshotter.sh
ln -s /proc/self/mounts /etc/mtab # what resize2fs looks at
mkdir /s
mount -t tmpfs none /s
MiB=1048576

# make ID FORMAT: an image with an empty writable layer
make() {
	mkdir "/s/$1"
	case $2 in
	rw) ovbd create 16M "/s/$1/data" && upper='"file": "data"' ;;
	append) ovbd create 16M "/s/$1/data" "/s/$1/index" && upper='"data": "data", "index": "index"' ;;
	sparse) ovbd create --sparse 16M "/s/$1/data" "/s/$1/index" && upper='"data": "data", "index": "index"' ;;
	esac
	echo "{\"lowers\": [{\"file\": \"/base.ovbd\"}], \"upper\": {$upper}}" >"/s/$1/config.json"
}

# disk_of ID
disk_of() {
	ovbd status "$1" | awk '$1 == "path" { print $2 }'
}

is_serving() {
	[ "$(ovbd status "$1" | awk '$1 == "state" { print $2 }')" = serving ]
}

# has ID MIB: the disk, and who is told of it
has() {
	[ "$(blockdev --getsize64 "$(disk_of "$1")")" = $(($2 * MiB)) ] ||
		fail "$1: the disk has $(blockdev --getsize64 "$(disk_of "$1")") bytes, not $2 MiB"
	ovbd status --output json "$1" | grep -q "\"size\": $(($2 * MiB))," || fail "$1: $(ovbd status "$1")"
}

# the file system has so many blocks of 1 KiB, or a few less
fs_has() {
	have=$(df -k "/mnt/$1" | awk 'NR == 2 { print $2 }')
	[ "$have" -gt $(($2 * 1024 * 8 / 10)) ] || fail "$1: a file system of $have KiB on $2 MiB"
}

# write ID: files, one after the other, each synced, until there is no /tmp/writing.ID
write() {
	n=0
	while [ -e "/tmp/writing.$1" ]; do
		n=$((n + 1))
		dd if=/dev/urandom of="/mnt/$1/w$((n % 20))" bs=16k count=2 conv=fsync 2>/dev/null || fail "$1: file $n"
		(cd "/mnt/$1" && sha256sum "w$((n % 20))") >"/s/$1/sum.$((n % 20))"
	done
	echo $n >"/s/$1/written"
}

begin() {
	: >"/tmp/writing.$1"
	write "$1" &
	echo $! >"/tmp/writer.$1"
	wait_for test -e "/s/$1/sum.3"
}

end() {
	rm "/tmp/writing.$1"
	wait "$(cat "/tmp/writer.$1")" || fail "$1: the writer"
}

# whole ID: what was written is there, after it was fetched anew from the disk
whole() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	cat "/s/$1"/sum.* >"/s/$1/sums"
	(cd "/mnt/$1" && sha256sum -c "/s/$1/sums" >/tmp/said) ||
		{ grep -v OK /tmp/said && fail "$1: files differ"; }
}

foreign=user_999999999.dev_1
all=$(cat /grow)
start_daemon
for id in $all; do
	case $id in
	nbd) make "$id" rw ;;
	tcmu) make "$id" append ;;
	*) make "$id" sparse ;;
	esac
	if [ "$id" = $foreign ]; then
		snapshotter_prepare 1 /base.ovbd
		sed "s|\"data\": \"data\", \"index\": \"index\"|\"data\": \"/s/$id/data\", \"index\": \"/s/$id/index\"|" \
			/s/"$id"/config.json >"$config"
		snapshotter_attach 1 "$config" || fail "attach: $(cat /tmp/snapshotter.1)"
	else
		ovbd attach -q -t "$id" --id "$id" --rw /s/"$id"/config.json >/dev/null
	fi
done
for id in $all; do
	has "$id" 16
	mkdir -p /mnt/"$id"
	mount -t ext4 "$(disk_of "$id")" /mnt/"$id"
done

mib=32
for id in $all; do
	begin "$id"
	ovbd resize --fs --id "$id" ${mib}M || fail "$id: not resized"
	has "$id" $mib
	fs_has "$id" $mib
	dd if=/dev/urandom of=/mnt/"$id"/large bs=1M count=12 conv=fsync 2>/dev/null || fail "$id: there is no more room"
	end "$id"
	(cd /mnt/"$id" && sha256sum large) >/s/"$id"/sum.large
	whole "$id"
	rm /mnt/"$id"/large /s/"$id"/sum.large # to read it takes long
done
ok "larger, with the file systems, while files are written"

# the kernel's word for a disk that others have made: who may say it, and its layer follows
by_dev_size() {
	attrib=/sys/kernel/config/target/core/user_999999999/dev_1/attrib/dev_size
	[ "$(cat $attrib)" = $((32 * MiB)) ] || fail "dev_size: $(cat $attrib)"
	printf %s $((33 * MiB)) >$attrib || fail "dev_size: not granted"
	has $foreign 33
	! printf %s $((31 * MiB)) 2>/dev/null >$attrib || fail "a disk shrinks"
	grep -q 'a disk only grows' $log || fail "no reason"
	has $foreign 33
	ok "by dev_size"
}
! grep -q $foreign /grow || by_dev_size

# turn: $id is the next of all; $mib its new size
turn() {
	# shellcheck disable=SC2086 # several
	set -- $turns
	id=$1
	shift
	turns="$* $id"
	mib=$((mib + 2))
	begin "$id"
}

# restart FAULT: with a daemon that does so (tests/kernel/fault_kill.c)
restart() {
	kill_daemon TERM
	ovbdd="env OVBD_FAULT_$1 ovbdd_faults"
	start_daemon
	ovbdd=ovbdd
	wait_for is_serving "$id"
}

# goes_on WHAT: another daemon has come; the device grows, and its file system
goes_on() {
	start_daemon
	wait_for is_serving "$id"
	[ -z "${2-}" ] || has "$id" "$2"
	ovbd resize -q --fs --id "$id" ${mib}M || fail "$id: $1"
	has "$id" $mib
	fs_has "$id" $mib
	end "$id"
	whole "$id"
	ok "$1: $id"
}

mib=36
turns=$all
for point in grow-durable grow-told; do
	turn
	restart POINT=$point
	! ovbd resize -q --id "$id" ${mib}M 2>/dev/null || fail "$id: outlives $point"
	wait "$daemon" 2>/dev/null || :
	goes_on "killed at $point" $mib
done

# ovbdd ends, for another one to come, while a snapshot is made
for step in snapshot-named snapshot-switched; do
	turn
	restart END=$step
	ovbd snapshot create "$id" >/tmp/snapshot 2>&1 || :
	wait "$daemon" || fail "$id: ovbdd ended with $?: $(cat /tmp/snapshot)"
	goes_on "ended at $step"
done

for delay in 0 10000; do
	turn
	ovbd resize -q --id "$id" ${mib}M 2>/dev/null &
	resize=$!
	usleep $delay
	kill_daemon KILL
	wait $resize || :
	goes_on "killed after $delay us"
done

for id in $all; do
	umount /mnt/"$id"
	e2fsck -fn "$(disk_of "$id")" >/tmp/said 2>&1 || { cat /tmp/said && fail "$id: e2fsck"; }
	# nobody has it mounted: it is checked first
	ovbd resize -q --fs --id "$id" 70M || fail "$id: not mounted"
	mount -t ext4 "$(disk_of "$id")" /mnt/"$id"
	fs_has "$id" 70
	whole "$id"
	check_tree /mnt/"$id"
	umount /mnt/"$id"
done
ok "not mounted"
for id in $all; do
	if [ "$id" = $foreign ]; then snapshotter_detach 1; else ovbd detach "$id"; fi
done
! dmesg | grep -E 'I/O error|BUG:|WARNING:|blocked for more|Buffer I/O' || fail "the kernel noticed"
kill_daemon TERM
