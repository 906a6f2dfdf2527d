#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /trace says which file system /dev/vda has, and how many files are made. It is worked on through dm-log-writes, which
# puts all writes, flushes and discards into /dev/vdb. A mark there, "NAME:CHECKSUM", says that a file was synced, and
# is never touched again; there is much else that comes and goes.
. /lib.sh

read -r type files </trace
echo "0 $(blockdev --getsz /dev/vda) log-writes /dev/vda /dev/vdb" | dmsetup create --noudevsync log
mount -t "$type" -o discard /dev/dm-0 /mnt

# below N: a number
below() {
	echo $(($(od -An -N2 -tu2 /dev/urandom) % $1))
}

mark() {
	dmsetup message --noudevsync log 0 mark "$@"
}

: >/mnt/churn
for n in $(seq "$files"); do
	dir=/mnt/d$(below 5)
	mkdir -p "$dir"
	head -c "$(($(below 60) * $(below 1000)))" /dev/urandom >"$dir/new"
	sync "$dir/new" # for good
	mv "$dir/new" "$dir/f$n"
	case $(below 6) in
	0) head -c 30000 /dev/urandom | dd of=/mnt/churn conv=notrunc bs=3000 seek="$(below 40)" 2>/dev/null ;;
	1) truncate -s "$(below 60000)" /mnt/churn ;;
	2) rm -rf /mnt/tmp ;;
	3) mkdir -p /mnt/tmp && cp -r "$dir" "/mnt/tmp/$n" ;;
	4) ln "$dir/f$n" "$dir/link$n" && rm -f "$dir/link$((n - 4))" ;;
	5) seq 3000 >/mnt/seq && mv /mnt/seq "/mnt/s$(below 4)" ;;
	esac
	sync "$dir/f$n" "$dir"
	mark "${dir#/mnt/}/f$n:$(sha256sum "$dir/f$n" | cut -d' ' -f1)"
done
umount /mnt
mark end
dmsetup remove --noudevsync log
! dmesg | grep -E 'I/O error|EXT4-fs error|XFS.*orrupt' || fail "the kernel noticed"
