#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Devices that were left in their checkpoint are restored and committed, as another implementation
# does it; what is wrong is refused before anything is written.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

facts=$OVBD_SOURCE/tests/lib/bow_facts.py

# field NAME: of the JSON on standard input
field() {
	python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# ours and theirs, to the byte
for layout in 1.0:512 1.0:1024 1.0:2048 1.0:4096 prototype:4096 early:4096; do
	"$facts" make "${layout%:*}" "${layout#*:}" 7 disk undone live >made
	entries=$(cut -d' ' -f1 made)
	cp disk theirs
	"$facts" restore theirs
	cmp theirs undone || fail "$layout: the other implementation"
	"$ovbd" bow status --output json disk >told
	[ "$(field state <told) $(field log-entries <told)" = "checkpoint $entries" ] || fail "$(cat told)"
	"$ovbd" bow check disk | grep -q "all of it is there" || fail check
	"$ovbd" bow restore --dry-run disk 2>err
	grep -q "can be restored: $entries entries" err || fail "$(cat err)"
	cp disk ours
	"$ovbd" bow restore ours 2>err
	grep -q "^ovbd: bow: ours: restored: $entries entries, " err || fail "$(cat err)"
	cmp ours undone || fail "$layout: restored it is something else"
	[ "$("$ovbd" bow status --output json ours | field state)" = none ] || fail "a log is left"
	# in pieces, the other one last
	cp disk ours
	expect 75 "3 of $entries entries are undone; another restore goes on" "$ovbd" bow restore --limit 3 ours
	[ "$("$ovbd" bow status --output=json ours | field state)" = restoring ] || fail "not begun"
	expect 1 "a restore was begun" "$ovbd" bow commit ours
	cp ours theirs
	"$facts" restore theirs
	cmp theirs undone || fail "$layout: the other implementation goes on"
	"$ovbd" bow restore -q ours
	cmp ours undone || fail "$layout: restored in pieces it is something else"
	if [ $layout = early:4096 ]; then
		expect 1 "can be restored only" "$ovbd" bow commit disk
		ok "$layout"
		continue
	fi
	"$ovbd" bow commit disk 2>err
	grep -q "disk: committed$" err || fail "$(cat err)"
	cmp disk live || fail "$layout: committed it is something else"
	ok "$layout"
done

# a commit that was begun has only to be finished: entries 0
"$facts" make 1.0 4096 3 disk undone live >/dev/null
printf '\0\0\0\0\0\0\0\0' | dd of=disk bs=1 seek=12 conv=notrunc status=none
"$ovbd" bow status disk | grep -q "^state: *committing" || fail "status of a begun commit"
cp disk copy
"$ovbd" bow restore disk 2>err
grep -q "committed: a commit was begun, nothing can be taken back" err || fail "$(cat err)"
"$ovbd" bow commit copy 2>err
grep -q "a commit had been interrupted" err || fail "$(cat err)"
cmp disk copy || fail "a begun commit"
ok "a begun commit"

# nothing is written where something is wrong, or nothing is there
"$facts" make 1.0 4096 4 disk undone live >/dev/null
python3 - <<-'END'
	import struct
	with open("disk", "r+b") as f:
	    count = struct.unpack("<I", f.read(16)[12:])[0]
	    f.seek(28 + 24 * (count - 1))
	    source, dest, size, checksum = struct.unpack("<QQII", f.read(24))
	    assert checksum != 0
	    f.seek(dest * 512 + 17)
	    f.write(b"spoilt")
END
sha256sum disk >sum
for word in "restore" "restore --dry-run" "check"; do
	# shellcheck disable=SC2086 # words
	expect 1 ": checksum 0x" "$ovbd" bow $word disk
	sha256sum -c --quiet sum || fail "$word wrote something"
done
"$ovbd" bow status disk >/dev/null
cp live raw
sha256sum raw >sum
for word in restore commit check; do
	expect 1 "raw: there is no log of backup on write" "$ovbd" bow $word raw
done
sha256sum -c --quiet sum || fail "something was written"
[ "$("$ovbd" bow status raw)" = "state:       none" ] || fail "$("$ovbd" bow status raw)"

# somebody has it; it may only be read
python3 - raw <<-'END' &
	import fcntl, os, sys, time
	f = open(sys.argv[1], "r+b")
	fcntl.flock(f, fcntl.LOCK_EX)
	open("held", "w").close()
	while not os.path.exists("release"):
	    time.sleep(0.02)
END
pids="$pids $!"
wait_for test -e held
expect 1 "raw: is in use by process" "$ovbd" bow restore raw
expect 1 "raw: is in use by process" "$ovbd" bow status raw
touch release
wait

# a signal at any moment: another restore does the rest, or there was nothing left to do
python3 - "$OVBD_SOURCE/tests/lib" <<-'END'
	import sys
	sys.path.insert(0, sys.argv[1])
	sys.dont_write_bytecode = True
	import bow_facts as b
	MIB, block = 1 << 20, 4096
	old = bytes(range(256)) * (MIB // 256 * 40)
	disk = bytearray(96 * MIB)
	disk[:40 * MIB] = disk[50 * MIB - block:90 * MIB - block] = old
	with open("undone", "wb") as f:
	    f.write(disk)
	entries = [b.entry(0, 50 * MIB - block, block, b.checksum(old[:block], 0, block))]
	for at in range(block, 40 * MIB, MIB - block):
	    data = old[at:at + MIB - block]
	    entries.append(b.entry(at, 50 * MIB - block + at, len(data), b.checksum(data, at, block)))
	disk[:40 * MIB] = bytes(40 * MIB)
	log = b.header("1.0", block, len(entries), 0, 94 * MIB) + b"".join(entries)
	disk[:len(log)] = log
	with open("disk", "wb") as f:
	    f.write(disk)
END
mkfifo said
for line in " 20 %" " 60 %" " 80 %"; do
	cp disk copy
	"$ovbd" bow restore -p copy 2>said &
	pid=$!
	pids="$pids $pid"
	while read -r text; do
		echo "$text"
		case $text in
		*"$line"*) kill -TERM $pid 2>/dev/null || : ;;
		esac
	done <said >err
	status=0
	wait $pid || status=$?
	case $status in
	0) grep -q "copy: restored: " err || fail "$(cat err)" ;;
	143)
		[ "$("$ovbd" bow status --output json copy | field state)" != none ] || fail "restored, but interrupted"
		"$ovbd" bow restore -q copy
		;;
	*) fail "status $status: $(cat err)" ;;
	esac
	cmp copy undone || fail "interrupted at$line it is something else"
	ok "$status after$line"
done

# mounted, where that can be done
truncate -s 16M fs
mkfs.ext4 -q fs
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show fs 2>/dev/null); then
	loops="$loops $loop"
	mkdir mnt
	mount "$loop" mnt
	for word in status check restore commit; do
		expect 1 "is mounted, or part of another device (mounted at $tmp/mnt)" "$ovbd" bow $word "$loop"
	done
	umount mnt
	"$ovbd" bow status "$loop" | grep -q none || fail "not mounted any more"
else
	echo "not looked at: a mounted device (needs root and loop devices)"
fi

expect 2 "a word is missing" "$ovbd" bow
expect 2 "'undo' is none of" "$ovbd" bow undo raw
expect 2 "DEVICE is missing" "$ovbd" bow restore
expect 2 "unexpected word 'raw'" "$ovbd" bow restore raw raw
expect 2 "'0' is not a number from 1 on" "$ovbd" bow restore --limit 0 raw
expect 2 "are restore's" "$ovbd" bow commit --dry-run raw
expect 1 "none: No such file" "$ovbd" bow status none
