#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /detach-kill.sh
. /disk-lib.sh

start_daemon
disk=$(ovbd attach -t nbd --id r /image.ovbd)
case $disk in
/dev/nbd*) ok "$disk" ;;
*) fail "attach printed $disk" ;;
esac
disk_is "$disk" /image
erofs=$(ovbd attach -t nbd --id e /erofs.ovbd)
disk_is "$erofs" /erofs
disk_has erofs "$erofs"
ovbd detach e
mount -t ext4 -o ro,noload "$disk" /mnt
check_tree /mnt

# While it is mounted: refused with the holder's name; then lazily; gone with the umount.
! ovbd detach r 2>/tmp/why || fail "detached while it is mounted"
grep -q "in use by mounted at /mnt" /tmp/why || fail "detach says: $(cat /tmp/why)"
ovbd detach --lazy r
ovbd list | grep -q leaving || fail "not leaving: $(ovbd list)"
check_tree /mnt
umount /mnt
is_listed() { ovbd status "$1" >/dev/null 2>&1; }
wait_for not is_listed r
wait_for not test -e "/sys/block/${disk#/dev/}/pid"
ok "went with its last user"

! ovbd attach -t nbd -f raw /odd 2>/tmp/why || fail "a disk of 1000 bytes"
grep -q "whole blocks of 512" /tmp/why || fail "1000 bytes: $(cat /tmp/why)"
! ovbd attach -t nbd --path /tmp/x /image.ovbd 2>/tmp/why || fail "--path"
grep -q "the kernel names" /tmp/why || fail "--path: $(cat /tmp/why)"

disk_written nbd

# With --force its user gets errors, and the disk is gone.
exec 4<"$disk"
ovbd detach --force w
! dd bs=4096 count=1 <&4 >/dev/null 2>&1 || fail "read from a disk that is gone"
exec 4<&-
ok "--force"

disk_without_image nbd
[ ! -e "/sys/block/${disk#/dev/}/pid" ] || fail "the disk is still there"

# More than the module makes at first.
disk=$(ovbd attach -t nbd --id y /image.ovbd)
for round in $(seq 30); do
	id=$(printf 'r%s' "$round")
	[ -b "$(ovbd attach -t nbd --id "$id" /image.ovbd)" ] || fail "round $round"
done
[ "$(cat /sys/block/nbd*/pid | wc -l)" = 31 ] || fail "not 31 disks"
cmp /image "$disk" || fail "the first of them"
ovbd drain
! cat /sys/block/nbd*/pid 2>/dev/null || fail "a disk is left"
ok "31 disks, and none"
detach_and_kill nbd
kill_daemon TERM
