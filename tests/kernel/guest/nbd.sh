#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh

start_daemon
disk=$(ovbd attach -t nbd --id r /image.ovbd)
case $disk in
/dev/nbd*) ok "$disk" ;;
*) fail "attach printed $disk" ;;
esac
[ "$(blockdev --getsize64 "$disk")" = "$(stat -c %s /image)" ] || fail "its size"
[ "$(blockdev --getro "$disk")" = 1 ] || fail "not read-only"
[ "$(blockdev --getss "$disk")" = 512 ] || fail "its sectors"
cmp "$disk" /image || fail "its bytes"
dd if="$disk" of=/tmp/direct bs=64k iflag=direct 2>/dev/null
cmp /tmp/direct /image || fail "its bytes, past the page cache"
! dd if=/dev/zero of="$disk" bs=4096 count=1 2>/tmp/why || fail "it takes writes"
grep -q -i 'read-only\|not permitted' /tmp/why || fail "a write says: $(cat /tmp/why)"
! blkdiscard "$disk" 2>/tmp/why || fail "it takes discards"
mount -o ro,noload "$disk" /mnt
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

# A writable one: a file system, discard, flush; the file has it all.
cp /image /scratch
disk=$(ovbd attach -t nbd --id w -f raw --rw /scratch)
[ "$(blockdev --getro "$disk")" = 0 ] || fail "read-only"
mount "$disk" /mnt
cp /image.ovbd /mnt/new
sync
rm /mnt/zeros
umount /mnt
mount -o ro "$disk" /mnt
cmp /image.ovbd /mnt/new || fail "what was written"
umount /mnt
blkdiscard -o 1M -l 1M "$disk"
dd if="$disk" bs=1M skip=1 count=1 iflag=direct 2>/dev/null | cmp -n 1048576 - /dev/zero ||
	fail "a discard of a file is a hole"
dd if=/image.ovbd of="$disk" bs=4096 count=16 seek=64 conv=notrunc,fsync 2>/dev/null
dd if=/scratch bs=4096 skip=64 count=16 2>/dev/null >/tmp/there
dd if=/image.ovbd bs=4096 count=16 2>/dev/null | cmp - /tmp/there || fail "the file has it not"
ovbd status w | grep -q '^ *flushes *[1-9]' || fail "no flush: $(ovbd status w)"
ok "writes, discards, flushes"

# With --force its user gets errors, and the disk is gone.
exec 4<"$disk"
ovbd detach --force w
! dd bs=4096 count=1 <&4 >/dev/null 2>&1 || fail "read from a disk that is gone"
exec 4<&-
ok "--force"

# Killed, then the image cannot be opened: users wait; detach names them, --force ends their waiting.
disk=$(ovbd attach -t nbd --id x /image.ovbd)
dd if="$disk" bs=4096 count=1 of=/dev/null 2>/dev/null # the kernel looks for partitions
kill_daemon KILL
mv /image.ovbd /image.away
dd if="$disk" bs=4096 count=1 iflag=direct >/dev/null 2>/tmp/why &
reader=$!
start_daemon
[ "$(ovbd status x | awk '$1 == "state" { print $2 }')" = failed ] || fail "$(ovbd status x)"
! ovbd detach x 2>/tmp/said || fail "detached while somebody waits for it"
grep -q "in use by process $reader" /tmp/said || fail "detach says: $(cat /tmp/said)"
kill -0 $reader || fail "the reader did not wait"
mv /image.away /image.ovbd
ovbd reload
wait $reader || fail "the reader got an error: $(cat /tmp/why)"
ok "it heals when its image is there again"
kill_daemon KILL
mv /image.ovbd /image.away
dd if="$disk" bs=4096 count=1 skip=9 iflag=direct >/dev/null 2>/tmp/why &
reader=$!
start_daemon
ovbd detach --force x
! wait $reader || fail "the reader read from nowhere"
mv /image.away /image.ovbd
[ ! -e "/sys/block/${disk#/dev/}/pid" ] || fail "the disk is still there"
ok "and goes by force when it is not"

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
kill_daemon TERM
ok "31 disks, and none"
