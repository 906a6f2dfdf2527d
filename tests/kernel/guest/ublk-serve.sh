#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /lib.sh

gone() {
	wait_for not test -e "$1"
}

# kill_ovbd SIGNAL: the helper of one that has just been killed may end before it has its own
kill_ovbd() {
	killall "-$1" ovbd 2>/dev/null || :
}

[ "$(ovbd serve --ublk --background --id 3 /image.ovbd 2>$log)" = /dev/ublkb3 ] || fail "no name"
cmp /dev/ublkb3 /image || fail "the disk differs from the image"
ovbd serve --ublk --id 3 /image.ovbd >$log 2>&1 && fail "two servers of one disk"
grep -q 'ublkb3 is in use' $log || fail "no sentence about the other server"
mount -t ext4 -o ro /dev/ublkb3 /mnt
kill_ovbd KILL
echo 3 >/proc/sys/vm/drop_caches
ovbd serve --ublk --background --id 3 /image.ovbd >/tmp/disk 2>$log || fail "not taken over"
check_tree /mnt
kill_ovbd TERM
check_tree /mnt
umount /mnt
gone /dev/ublkb3
ok "in the background, killed, back, ended with its last user"

# shellcheck disable=SC2016 # the command's own variable
ovbd serve --ublk --run 'cmp $OVBD_FILE /image && exit 5' /image.ovbd >/tmp/disk 2>$log || status=$?
[ "${status-0}" = 5 ] || fail "the command ended with ${status-0}"
gone /dev/ublkb0
ok "for a command"

cp /image /scratch
ovbd serve --ublk --rw /scratch >/tmp/disk 2>$log &
server=$!
wait_for grep -q ublkb /tmp/disk
dd if=/dev/urandom of=/tmp/data bs=4096 count=100 2>/dev/null
dd if=/tmp/data of=/dev/ublkb0 bs=4096 seek=50 conv=notrunc,fsync 2>/dev/null
dd if=/scratch bs=4096 skip=50 count=100 2>/dev/null | cmp - /tmp/data || fail "not written"
kill $server
wait $server || fail "the server ended with $?"
gone /dev/ublkb0
ok "written"
