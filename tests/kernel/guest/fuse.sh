#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /lib.sh
. /fio-verify.sh

serve() {
	: >$log
	ovbd serve --fuse /tmp/file "$@" >$log 2>&1 &
	server=$!
	wait_for grep -q ': ready: ' $log
}

ended() {
	wait_for not kill -0 $server 2>/dev/null
	wait $server || fail "the server ended with $?"
}

serve /image.ovbd
mount -t ext4 -o loop,ro /tmp/file /mnt
check_tree /mnt

kill $server
wait_for grep -q 'still in use' $log
check_tree /mnt
umount /mnt
ended
ok "ended with its last user"

serve /erofs.ovbd
mount -t erofs -o loop,ro /tmp/file /mnt
check_tree /mnt
umount /mnt
! dd if=/dev/zero of=/tmp/file bs=4096 count=1 conv=notrunc 2>/dev/null || fail "it takes writes"
kill $server
ended
ok "erofs too"

# Through a loop device that asks the server each time; by paths, as busybox has a losetup and blkdiscard.
truncate -s 24M /tmp/raw
serve --rw -f raw /tmp/raw
/bin/losetup --direct-io=on /dev/loop5 /tmp/file
[ "$(blockdev --getro /dev/loop5)" = 0 ] || fail "read-only"
fio_verify /dev/loop5 "$(cat /seconds)"
/bin/blkdiscard -f /dev/loop5
[ "$(du -k /tmp/raw | cut -f1)" -lt 1000 ] || fail "a discard frees nothing"
fio_write /dev/loop5
sync
/bin/losetup -d /dev/loop5
kill $server
ended
ok "written through a loop device"

serve -f raw /tmp/raw
/bin/losetup -r --direct-io=on /dev/loop5 /tmp/file
[ "$(blockdev --getro /dev/loop5)" = 1 ] || fail "not read-only"
fio_read /dev/loop5 0
/bin/losetup -d /dev/loop5
kill $server
ended
! dmesg | grep -E 'I/O error|BUG:|WARNING:|blocked for more' || fail "the kernel noticed"
ok "and read"
