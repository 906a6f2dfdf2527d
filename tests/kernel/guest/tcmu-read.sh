#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /tcmu-lib.sh

serve /image
tcmu_attach 12 ovbd//some/path,with,commas
[ "$(cat "/sys/block/$disk/ro")" = 1 ] || fail "the disk is not read-only"
[ "$(cat "/sys/block/$disk/size")" = $(($(stat -c %s /image) / 512)) ] || fail "another size"
[ "$(cat "/sys/block/$disk/queue/rotational")" = 0 ] || fail "it rotates"
cmp "/dev/$disk" /image || fail "the disk differs"
ok "the disk is the image"
for size in 512 4k 64k 1M; do
	dd if="/dev/$disk" bs=$size count=64 iflag=direct 2>/dev/null >/tmp/part
	dd if=/image bs=$size count=64 2>/dev/null | cmp - /tmp/part || fail "reads of $size differ"
done
ok "direct reads"

mount -t ext4 -o ro,discard "/dev/$disk" /mnt
check_tree /mnt
umount /mnt
if dd if=/dev/zero of="/dev/$disk" bs=4k count=1 oflag=direct 2>/dev/null; then
	fail "a write succeeded"
fi
ok "writes are refused"

tcmu_detach 12
wait_for not grep -q '' /sys/class/uio/uio0/name 2>/dev/null
grep -q 'uio0: ended: well' $log || fail "the transport did not end well"
ok "detached"

status=0
tcmu_attach 13 ovbd/refuse 2>/tmp/why || status=$?
[ $status != 0 ] || fail "a refused disk was enabled"
grep -q 'Permission denied' /tmp/why || fail "another reason: $(cat /tmp/why)"
rmdir "$hba/dev_13"
ok "a refusal's reason reaches the asker"

for id in 1 2 3; do
	tcmu_attach $id ovbd/$id
	cmp "/dev/$disk" /image
done
for id in 1 2 3; do
	tcmu_detach $id
done
for _ in 1 2 3 4 5; do
	tcmu_attach 7 ovbd/again
	tcmu_detach 7
done
set -- "/proc/$server/fd/"*
[ $# -le 5 ] || fail "descriptors are left: $(ls -l "/proc/$server/fd")"
! grep -q uio "/proc/$server/maps" || fail "a mapping is left"
ok "several disks, and often"
