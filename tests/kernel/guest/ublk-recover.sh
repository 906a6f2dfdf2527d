#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ublk-lib.sh

die() {
	kill -KILL $server
	wait $server 2>/dev/null || :
}

# work N: reads all and writes a part of its own, again and again until /tmp/enough is there
work() {
	rounds=0
	until [ -e /tmp/enough ]; do
		dd if="$disk" of=/tmp/read."$1" bs=64k iflag=direct skip=64 2>/dev/null || return
		cmp /tmp/read."$1" /tmp/constant || return
		head -c 1048576 /dev/urandom >/tmp/write."$1"
		dd if=/tmp/write."$1" of="$disk" bs=32k seek=$(($1 * 32)) oflag=direct conv=notrunc \
			2>/dev/null || return
		dd if="$disk" of=/tmp/again."$1" bs=1M skip="$1" count=1 iflag=direct 2>/dev/null || return
		cmp /tmp/write."$1" /tmp/again."$1" || return
		rounds=$((rounds + 1))
	done
	echo $rounds >/tmp/rounds."$1"
}

serve -w -r -i 5 -j 2 /image
dd if=/image of=/tmp/constant bs=64k skip=64 2>/dev/null
work 0 &
first=$!
work 1 &
second=$!
kills=0
while [ $kills -lt 8 ]; do
	usleep 300000
	die
	[ $((kills % 3)) != 2 ] || usleep 500000 # the disk waits
	serve -w -r -i 5 -j $((kills % 3 + 1)) /image
	[ "$disk" = /dev/ublkb5 ] || fail "came back as $disk"
	kills=$((kills + 1))
done
: >/tmp/enough
wait $first || fail "the first worker saw an error"
wait $second || fail "the second worker saw an error"
for n in 0 1; do
	dd if=/image bs=1M skip=$n count=1 2>/dev/null | cmp - /tmp/write.$n || fail "a write is lost"
done
ok "8 kills, $(cat /tmp/rounds.0) and $(cat /tmp/rounds.1) rounds of work, nothing lost"

die
head -c 1048576 /dev/zero >/other
ublk_server -w -r -i 5 /other >>$log 2>&1 && fail "another disk took its place"
grep -q 'ublkb5 is another disk, of 16777216 bytes' $log || fail "no sentence about the other disk"
serve -w -r -i 5 /image
cmp "$disk" /image || fail "the disk differs"
kill -TERM $server
ended 0
ok "another image is refused, the right one still taken"

cp /fs /image2
serve -r -i 6 /image2
mount -t ext4 -o ro "$disk" /mnt
die
echo 3 >/proc/sys/vm/drop_caches
(cd /mnt && sha256sum -c SHA256SUMS >/tmp/sums) &
reader=$!
usleep 300000
kill -0 $reader || fail "the reader did not wait"
serve -r -i 6 /image2
wait $reader || fail "files differ"
umount /mnt
kill -TERM $server
ended 0
dmesg | grep -E 'WARNING:|BUG:|blocked for more|I/O error' && fail "the kernel complains"
ok "a mounted file system outlives its server"
