#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Attached devices become larger beneath their users: layers of all formats, a raw file; by FUSE and
# for NBD clients. What was written stays, what is new is zeros; killed at each step the device has the
# old size or the new one, as its layer has.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

faults=$OVBD_BUILD/tests/kernel/ovbdd_faults
[ -x "$faults" ] || skip "ovbdd_faults was not built"
command -v nbdinfo >/dev/null || skip "nbdinfo is not installed"

random 1000448 base # ends within a page
"$ovbd" convert -q base base.ovbd
lowers='"lowers": [{"file": "base.ovbd"}]'
"$ovbd" create 1000448 rw.data
"$ovbd" create 1000448 append.data append.index
"$ovbd" create --sparse 1000448 sparse.data sparse.index
echo "{$lowers, \"upper\": {\"file\": \"rw.data\"}}" >rw.json
for format in append sparse; do
	echo "{$lowers, \"upper\": {\"index\": \"$format.index\", \"data\": \"$format.data\"}}" >$format.json
done
cp base raw.json # a raw file, whatever its name
all="rw append sparse raw"

attach_all() {
	for id in $all; do
		"$ovbd" attach -q -t fuse --id "$id" --path "$tmp/$id.disk" --rw "$id.json"
	done
}

# same SIZE WHAT: all devices have the size, and the model's bytes
same() {
	for id in $all; do
		[ "$(stat -c %s "$tmp/$id.disk")" = "$1" ] || fail "$id: $2: $(stat -c %s "$tmp/$id.disk") bytes, not $1"
		cmp "$tmp/$id.disk" model || fail "$id: $2"
		api "/v1/devices/$id" | grep -q "\"size\": $1,\$" || fail "$id: $2: $(api "/v1/devices/$id")"
		api /metrics | grep -q "^ovbd_device_size_bytes{.*id=\"$id\".*} $1\$" || fail "$id: $2: metrics"
	done
	ok "$2"
}

# put PLACE LENGTH: the same random bytes into each device, and into the model
put() {
	head -c "$2" /dev/urandom >piece
	for to in model rw.disk append.disk sparse.disk raw.disk; do
		dd if=piece of=$to bs="$2" seek="$1" oflag=seek_bytes conv=notrunc,fsync status=none || fail "dd $to"
	done
}

cp base model
start_daemon
attach_all
put 4096 70000
for id in $all; do
	disk=$tmp/$id.disk
	cat "$disk" >/dev/null # its last page is in the kernel's cache
	exec 5<"$disk"
	exec 6<>"$disk"
	"$ovbd" resize --id "$id" 3000832 >out 2>&1 || fail "$id: $(cat out)"
	grep -q "$id: from .*1000448.* to .*3000832" out || fail "$(cat out)"
	echo "beyond the old end" | dd of="$tmp/$id.disk" bs=4096 seek=1000440 oflag=seek_bytes conv=notrunc status=none
	dd bs=1 skip=1000440 count=18 status=none <&5 | grep -q "beyond the old end" || fail "$id: who had it open"
	printf 'at the very end' | dd bs=1 seek=3000817 conv=notrunc status=none >&6 || fail "$id: who had it open for writing"
	exec 5<&- 6>&-
done
truncate -s 3000832 model
echo "beyond the old end" | dd of=model bs=4096 seek=1000440 oflag=seek_bytes conv=notrunc status=none
printf 'at the very end' | dd of=model bs=1 seek=3000817 conv=notrunc status=none
same 3000832 "larger"
for id in $all; do
	"$ovbd" resize -q --id "$id" 3000832 || fail "$id: the same again"
done
put 2999999 500
stop_daemon KILL
start_daemon
same 3000832 "killed"
stop_daemon TERM
start_daemon
same 3000832 "ended"

# beside who writes and who makes snapshots
writer() {
	while [ -e writing ]; do
		put 300000 4096
	done
}
: >writing
writer &
pid=$!
for n in 1 2 3 4; do
	for id in $all; do
		[ "$id" = raw ] || "$ovbd" snapshot create -q "$id"
		"$ovbd" resize -q --id "$id" $((3000832 + n * 100352))
	done
done
rm writing
wait $pid
truncate -s 3402240 model
same 3402240 "beside writes and snapshots"
put 3402000 240
stop_daemon KILL
start_daemon
same 3402240 "and killed"

# what is refused, in a sentence, and changes nothing
"$ovbd" attach -q -t fuse --id ro --path "$tmp/ro.disk" base.ovbd
expect 1 "there is none of this id" "$ovbd" resize --id none 4M
expect 1 "only a device that does can grow" "$ovbd" resize --id ro 4M
expect 1 "a device in use only grows; detach it" "$ovbd" resize --id rw 1M
expect 1 "a device in use only grows; detach it" "$ovbd" resize --id raw 1M
expect 1 "virtual size" "$ovbd" resize --id rw 1048576T
expect 1 "--fs: $tmp/rw.disk is no disk of this host" "$ovbd" resize --id rw --fs 8M
expect 2 "whole sectors" "$ovbd" resize --id rw 1001
expect 2 "without -B" "$ovbd" resize --id rw --force 8M
expect 2 "is for --id" "$ovbd" resize --socket x rw.json 8M
[ "$(api /v1/devices/rw/resize -d '{"color": 1}' | grep -c 'no key of a resize')" = 1 ] || fail "a key"
[ "$(api /v1/devices/rw/resize -d '{"size": "8M"}' | grep -c 'size must be a number')" = 1 ] || fail "a text"
[ "$(api /v1/devices/rw/resize -d '{"size": 4194303}' | grep -c 'whole sectors')" = 1 ] || fail "a part of a sector"
same 3402240 "refused"

# NBD clients: those who come see it
"$ovbd" detach rw
"$ovbd" attach -q -t nbd-socket --id rw --path "$tmp/rw.nbd" --rw rw.json
nbd="nbd+unix:///?socket=$tmp/rw.nbd"
[ "$(nbdinfo --size "$nbd")" = 3402240 ] || fail "nbdinfo: $(nbdinfo --size "$nbd")"
"$ovbd" resize --id rw 4M 2>&1 | grep -q "clients that are connected have the old size" || fail "nothing said of clients"
[ "$(nbdinfo --size "$nbd")" = 4194304 ] || fail "nbdinfo: $(nbdinfo --size "$nbd")"
truncate -s 4194304 model
nbdcopy "$nbd" - | cmp - model || fail "by NBD"
"$ovbd" detach rw
ok "NBD clients"

# killed at each step: the old size, or the new one; the layer and the device have the same
"$ovbd" attach -q -t fuse --id rw --path "$tmp/rw.disk" --rw rw.json
for id in append sparse raw; do
	"$ovbd" resize -q --id "$id" 4M
done
same 4194304 "before it is killed"
size=4194304
for point in grow-durable grow-told; do
	for id in $all; do
		stop_daemon TERM
		ovbdd=$faults
		OVBD_FAULT_POINT=$point start_daemon
		size=$((size + 512))
		if "$ovbd" resize -q --id "$id" "$size" 2>/dev/null; then
			fail "$id: outlives $point"
		fi
		wait_for not is_running "$daemon"
		ovbdd=$OVBD_BUILD/daemon/ovbdd
		start_daemon
		[ "$(stat -c %s "$tmp/$id.disk")" = $size ] || fail "$id: $point: $(stat -c %s "$tmp/$id.disk")"
		for other in $all; do
			"$ovbd" resize -q --id "$other" "$size"
		done
		truncate -s $size model
		put $((size - 600)) 600
		same $size "$id: killed at $point"
	done
done
# shellcheck disable=SC2086 # several
"$ovbd" detach $all
