#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ublk-lib.sh

# both FILE: the same dd on the disk and on the model
both() {
	dd "$@" of="$disk" conv=notrunc,fsync 2>/dev/null && dd "$@" of=/model conv=notrunc 2>/dev/null
}

same() {
	cmp "$1" /model || fail "$1 differs: $2"
	ok "$2"
}

cp /image /model
serve -w -j 2 /image
[ "$(blockdev --getro "$disk")" = 0 ] || fail "it is read-only"
head -c 3145728 /dev/urandom >/data
both if=/data bs=1M
both if=/data bs=512 seek=8001 count=777
both if=/data bs=4096 seek=2000 skip=3 count=300
both if=/data bs=64k seek=20 count=17
same /image "writes"

# the shell has a dd and a blkdiscard of its own
/bin/dd if=/data of="$disk" bs=64k seek=40 oflag=direct,dsync count=9 conv=notrunc 2>/dev/null
dd if=/data of=/model bs=64k seek=40 count=9 conv=notrunc 2>/dev/null
same /image "direct and synchronous writes"

/bin/blkdiscard -o 1M -l 2M "$disk"
dd if=/dev/zero of=/model bs=1M seek=1 count=2 conv=notrunc 2>/dev/null
same "$disk" "discard, as the disk"
same /image "discard, as the file"
[ "$(stat -c %b /image)" -lt $(($(stat -c %s /image) / 512)) ] || fail "no hole was made"
/bin/blkdiscard -z -o 5M -l 1536K "$disk"
dd if=/dev/zero of=/model bs=512k seek=10 count=3 conv=notrunc 2>/dev/null
same "$disk" "zeroes, as the disk"
same /image "zeroes, as the file"

exec 3<>"$disk" # or dd would write back when it closes the disk as the last
dd if=/data of="$disk" bs=1M seek=7 conv=notrunc 2>/dev/null
dd if=/data of=/model bs=1M seek=7 conv=notrunc 2>/dev/null
kill -INT $server
ended 0
exec 3<&-
same /image "what was still in the cache at the end"

cp /fs /image2
serve -w /image2
mount -t ext4 "$disk" /mnt
check_tree /mnt
cp /data /mnt/more
fstrim /mnt
umount /mnt
kill -TERM $server
ended 0
serve /image2
mount -t ext4 -o ro "$disk" /mnt
cmp /mnt/more /data || fail "the new file differs"
check_tree /mnt
umount /mnt
kill -TERM $server
ended 0
dmesg | grep -E 'WARNING:|BUG:|blocked for more|I/O error' && fail "the kernel complains"
ok "a file system that is written"
