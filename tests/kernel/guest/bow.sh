#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /bow says by which transport, and which file system has to do with the large package. On each: the packages of
# /root.tar are upgraded to those in /debs/new after a checkpoint, while ovbdd is killed. A copy of the device is
# restored, the device itself is committed.
. /ovbdd-lib.sh

# walk: every file of /mnt, by its name, mode, size, and content
walk() {
	(cd /mnt && find . -exec stat -c '%n %A %s' {} + | grep -v '^\. \|/lost+found' && find . -type f -exec sha256sum {} +) | sort
}

# as_it_was IMAGE TYPE FILE WHAT: the file system there is whole, and has what the walk FILE says
as_it_was() {
	mount -t "$2" -o loop "$1" /mnt
	walk >/tmp/walk
	umount /mnt
	cmp "$3" /tmp/walk || { diff "$3" /tmp/walk | head -n 5 && fail "$4: other files"; }
	case $2 in
	ext4) /bin/e2fsck -fn "$1" >/tmp/fsck 2>&1 || fail "$4: $(cat /tmp/fsck)" ;;
	f2fs)
		fsck.f2fs --dry-run -f "$1" >/tmp/fsck 2>&1 || fail "$4: $(cat /tmp/fsck)"
		! grep 'ASSERT\|\[Fail\]' /tmp/fsck || fail "$4: $(cat /tmp/fsck)"
		;;
	esac
}

bow_is() {
	is=$(ovbd bow status --id b | awk '$1 == "state" { print $2 }')
	[ "$is" = "$1" ] || fail "$1 is $is: $(ovbd status b)"
}

# free_bytes: of the device b
free_bytes() {
	ovbd bow free --id b --output json | sed -n 's/^ *"free": \([0-9]*\).*/\1/p'
}

# upgrade NAME: by dpkg, of the root on the device
upgrade() {
	/bin/dpkg --root=/mnt --force-depends --log=/dev/null -i "/debs/new/$1.deb" >"/tmp/dpkg.$1" 2>&1
}

# dpkg_is_at_work: it has begun to unpack
dpkg_is_at_work() {
	find /mnt/usr -name '*.dpkg-new' 2>/dev/null | grep -q . || ! kill -0 "$dpkg" 2>/dev/null
}

# prepare NAME TYPE MKFS...: a file system with the old packages, trimmed
prepare() {
	name=$1 type=$2
	shift 2
	truncate -s 64M "/$name"
	case $name in
	f2fs) truncate -s 128M "/$name" && block= ;;
	*1k) set -- "$@" -b 1024 && block="--block-size 1024" ;;
	*) block= ;;
	esac
	# shellcheck disable=SC2086 # two words, or none
	disk=$(ovbd attach -t "$transport" --id b --bow $block "/$name")
	"$@" "$disk" >/tmp/mkfs 2>&1 || fail "$name: $(cat /tmp/mkfs)"
	mount -t "$type" "$disk" /mnt
	/bin/tar -xf /root.tar -C /mnt
	# what is free shall lie in many places
	for n in 1 2 3 4 5 6 7 8 9; do
		head -c 700000 /dev/urandom >"/mnt/hole.$n"
		head -c 70000 /dev/urandom >"/mnt/between.$n"
	done
	sync
	rm /mnt/hole.*
	sync
	fstrim /mnt || fail "$name: fstrim"
	free=$(free_bytes)
	[ "$free" -gt 15000000 ] || fail "$name: trimmed, $free bytes are free: $(ovbd status b)"
	walk >/before
	sync
	fsfreeze --freeze /mnt
	ovbd bow checkpoint --id b || fail "$name: checkpoint"
	fsfreeze --unfreeze /mnt
	bow_is checkpoint
}

# change: the packages are upgraded, the daemon is killed and the file system trimmed meanwhile
change() {
	first=libexpat1 second=bind9-host
	[ "$name" != "$large" ] || first=linux-libc-dev
	upgrade $first &
	dpkg=$!
	wait_for dpkg_is_at_work
	kill_daemon KILL
	start_daemon
	wait $dpkg || fail "$name: dpkg: $(cat /tmp/dpkg.$first)"
	bow_is checkpoint
	fstrim /mnt || fail "$name: fstrim in the checkpoint"
	again=$(free_bytes)
	[ "$again" -gt 0 ] || fail "$name: nothing is free any more"
	[ "$name" = "$large" ] || kill_daemon KILL
	[ "$name" = "$large" ] || start_daemon
	upgrade $second || fail "$name: dpkg: $(cat /tmp/dpkg.$second)"
	rm /mnt/between.*
	sync
	walk >/after
	! cmp -s /before /after || fail "$name: nothing has changed"
	umount /mnt
}

on() {
	began=$(now_ms)
	prepare "$@"
	change
	log_is=$(ovbd bow status --id b | awk '$1 == "log-entries" || $1 == "log-blocks" { printf "%s %s ", $1, $2 }')
	ovbd detach b
	cp "/$name" /copy
	ovbd bow check /copy >/tmp/said 2>&1 || fail "$name: check: $(cat /tmp/said)"
	ovbd bow restore /copy >/tmp/said 2>&1 || fail "$name: restore: $(cat /tmp/said)"
	as_it_was /copy "$type" /before "$name, restored"
	rm /copy
	ovbd attach -t "$transport" --id b --bow "/$name" >/dev/null
	bow_is checkpoint
	ovbd bow commit --id b
	bow_is committed
	ovbd detach b
	as_it_was "/$name" "$type" /after "$name, committed"
	rm "/$name"
	ok "$name: $free bytes free, then $again; ${log_is}: restored and committed, $(($(now_ms) - began)) ms"
}

read -r transport large </bow
start_daemon
on ext4-4k ext4 mkfs.ext4 -q -b 4096
on ext4-1k ext4 mkfs.ext4 -q
on f2fs f2fs mkfs.f2fs -q
! dmesg | grep -E 'I/O error|BUG:|WARNING:|blocked for more|EXT4-fs error' || fail "the kernel noticed"
kill_daemon TERM
