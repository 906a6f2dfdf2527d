#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh

is_listed() {
	ovbd status "$1" >/dev/null 2>&1
}

state_of() {
	ovbd status "$1" | awk '$1 == "state" { print $2 }'
}

start_daemon
disk=$(ovbd attach --id r /image.ovbd)
[ "$disk" = /dev/ublkb0 ] || fail "attach printed $disk: $(ovbd status r)"
[ "$(blockdev --getsize64 "$disk")" = "$(stat -c %s /image)" ] || fail "its size"
[ "$(blockdev --getro "$disk")" = 1 ] || fail "not read-only"
[ "$(blockdev --getss "$disk")" = 512 ] || fail "its sectors"
[ "$(cat "/sys/block/${disk#/dev/}/queue/scheduler")" != "[mq-deadline] none" ] || fail "a scheduler"
[ "$(cat "/sys/block/${disk#/dev/}/queue/physical_block_size")" = 4096 ] || fail "its physical sectors"
hdparm -r "$disk" | grep -q 'readonly *= *1' || fail "hdparm: $(hdparm -r "$disk" 2>&1)"
! hdparm -I "$disk" 2>&1 | grep -q 'ATA device' || fail "it says that it is an ATA disk"
! sg_inq "$disk" >/dev/null 2>&1 || fail "it says that it is a SCSI disk"
! blockdev --rereadpt "$disk" 2>/dev/null || fail "it looks for partitions"
cmp "$disk" /image || fail "its bytes"
dd if="$disk" of=/tmp/direct bs=64k iflag=direct 2>/dev/null
cmp /tmp/direct /image || fail "its bytes, past the page cache"
! dd if=/dev/zero of="$disk" bs=4096 count=1 2>/tmp/why || fail "it takes writes"
grep -q -i 'read-only\|not permitted' /tmp/why || fail "a write says: $(cat /tmp/why)"
! blkdiscard "$disk" 2>/tmp/why || fail "it takes discards"
mount -t ext4 -o ro,noload "$disk" /mnt
check_tree /mnt
[ "$(ovbd attach --id r /image.ovbd)" = "$disk" ] || fail "attached again it is another"
ok "auto means ublk: $disk"

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

# A writable one: a file system, discard, flush; the file has it all.
cp /image /scratch
disk=$(ovbd attach -t ublk --id w -f raw --rw /scratch)
[ "$(blockdev --getro "$disk")" = 0 ] || fail "read-only"
mount -t ext4 "$disk" /mnt
cp /image.ovbd /mnt/new
sync
rm /mnt/zeros
umount /mnt
mount -t ext4 -o ro "$disk" /mnt
cmp /image.ovbd /mnt/new || fail "what was written"
umount /mnt
/bin/blkdiscard -f -o 1M -l 1M "$disk"
dd if="$disk" bs=1M skip=1 count=1 iflag=direct 2>/dev/null | cmp -n 1048576 - /dev/zero ||
	fail "a discard of a file is a hole"
dd if=/image.ovbd of="$disk" bs=4096 count=16 seek=64 conv=notrunc,fsync 2>/dev/null
dd if=/scratch bs=4096 skip=64 count=16 2>/dev/null >/tmp/there
dd if=/image.ovbd bs=4096 count=16 2>/dev/null | cmp - /tmp/there || fail "the file has it not"
ovbd status w | grep -q '^ *flushes *[1-9]' || fail "no flush: $(ovbd status w)"
ok "writes, discards, flushes"

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

# Killed, then the image cannot be opened.
disk=$(ovbd attach --id x /image.ovbd)
kill_daemon KILL
mv /image.ovbd /image.away
dd if="$disk" bs=4096 count=1 iflag=direct >/dev/null 2>/tmp/why &
reader=$!
start_daemon
[ "$(state_of x)" = failed ] || fail "$(ovbd status x)"
! ovbd detach x 2>/tmp/said || fail "detached while somebody waits for it"
grep -q "in use by process $reader" /tmp/said || fail "detach says: $(cat /tmp/said)"
mv /image.away /image.ovbd
ovbd reload
wait_for test "$(state_of x)" = serving
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
wait_for not test -e "$disk"
ok "and goes by force when it is not"

# The same, and nobody waits for ever: after image-wait there are errors, and then what there is.
disk=$(ovbd attach --id y /image.ovbd)
kill_daemon KILL
mv /image.ovbd /image.away
echo '{"image-wait": 2}' >/tmp/config
ovbdd="ovbdd --config /tmp/config"
dd if="$disk" bs=4096 count=1 skip=7 iflag=direct >/dev/null 2>/tmp/why &
reader=$!
start_daemon
before=$(date +%s)
! wait $reader || fail "the reader read from nowhere"
[ $(($(date +%s) - before)) -lt 15 ] || fail "it waited for too long"
ovbd status y | grep -q '^error .*image.ovbd' || fail "no reason: $(ovbd status y)"
mv /image.away /image.ovbd
ovbd reload
is_well() {
	[ "$(state_of y)" = serving ] && dd if="$disk" bs=64k iflag=direct 2>/dev/null | cmp -s - /image
}
wait_for is_well
ovbd detach y
ok "errors after a while, and it heals"
dmesg | grep -E 'WARNING:|BUG:|blocked for more' && fail "the kernel complains"
kill_daemon TERM
