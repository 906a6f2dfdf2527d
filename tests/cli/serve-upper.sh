#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An image whose configuration names a writable layer is served, written to, and becomes layers.
. "${OVBD_SOURCE:?}/tests/lib/nbd.sh"

head -c 4M /dev/urandom >base.raw
"$ovbd" convert -q base.raw base.ovbd

# upper FORMAT: makes $files of such a layer, and FORMAT.json, an image with it on top.
upper() {
	files=$1.data
	names="\"file\": \"$1.data\""
	if [ "$1" != rw ]; then
		files="$1.data $1.index"
		names="\"index\": \"$1.index\", \"data\": \"$1.data\", \"vsize\": 64"
	fi
	sparse=
	[ "$1" != sparse ] || sparse=--sparse
	# shellcheck disable=SC2086 # names
	"$ovbd" create $sparse 4M $files
	printf '{"repoBlobUrl": "", "lowers": [{"file": "base.ovbd"}], "upper": {%s}}' "$names" >"$1.json"
}

io() {
	qemu-io -f raw "$@" "$uri" >io 2>&1 || fail "qemu-io: $(cat io)"
	! grep -qiE "failed|error" io || fail "qemu-io: $(cat io)"
}

for format in rw append sparse; do
	upper $format
	cp base.raw model
	serve_nbd --rw $format.json
	said "1 layer, writable" || fail "what it is: $(cat "$log")"
	nbdinfo "$uri" | grep -q "is_read_only: false" || fail "read-only"
	nbdcopy "$uri" copy
	cmp copy base.raw || fail "$format: an empty layer changes what is beneath"
	for to in "$uri" model; do
		qemu-io -f raw -c "write -P 7 4096 65536" -c "write -P 8 1000 500" -c "write -P 9 511 2" \
			-c "write -z 2M 64k" -c "write -z 1500001 77777" -c "write -P 1 -f 3M 512k" \
			-c flush "$to" >io 2>&1 || fail "qemu-io: $(cat io)"
		! grep -qiE "failed|error" io || fail "qemu-io: $(cat io)"
	done
	io -c "discard 1M 64k" -c "read -P 0 1M 64k"
	dd if=/dev/zero of=model bs=64k seek=16 count=1 conv=notrunc status=none
	io -c flush
	nbdcopy "$uri" copy
	cmp copy model || fail "$format: reads as something else"

	# who comes second is told who has it
	expect 1 "is in use by process $server (ovbd)" "$ovbd" serve --nbd other.sock --rw $format.json
	if [ $format = rw ]; then
		expect 1 "is in use by process $server (ovbd)" "$ovbd" info $format.json
		expect 1 "is in use by process $server (ovbd)" "$ovbd" commit rw.data x.ovbd
	fi
	kill -KILL "$server"
	wait_for not is_running "$server"
	rm -f disk.sock

	serve_nbd --rw $format.json
	nbdcopy "$uri" copy
	cmp copy model || fail "$format: what was flushed is not there after a kill"
	io -c "write -P 5 12345 6789" # which nobody flushes
	printf '\005%.0s' $(seq 6789) | dd of=model bs=6789 iflag=fullblock seek=12345 oflag=seek_bytes conv=notrunc status=none
	kill "$server"
	ended 0
	ok "$format: written, killed, served again"

	# without --rw nobody writes, and what is written is seen
	serve_nbd $format.json
	nbdinfo "$uri" | grep -q "is_read_only: true" || fail "writable without --rw"
	nbdcopy "$uri" copy
	cmp copy model || fail "$format: lost at an end in good order"
	kill "$server"
	ended 0

	# shellcheck disable=SC2086 # names
	"$ovbd" commit $files $format.ovbd
	"$ovbd" check -q $format.ovbd
	"$ovbd" convert -q -O raw --force base.ovbd $format.ovbd copy
	cmp copy model || fail "$format: committed it is something else"
	"$ovbd" convert -q -O raw $format.json --force copy
	cmp copy model || fail "$format: converted it is something else"
	rm -f copy $format.ovbd
	ok "$format: committed"
done

# with nothing beneath, larger than what is beneath
"$ovbd" create 8M alone.rw
echo '{"lowers": [], "upper": {"file": "alone.rw"}}' >alone.json
serve_nbd --rw alone.json
io -c "write -P 3 7M 1M" -c flush -c "read -P 0 0 7M"
kill "$server"
ended 0
"$ovbd" create 8M large.rw
echo '{"lowers": [{"file": "base.ovbd"}], "upper": {"file": "large.rw"}}' >large.json
serve_nbd --rw large.json
io -c "read -P 0 4M 4M" -c "write -P 3 6M 1M"
nbdcopy "$uri" copy
cmp -n 4194304 copy base.raw || fail "what is beneath"
kill "$server"
ended 0
ok "alone, and larger than what is beneath"

echo '{"lowers": [{"file": "base.ovbd"}], "upper": {}}' >none.json
expect 1 "none.json: has no writable layer" "$ovbd" serve --nbd disk.sock --rw none.json
expect 1 "name it last" "$ovbd" serve --nbd disk.sock rw.json base.ovbd
echo '{"lowers": [{"file": "base.ovbd"}], "upper": {"file": "a", "data": "b"}}' >both.json
expect 1 "names both a file, and index or data" "$ovbd" serve --nbd disk.sock --rw both.json
echo '{"lowers": [{"file": "base.ovbd"}], "upper": {"file": "missing"}}' >missing.json
expect 1 "missing: No such file" "$ovbd" serve --nbd disk.sock --rw missing.json

# a file: bytes at any place, by FUSE
[ -e /dev/fuse ] && [ "$(id -u)" = 0 ] || exit 0
rm rw.data
upper rw
cp base.raw model
"$ovbd" serve -q --fuse file --rw rw.json &
server=$!
pids="$pids $server"
wait_for test -s file
for place in 0 1 511 1000 70001; do
	head -c $((place + 1300)) /dev/urandom >piece
	for to in file model; do
		dd if=piece of=$to bs=$((place + 1300)) seek=$place oflag=seek_bytes conv=notrunc,fsync status=none
	done
done
fallocate -p -o 1000000 -l 1500001 file
dd if=/dev/zero of=model bs=1500001 seek=1000000 count=1 oflag=seek_bytes conv=notrunc status=none
cmp file model || fail "the file differs"
kill -KILL "$server"
wait_for not is_running "$server"
umount -l file
"$ovbd" convert -q -O raw rw.json --force copy
cmp -n 1000000 copy model || fail "what was flushed is lost"
ok "a file"
