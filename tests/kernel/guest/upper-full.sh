# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For upper-kill.sh:
#
#   disk_is_full TRANSPORT FORMAT   a writable layer whose files are where no room is left: who writes to its disk is
#                                   told, what was there is there, and with room again it goes on without a restart

# put FILE PLACE: it is written at so many times 64 KiB, and durable
put() {
	/bin/dd if="$1" of="$disk" bs=64k seek="$2" oflag=direct conv=notrunc,fsync 2>/tmp/why
}

# has FILE PLACE
has() {
	/bin/dd if="$disk" bs=64k skip="$2" count=16 iflag=direct 2>/tmp/why | cmp - "$1" ||
		fail "$format: $3: $(cat /tmp/why)"
}

disk_is_full() {
	format=$2
	mkdir -p /small
	mount -t tmpfs -o size=8M none /small
	case $format in
	rw) ovbd create 16M /small/rw ;;
	append) ovbd create 16M /small/append /small/append.index ;;
	sparse) ovbd create --sparse 16M /small/sparse /small/sparse.index ;;
	esac
	sed 's|/mnt/|/small/|g' "/tmp/$format.json" >/tmp/full.json
	disk=$(ovbd attach -t "$1" --id full --rw /tmp/full.json)
	head -c 1048576 /dev/urandom >/tmp/first
	head -c 1048576 /dev/urandom >/tmp/second
	put /tmp/first 0 || fail "$format: $(cat /tmp/why)"
	dd if=/dev/zero of=/small/filler bs=64k 2>/dev/null || :
	for round in 1 2; do
		! put /tmp/second 64 || fail "$format: written where there is no room"
		case $1 in # the kernel's client of NBD makes one error of all
		nbd) grep -q 'I/O error\|Input/output error' /tmp/why ;;
		*) grep -q 'No space left on device' /tmp/why ;;
		esac || fail "$format: $(cat /tmp/why)"
		has /tmp/first 0 "what was there, in round $round"
	done
	rm /small/filler
	put /tmp/second 64 || fail "$format: with room again: $(cat /tmp/why)"
	has /tmp/second 64 "what was written then"
	kill_daemon KILL
	start_daemon
	has /tmp/first 0 "after a kill"
	has /tmp/second 64 "after a kill"
	ovbd detach full
	umount /small
	ok "$format: a full disk"
}
