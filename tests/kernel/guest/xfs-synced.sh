#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each xfs on /dev/vda, NAME/cut, is whole once it was mounted, and has the files of NAME/synced.
. /lib.sh

mount -t ext4 /dev/vda /mnt
mkdir /cut
n=0 files=0
for dir in /mnt/*/; do
	[ -e "$dir/cut" ] || continue
	mount -t xfs -o loop "$dir/cut" /cut || fail "$dir: it cannot be mounted"
	grep -v '^end:*' "$dir/synced" | sed 's|\(.*\):\(.*\)|\2  /cut/\1|' >/tmp/sums
	[ ! -s /tmp/sums ] || sha256sum -c /tmp/sums >/tmp/said 2>&1 || { cat /tmp/said && fail "$dir: files are lost"; }
	files=$((files + $(wc -l </tmp/sums)))
	umount /cut
	xfs_repair -n -f "$dir/cut" >/tmp/said 2>&1 || { cat /tmp/said && fail "$dir: it is damaged"; }
	n=$((n + 1))
done
read -r wanted </cuts
[ "$n" = "$wanted" ] || fail "$n of $wanted"
! dmesg | grep -E 'XFS.*orrupt' || fail "the kernel noticed"
ok "$n file systems, $files files that were synced"
umount /mnt
