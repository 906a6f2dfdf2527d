#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /kill says by which transport, for how many seconds, and how often at least under fio. Disks with writable layers,
# one of each format, over one layer; fio, and then disk_storm, which discards too, write, flush and verify all of them
# while ovbdd is killed. Then others, whose files have no room left.
. /ovbdd-lib.sh
. /fio-verify.sh
. /snapshotter.sh
. /upper-full.sh
formats="rw append sparse"

# upper FORMAT: what a configuration says of it
upper() {
	case $1 in
	rw) echo "{\"file\": \"/mnt/rw\"}" ;;
	*) echo "{\"data\": \"/mnt/$1\", \"index\": \"/mnt/$1.index\"}" ;;
	esac
}

# disk_of FORMAT
disk_of() {
	cat "/tmp/disk.$1"
}

# attach_upper FORMAT: one by what the snapshotter writes, where it can be
attach_upper() {
	echo "{\"lowers\": [{\"file\": \"/base.ovbd\"}], \"upper\": $(upper "$1")}" >"/tmp/$1.json"
	if [ "$transport $1" = "tcmu rw" ]; then
		snapshotter_prepare 1 /base.ovbd
		cp "/tmp/$1.json" "$config"
		snapshotter_attach 1 "$config" || fail "attach: $(cat /tmp/snapshotter.1)"
		echo "/dev/$disk" >"/tmp/disk.$1"
	else
		ovbd attach -t "$transport" --id "$1" --rw "/tmp/$1.json" >"/tmp/disk.$1"
	fi
	cmp "$(disk_of "$1")" /base || fail "$1: not what is beneath"
}

detach_upper() {
	if [ "$transport $1" = "tcmu rw" ]; then snapshotter_detach 1; else ovbd detach "$1"; fi
}

# load UNTIL: fio, on each disk; seconds or a file, as fio_verify has it
load() {
	rm -f /tmp/*.ok /tmp/enough
	writers=
	for format in $formats; do
		(fio_verify "$(disk_of "$format")" "$1" &&
			touch "/tmp/$format.ok") >"/tmp/$format.said" 2>&1 &
		writers="$writers $!"
	done
}

is_loaded() {
	for writer in $writers; do
		! kill -0 "$writer" 2>/dev/null || return 0
	done
	return 1
}

are_all_loaded() {
	for writer in $writers; do
		kill -0 "$writer" 2>/dev/null || return 1
	done
}

# unharmed WHAT
unharmed() {
	for format in $formats; do
		[ -e "/tmp/$format.ok" ] || fail "$1: $format: $(cat "/tmp/$format.said")"
	done
	ok "$1: $(cat /tmp/*.said)"
}

# kill_while_loaded TIMES: $kills, and $all_kills of them while all disks were written to. When the seconds have passed,
# and those are so many, there is /tmp/enough.
kill_while_loaded() {
	kills=0 all_kills=0
	end=$(($(date +%s) + seconds))
	while is_loaded; do
		usleep $(($(od -An -N2 -tu2 /dev/urandom) % 1500 * 1000 + 50000))
		! are_all_loaded || all_kills=$((all_kills + 1))
		kill_daemon KILL
		kills=$((kills + 1))
		start_daemon
		[ "$(date +%s)" -lt "$end" ] || [ $all_kills -lt "$1" ] || touch /tmp/enough
	done
	[ $all_kills -ge "$1" ] || fail "killed $kills times, $all_kills of them while all were written to"
}

read -r transport seconds times </kill
mount -t ext4 /dev/vda /mnt
truncate -s 16M /base
fio_write /base
ovbd convert -q /base /base.ovbd
ovbd create 16M /mnt/rw
ovbd create 16M /mnt/append /mnt/append.index
ovbd create --sparse 16M /mnt/sparse /mnt/sparse.index
start_daemon
for format in $formats; do
	attach_upper "$format"
done
load 0
while is_loaded; do
	sleep 1
done
unharmed "left alone"

load /tmp/enough
kill_while_loaded "$times"
unharmed "killed $kills times under fio, $all_kills of them under that of all disks"

rm -f /tmp/*.ok /tmp/enough
writers=
for format in $formats; do
	(disk_storm "$(disk_of "$format")" /tmp/enough "$(od -An -N3 -tu4 /dev/urandom)" && touch "/tmp/$format.ok") \
		>"/tmp/$format.said" 2>&1 &
	writers="$writers $!"
done
kill_while_loaded 3
unharmed "killed $kills times under discards and zeroes"
! dmesg | grep -E 'I/O error|BUG:|WARNING:|blocked for more' || fail "the kernel noticed"

# What the disks read as is what the layers have, and are committed as.
for format in $formats; do
	echo 3 >/proc/sys/vm/drop_caches
	cp "$(disk_of "$format")" /tmp/model
	detach_upper "$format"
	if [ "$format" = rw ]; then set --; else set -- "/mnt/$format.index"; fi
	ovbd commit -q "/mnt/$format" "$@" /tmp/committed
	ovbd convert -q -O raw --force /base.ovbd /tmp/committed /tmp/copy
	cmp /tmp/copy /tmp/model || fail "$format: it is committed as something else"
	rm /tmp/committed
done
ok "detached and committed"
for format in $formats; do
	disk_is_full "$transport" "$format"
done
kill_daemon TERM
umount /mnt
