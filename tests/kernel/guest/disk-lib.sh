# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest with ovbdd (ovbdd-lib.sh), whose devices are disks, and with hdparm, sg_inq, dd and
# blkdiscard. /image is a file system, /image.ovbd a layer of it.
#
#   state_of ID                   as ovbd status says
#   disk_is DISK FILE             it has FILE's bytes, says of itself what is so, and takes no writes
#   disk_has TYPE DISK            a file system whose files are right
#   disk_written TRANSPORT        a writable one, of id w: a file system, discards, flushes; $disk
#   disk_without_image TRANSPORT  what becomes of its users when its image cannot be opened after a restart

state_of() {
	ovbd status "$1" | awk '$1 == "state" { print $2 }'
}

disk_is() {
	[ "$(blockdev --getsize64 "$1")" = "$(stat -c %s "$2")" ] || fail "$1: its size"
	[ "$(blockdev --getro "$1")" = 1 ] || fail "$1: not read-only"
	[ "$(blockdev --getss "$1")" = 512 ] || fail "$1: its sectors"
	hdparm -r "$1" | grep -q 'readonly *= *1' || fail "hdparm: $(hdparm -r "$1" 2>&1)"
	! hdparm -I "$1" 2>&1 | grep -q 'ATA device' || fail "$1 says that it is an ATA disk"
	! sg_inq "$1" >/dev/null 2>&1 || fail "$1 says that it is a SCSI disk"
	cmp "$1" "$2" || fail "$1: its bytes"
	/bin/dd if="$1" of=/tmp/direct bs=64k iflag=direct 2>/dev/null
	cmp /tmp/direct "$2" || fail "$1: its bytes, past the page cache"
	! /bin/dd if=/dev/zero of="$1" bs=4096 count=1 2>/tmp/why || fail "$1 takes writes"
	grep -q -i 'read-only\|not permitted' /tmp/why || fail "a write says: $(cat /tmp/why)"
	! /bin/blkdiscard "$1" 2>/tmp/why || fail "$1 takes discards"
}

disk_has() {
	mkdir -p /mnt.has
	mount -t "$1" -o ro "$2" /mnt.has
	check_tree /mnt.has
	umount /mnt.has
}

disk_written() {
	cp /image /scratch
	disk=$(ovbd attach -t "$1" --id w -f raw --rw /scratch)
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
}

# read_in_vain BLOCK: begins to read what was not read before, without the daemon and the image; $reader
read_in_vain() {
	kill_daemon KILL
	mv /image.ovbd /image.away
	dd if="$disk" bs=4096 count=1 skip="$1" iflag=direct >/dev/null 2>/tmp/why &
	reader=$!
}

disk_is_well() {
	[ "$(state_of x)" = serving ] && dd if="$disk" bs=64k iflag=direct 2>/dev/null | cmp -s - /image
}

disk_without_image() {
	disk=$(ovbd attach -t "$1" --id x /image.ovbd)
	dd if="$disk" bs=4096 count=1 of=/dev/null 2>/dev/null # the kernel may look for partitions
	read_in_vain 0
	start_daemon
	[ "$(state_of x)" = failed ] || fail "$(ovbd status x)"
	! ovbd detach x 2>/tmp/said || fail "detached while somebody waits for it"
	grep -q "in use by process $reader" /tmp/said || fail "detach says: $(cat /tmp/said)"
	kill -0 $reader || fail "the reader did not wait"
	mv /image.away /image.ovbd
	ovbd reload
	wait $reader || fail "the reader got an error: $(cat /tmp/why)"
	wait_for disk_is_well
	ok "it heals when its image is there again"

	# Nobody waits for ever: after image-wait there are errors, and then what there is.
	before_ovbdd=$ovbdd
	echo '{"image-wait": 2}' >/tmp/config
	ovbdd="ovbdd --config /tmp/config"
	read_in_vain 7
	start_daemon
	before=$(date +%s)
	! wait $reader || fail "the reader read from nowhere"
	[ $(($(date +%s) - before)) -lt 15 ] || fail "it waited for too long"
	ovbd status x | grep -q '^error .*image.ovbd' || fail "no reason: $(ovbd status x)"
	mv /image.away /image.ovbd
	ovbd reload
	wait_for disk_is_well
	ovbdd=$before_ovbdd
	ok "errors after a while, and it heals"

	read_in_vain 9
	start_daemon
	ovbd detach --force x
	! wait $reader || fail "the reader read from nowhere"
	mv /image.away /image.ovbd
	ok "and goes by force when it is not"
}
