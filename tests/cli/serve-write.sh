#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A raw file that is written through FUSE, directly and through a loop device.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

needs_fuse
random 4000001 image # not even whole sectors
cp image model
serve file --rw image
[ "$(stat -c '%s %a' file)" = "4000001 600" ] || fail "$(stat file)"

# both ARGUMENT...: the same dd on the file and on the model
both() {
	dd "$@" of=file conv=notrunc,fsync status=none || fail "dd $*"
	dd "$@" of=model conv=notrunc status=none
}

same() {
	cmp file model || fail "the file differs after $1"
	cmp image model || fail "the image differs after $1"
	ok "$1"
}

random 3000000 data
both if=data bs=1M
both if=data bs=777 seek=900 count=1000
both if=data bs=4096 seek=970 count=6
both if=data bs=64k seek=20 count=17 oflag=dsync
same "writes"
fallocate -p -o 1000000 -l 1500000 file
fallocate -z -o 100 -l 5000 file
fallocate -p -o 3999000 -l 900000 file # beyond the end
dd if=/dev/zero of=model bs=1000 seek=1000 count=1500 conv=notrunc status=none
dd if=/dev/zero of=model bs=100 seek=1 count=50 conv=notrunc status=none
dd if=/dev/zero of=model bs=1 seek=3999000 count=1001 conv=notrunc status=none
same "holes and zeros"
[ "$(stat -c %b image)" -lt 7000 ] || fail "no hole was made: $(stat image)"

! truncate -s 100 file 2>/dev/null || fail "made shorter"
! dd if=data of=file bs=1M seek=10 count=1 conv=notrunc status=none 2>/dev/null || fail "made longer"
! fallocate -l 8M file 2>/dev/null || fail "made longer by fallocate"
same "its size stays"
kill "$server"
ended 0
cmp image model || fail "the image differs at the end"

serve file image
! dd if=data of=file bs=1M count=1 conv=notrunc status=none 2>/dev/null || fail "written without --rw"
kill "$server"
ended 0
ok "without --rw it takes no writes"

[ "$(id -u)" = 0 ] || exit 0
losetup -f >/dev/null 2>&1 || exit 0
truncate -s 32M disk
mkfs.ext4 -q disk
serve file --rw disk
mkdir mnt
mount -o loop,discard file mnt || exit 0
cp data mnt/data
sync
mkdir mnt/dir
rm mnt/data
cp data mnt/dir/more
fstrim mnt
umount mnt
kill "$server"
ended 0
e2fsck -fn disk >/dev/null 2>&1 || fail "the file system is broken"
mount -o loop,ro disk mnt
cmp mnt/dir/more data || fail "the file on it differs"
umount mnt
ok "a file system on a loop device"
