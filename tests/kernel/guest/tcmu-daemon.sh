#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /snapshotter.sh

said_of() { # ID KEY
	ovbd status "$1" | awk -v key="$2" '$1 == key { print $2 }'
}

is_in_state() {
	[ "$(said_of "$1" state)" = "$2" ]
}

start_daemon
path=$(ovbd attach --id web --transport tcmu /image.ovbd)
[ -b "$path" ] || fail "attached at '$path'"
cmp "$path" /image || fail "the disk differs"
[ "$(ovbd attach --id web --transport tcmu /image.ovbd)" = "$path" ] || fail "not the same again"
mount -t ext4 -o ro "$path" /mnt
check_tree /mnt
ovbd detach web 2>/tmp/why && fail "detached while mounted"
grep -q "device web: in use by .*mounted at /mnt" /tmp/why || fail "$(cat /tmp/why)"
ok "attached"

kill_daemon KILL
echo 3 >/proc/sys/vm/drop_caches
(cat /mnt/dir/large >/tmp/large && touch /tmp/done) &
usleep 500000
[ ! -e /tmp/done ] || fail "it reads without a server"
start_daemon
wait_for test -e /tmp/done
check_tree /mnt
[ "$(said_of web path)" = "$path" ] || fail "came back at '$(said_of web path)': $(ovbd status web)"
umount /mnt
ovbd detach web
[ ! -e "$path" ] || fail "$path is still there"
set -- "$target"/loopback/naa.*
[ ! -e "$1" ] || fail "left: $*"
set -- "$target"/core/user_*/web
[ ! -e "$1" ] || fail "left: $*"
ok "killed, back, detached"

cp /image /tmp/raw
path=$(ovbd attach --id raw --rw --transport tcmu -f raw /tmp/raw)
mount -t ext4 "$path" /mnt
seq 1000 >/mnt/new
kill_daemon TERM
start_daemon
sync
umount /mnt
ovbd detach raw
mount -t ext4 -o loop,ro /tmp/raw /mnt
seq 1000 | cmp - /mnt/new || fail "a write is lost"
umount /mnt
ok "a writable disk across a restart"

# Detached, but for its last user: that is so across the daemon's death, with an image or without.
path=$(ovbd attach --id last -t tcmu /image.ovbd)
mount -t ext4 -o ro "$path" /mnt
ovbd detach --lazy last
is_in_state last leaving || fail "$(ovbd list)"
mv /image.ovbd /hidden
kill_daemon KILL
start_daemon
[ ! -e /run/ovbd/devices/last.json ] || grep -q '"leaving": true' /run/ovbd/devices/last.json ||
	fail "$(cat /run/ovbd/devices/last.json)"
ovbd attach --id last -t tcmu /image.ovbd 2>/tmp/why && fail "attached while it leaves"
grep -q 'is being detached' /tmp/why || fail "$(cat /tmp/why)"
mv /hidden /image.ovbd
kill_daemon KILL
start_daemon
is_in_state last leaving || fail "$(ovbd list)"
check_tree /mnt
umount /mnt
is_gone() {
	! ovbd status last 2>/dev/null
}
wait_for is_gone
[ ! -e /run/ovbd/devices/last.json ] || fail "its state is kept"
path=$(ovbd attach --id last -t tcmu /image.ovbd)
mount -t ext4 -o ro "$path" /mnt
ovbd detach --lazy last
kill_daemon KILL
umount /mnt
start_daemon
wait_for is_gone
set -- "$target"/loopback/naa.* "$target"/core/user_*/last
for left; do
	[ ! -e "$left" ] || fail "left: $left"
done
ok "a disk that leaves goes on leaving"

snapshotter_prepare 12 /image.ovbd
snapshotter_attach 12 "$config" || fail "attach: $(cat /tmp/snapshotter.12)"
[ "$(cat "$snapshot/block/init-debug.log")" = success ] || fail "no success in the result file"
cmp "/dev/$disk" /image || fail "the disk differs"
is_in_state user_999999999.dev_12 serving || fail "$(ovbd list)"
[ "$(said_of user_999999999.dev_12 path)" = "/dev/$disk" ] || fail "$(ovbd list)"
ovbd detach user_999999999.dev_12 2>/tmp/why && fail "detached what is the snapshotter's"
grep -q 'by configfs' /tmp/why || fail "$(cat /tmp/why)"
mount -t ext4 -o ro,discard "/dev/$disk" /mnt
kill_daemon KILL
echo 3 >/proc/sys/vm/drop_caches
start_daemon
check_tree /mnt
is_in_state user_999999999.dev_12 serving || fail "$(ovbd list)"
umount /mnt
snapshotter_detach 12 || fail "detach"
! ovbd status user_999999999.dev_12 2>/dev/null || fail "it is listed still"
ok "the snapshotter's disk"

snapshotter_prepare 13 /missing.ovbd
if snapshotter_attach 13 "$config"; then fail "attached without a layer"; fi
grep -q 'No such file' /tmp/snapshotter.13 || fail "why: $(cat /tmp/snapshotter.13)"
grep -q '^failed:.*missing.ovbd' "$snapshot/block/init-debug.log" ||
	fail "the result file: $(cat "$snapshot/block/init-debug.log")"
rmdir "$hba/dev_13"
ok "a failure says why"

snapshotter_prepare 14 /image.ovbd
snapshotter_attach 14 "$config" || fail "attach: $(cat /tmp/snapshotter.14)"
kill_daemon TERM
mv /image.ovbd /hidden
(dd if="/dev/$disk" bs=64k count=1 skip=50 iflag=direct >/tmp/part 2>/dev/null || touch /tmp/eio) &
echo '{"image-wait": 2}' >/tmp/config
ovbdd="ovbdd --config /tmp/config"
start_daemon
is_in_state user_999999999.dev_14 failed || fail "$(ovbd list)"
ovbd status user_999999999.dev_14 | grep -q 'does not exist' || fail "status does not say why"
wait_for test -e /tmp/eio
ok "an image that cannot be opened: errors within the time"
mv /hidden /image.ovbd
wait_for is_in_state user_999999999.dev_14 serving
cmp "/dev/$disk" /image || fail "the disk differs after healing"
snapshotter_detach 14
ok "and it heals"

# A subtype of another daemon's: nothing is said, so its maker waits for that.
foreign=$target/core/user_5/foreign
parameters=/sys/module/target_core_user/parameters
mkdir -p "$foreign"
printf 'dev_config=other/thing,dev_size=1048576' >"$foreign/control"
printf 1 >"$foreign/enable" 2>/tmp/why &
maker=$!
usleep 1500000
kill -0 $maker || fail "somebody answered for another daemon's disk: $(cat /tmp/why)"
! grep -q foreign $log || fail "the log speaks of it"
for word in block_netlink=1 reset_netlink=1; do
	echo "${word#*=}" >"$parameters/${word%=*}"
done
wait $maker && fail "enabled"
echo 0 >"$parameters/block_netlink"
rmdir "$foreign" "${foreign%/*}"
ok "another daemon's disk is left alone"

# Of the subtype "ovbd", made by hand; a name that no id may have.
byhand="$target/core/user_6/a b"
mkdir -p "$byhand"
printf 'dev_config=ovbd//image' >"$byhand/control"
printf 1 >"$byhand/enable"
is_in_state user_6.a_b serving || fail "$(ovbd list)"
rmdir "$byhand" "${byhand%/*}"
ovbd status user_6.a_b 2>/dev/null && fail "it is listed still"
ok "an image by its path"

# A raw file that has grown, and its disk with it, under its users.
cp /image /tmp/growing
size=$(stat -c %s /image)
grower="$target/core/user_999999999/dev_21"
mkdir -p "$grower"
printf 'dev_config=ovbd//tmp/growing' >"$grower/control"
printf 1 >"$grower/enable"
portal=$target/loopback/naa.1990000000000021/tpgt_1
mkdir -p "$portal/lun/lun_0"
printf naa.1990000000000021 >"$portal/nexus"
ln -s "$grower" "$portal/lun/lun_0/dev_21"
has_disk() {
	disk=$(said_of user_999999999.dev_21 path) && [ -b "$disk" ]
}
wait_for has_disk
resize() { # SIZE
	printf %s "$1" 2>/tmp/why >"$grower/attrib/dev_size"
}
resize $((size * 2)) && fail "grown beyond the file"
[ "$(said_of user_999999999.dev_21 size)" = "$size" ] || fail "$(ovbd status user_999999999.dev_21)"
mount -t ext4 -o ro,discard "$disk" /mnt
truncate -s $((size * 2)) /tmp/growing
(while [ ! -e /tmp/enough ]; do echo 3 >/proc/sys/vm/drop_caches && cat /mnt/dir/large; done >/dev/null 2>/tmp/eio ||
	echo failed >>/tmp/eio) &
reader=$!
resize $((size * 2)) || fail "not grown: $(cat /tmp/why)"
echo 1 >"/sys/block/${disk#/dev/}/device/rescan"
[ "$(blockdev --getsize64 "$disk")" = $((size * 2)) ] || fail "the disk has $(blockdev --getsize64 "$disk") bytes"
dmesg | grep -q 'Capacity data has changed' || fail "nobody was told of it"
touch /tmp/enough
wait $reader
[ ! -s /tmp/eio ] || fail "the reader: $(cat /tmp/eio)"
check_tree /mnt
resize "$size" && fail "a disk shrinks"
truncate -s $((size * 3)) /tmp/growing
kill_daemon KILL
start_daemon
is_grown() {
	is_in_state user_999999999.dev_21 serving && [ "$(said_of user_999999999.dev_21 size)" = $((size * 3)) ]
}
wait_for is_grown
umount /mnt
rm "$portal/lun/lun_0/dev_21"
rmdir "$portal/lun/lun_0" "$portal" "${portal%/tpgt_1}" "$grower"
resize_layers() {
	snapshotter_prepare 22 /image.ovbd
	snapshotter_attach 22 "$config" || fail "attach: $(cat /tmp/snapshotter.22)"
	printf %s $((size * 2)) 2>/dev/null >"$hba/dev_22/attrib/dev_size" && fail "layers grow"
	grep -q 'only what takes writes or a raw file can grow' $log || fail "no reason is told"
	snapshotter_detach 22
}
resize_layers
ok "a raw file grows, and its disk"

# Its own disk, whose image is gone: errors within the time; detached it leaves nothing.
path=$(ovbd attach --id own -t tcmu /image.ovbd)
kill_daemon KILL
mv /image.ovbd /hidden
start_daemon
is_in_state own failed || fail "$(ovbd list)"
dd if="$path" of=/tmp/part bs=64k count=1 iflag=direct 2>/dev/null && fail "read without an image"
ovbd detach own
set -- "$target"/loopback/naa.* "$target"/core/user_*/own /sys/class/uio/uio*
for left; do
	[ ! -e "$left" ] || fail "left: $left"
done
ok "its own disk without an image is detached"
