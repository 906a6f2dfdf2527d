#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ublk-lib.sh

serve /image
cmp "$disk" /image || fail "$disk differs from the file"
[ "$(blockdev --getsize64 "$disk")" = "$(stat -c %s /image)" ] || fail "wrong size"
[ "$(blockdev --getro "$disk")" = 1 ] || fail "it is writable"
[ "$(cat /sys/block/"${disk#/dev/}"/queue/rotational)" = 0 ] || fail "it rotates"
not dd if=/image of="$disk" bs=4096 count=1 2>/dev/null || fail "a write was taken"
ok "the disk equals the file"

ublk_server -r -i "${disk#/dev/ublkb}" /image >>$log 2>&1 && fail "two servers of one disk"
grep -q "$disk is in use: process $server serves it" $log || fail "no sentence about the other server"
ublk_server -i "${disk#/dev/ublkb}" /image >>$log 2>&1 && fail "two disks of one id"
grep -q "the id 0 is in use" $log || fail "no sentence about the id"

mount -t ext4 -o ro "$disk" /mnt
check_tree /mnt
kill -TERM $server
wait_for grep -q 'detach: 1' $log
check_tree /mnt
umount /mnt
ended 0
ok "ended with its last user"

serve -i 7 /image
[ "$disk" = /dev/ublkb7 ] || fail "$disk is not number 7"
kill -INT $server
ended 0
ok "has the number that was asked for"

descriptors() {
	awk '{ print $1 - $2 }' /proc/sys/fs/file-nr
}
before=$(descriptors)
round=0
while [ $round -lt 20 ]; do
	serve -j $((round % 3 + 1)) /image
	dd if="$disk" of=/dev/null bs=64k 2>/dev/null
	kill -TERM $server
	ended 0
	round=$((round + 1))
done
not ls /dev/ublk[bc]* 2>/dev/null || fail "disks are left"
[ "$(descriptors)" -le $((before + 32)) ] || fail "$(descriptors) open files, $before before"
dmesg | grep -E 'WARNING:|BUG:|blocked for more' && fail "the kernel complains"
ok "20 rounds"
