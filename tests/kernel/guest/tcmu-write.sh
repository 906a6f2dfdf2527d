#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /tcmu-lib.sh

size=$(stat -c %s /image)
cp /image /tmp/disk.raw
serve -w /tmp/disk.raw
tcmu_attach 1 ovbd/writable
disk=/dev/$disk
queue=/sys/block/${disk#/dev/}/queue
[ "$(cat "$queue/../ro")" = 0 ] || fail "the disk is read-only"
[ "$(cat "$queue/write_cache")" = "write back" ] || fail "no write cache: flushes would not come"
[ "$(cat "$queue/discard_max_bytes")" -gt 0 ] || fail "the disk does not discard"
cmp "$disk" /image || fail "the disk differs"

mount -t ext4 -o discard "$disk" /mnt
check_tree /mnt
head -c 3000000 /dev/urandom >/tmp/new
cp /tmp/new /mnt/new
rm /mnt/dir/large
sync
fstrim -v /mnt
cmp /mnt/new /tmp/new
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
cmp "$disk" /tmp/disk.raw || fail "disk and file differ after writing"
mount -t ext4 -o ro "$disk" /mnt
cmp /mnt/new /tmp/new || fail "what was written is not there"
umount /mnt
ok "written, flushed, trimmed, read again"

used=$(du -k /tmp/disk.raw | cut -f1)
/bin/blkdiscard "$disk"
[ "$(du -k /tmp/disk.raw | cut -f1)" -lt $((used / 2)) ] || fail "a discard frees nothing"
ok "discarded"

head -c "$size" /dev/urandom >/tmp/random
dd if=/tmp/random of="$disk" bs=1M oflag=direct conv=fsync 2>/dev/null
dd if=/tmp/random of="$disk" bs=512 count=5 skip=77 seek=77 oflag=direct conv=fsync 2>/dev/null
dd if=/dev/zero of=/tmp/random bs=4k count=100 seek=200 conv=notrunc 2>/dev/null
# by its path: the shell prefers the one of busybox, which knows no zeroes
/bin/blkdiscard -z -o $((4096 * 200)) -l $((4096 * 100)) "$disk"
cmp /tmp/random /tmp/disk.raw || fail "the file is not what was written"
echo 3 >/proc/sys/vm/drop_caches
cmp /tmp/random "$disk" || fail "the disk is not what was written"
ok "writes of several sizes, and zeros"

tcmu_detach 1
ok "detached"
