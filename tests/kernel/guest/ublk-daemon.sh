#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /detach-kill.sh
. /disk-lib.sh

is_listed() {
	ovbd status "$1" >/dev/null 2>&1
}

start_daemon
disk=$(ovbd attach --id r /image.ovbd)
[ "$disk" = /dev/ublkb0 ] || fail "attach printed $disk: $(ovbd status r)"
disk_is "$disk" /image
[ "$(cat "/sys/block/${disk#/dev/}/queue/scheduler")" != "[mq-deadline] none" ] || fail "a scheduler"
[ "$(cat "/sys/block/${disk#/dev/}/queue/physical_block_size")" = 4096 ] || fail "its physical sectors"
! blockdev --rereadpt "$disk" 2>/dev/null || fail "it looks for partitions"
mount -t ext4 -o ro,noload "$disk" /mnt
check_tree /mnt
[ "$(ovbd attach --id r /image.ovbd)" = "$disk" ] || fail "attached again it is another"
ok "auto means ublk: $disk"

# The same files as another file system, which is read as a whole too.
disk=$(ovbd attach --id e /erofs.ovbd)
[ "$disk" = /dev/ublkb1 ] || fail "attach printed $disk: $(ovbd status e)"
[ "$(blockdev --getsize64 "$disk")" = "$(stat -c %s /erofs)" ] || fail "the size of erofs"
mkdir -p /mnt2
mount -t erofs -o ro "$disk" /mnt2
check_tree /mnt2
umount /mnt2
cmp "$disk" /erofs || fail "the bytes of erofs"
ovbd detach e
disk=/dev/ublkb0

# While it is mounted: refused with the holder's name; then lazily; gone with the umount.
! ovbd detach r 2>/tmp/why || fail "detached while it is mounted"
grep -q "in use by mounted at /mnt" /tmp/why || fail "detach says: $(cat /tmp/why)"
ovbd detach --lazy r
ovbd list | grep -q leaving || fail "not leaving: $(ovbd list)"
check_tree /mnt
umount /mnt
wait_for not is_listed r
wait_for not test -e "$disk"
ok "went with its last user"

# The same with a disk of device mapper on it.
disk=$(ovbd attach --id m /image.ovbd)
echo "0 $(blockdev --getsz "$disk") linear $disk 0" | dmsetup create --noudevsync -r over
! ovbd detach m 2>/tmp/why || fail "detached under device mapper"
grep -q "in use by /dev/dm-0" /tmp/why || fail "detach says: $(cat /tmp/why)"
dmsetup remove --noudevsync over
ovbd detach m
ok "device mapper is a user"

# What is not whole sectors is another transport's, or refused.
! ovbd attach -t ublk -f raw /odd 2>/tmp/why || fail "a disk of 1000 bytes"
grep -q "whole blocks of 512" /tmp/why || fail "1000 bytes: $(cat /tmp/why)"
case $(ovbd attach --id odd -f raw /odd) in
/dev/ublk*) fail "1000 bytes as a disk" ;;
esac
ovbd detach odd
ok "1000 bytes: $(grep -o 'odd: transport .*' $log | head -n 1)"

disk_written ublk

# Larger, if the kernel can tell its users; else nothing has changed.
before=$(stat -c %s /scratch)
if ovbd resize --id w 64M 2>/tmp/why; then
	before=67108864
else
	grep -q 'keeps its size with this kernel (Linux 6.16 or later' /tmp/why || fail "resize says: $(cat /tmp/why)"
fi
[ "$(stat -c %s /scratch)" = "$before" ] || fail "the file has $(stat -c %s /scratch) bytes"
[ "$(blockdev --getsize64 "$disk")" = "$before" ] || fail "the disk has $(blockdev --getsize64 "$disk") bytes"
ok "as large as it can be: $before"

# With --force its user gets errors.
exec 4<"$disk"
ovbd detach --force w
! /bin/dd bs=4096 count=1 skip=900 iflag=direct <&4 >/dev/null 2>&1 || fail "read from a disk that is gone"
exec 4<&-
wait_for not test -e "$disk"
ok "--force"

# Several; ended in order, and killed: the same ids have the same disks, and others stay free.
for id in a b c; do
	ovbd attach --id $id /image.ovbd
done >/tmp/disks
ovbd detach b
kill_daemon TERM
[ -e /dev/ublkb0 ] || fail "an ended daemon leaves no disks"
start_daemon
[ "$(ovbd attach --id a /image.ovbd)" = /dev/ublkb0 ] || fail "another disk: $(ovbd list)"
[ "$(ovbd attach --id c /image.ovbd)" = /dev/ublkb2 ] || fail "another disk: $(ovbd list)"
kill_daemon KILL
rm /run/ovbd/devices/c.json # as if it had died before it wrote down the disk's number
sed -i '/ublkb0/d;s/"transport": "ublk",/"transport": "ublk", "path": "\/dev\/ublkb7",/' /run/ovbd/devices/a.json
start_daemon
[ "$(ovbd attach --id a /image.ovbd)" = /dev/ublkb0 ] || fail "not found by its tag: $(ovbd list)"
[ "$(ovbd attach --id c /image.ovbd)" = /dev/ublkb2 ] || fail "not found by its tag: $(ovbd list)"
cmp /dev/ublkb0 /image
cmp /dev/ublkb2 /image
ovbd drain
not ls /dev/ublk[bc]* 2>/dev/null || fail "disks are left"
ok "the same disks after an end and a death"

disk_without_image ublk
wait_for not test -e "$disk"
dmesg | grep -E 'WARNING:|BUG:|blocked for more' && fail "the kernel complains"
kill_daemon TERM
