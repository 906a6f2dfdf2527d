#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images with writable layers, attached: what was flushed is there when the daemon was killed, and
# what was written when it ended in order; the layers beneath stay shared.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

random 4194304 base
"$ovbd" convert -q base base.ovbd
"$ovbd" create 4M rw.data
"$ovbd" create 4M append.data append.index
"$ovbd" create --sparse 4M sparse.data sparse.index
lowers='"lowers": [{"file": "base.ovbd"}]'
echo "{$lowers, \"upper\": {\"file\": \"rw.data\"}}" >rw.json
for format in append sparse; do
	echo "{$lowers, \"upper\": {\"index\": \"$format.index\", \"data\": \"$format.data\"}}" >$format.json
done
start_daemon

# put PLACE LENGTH FLAGS...: the same random bytes into each device, and into the model
put() {
	place=$1 length=$2
	shift 2
	head -c "$length" /dev/urandom >piece
	for to in model rw append sparse; do
		[ $to = model ] || to=$tmp/$to.disk
		dd if=piece of="$to" bs="$length" seek="$place" oflag=seek_bytes conv=notrunc"${1-}" status=none ||
			fail "dd $to"
	done
}

same() {
	for format in rw append sparse; do
		cmp "$tmp/$format.disk" model || fail "$format: $1"
	done
	ok "$1"
}

cp base model
for format in rw append sparse; do
	"$ovbd" attach -q -t fuse --id $format --path "$tmp/$format.disk" --rw $format.json
done
same "nothing written"
put 4096 70000 ,fsync
put 999999 12345 ,fsync
put 512 511 ,fsync
for to in model rw.disk append.disk sparse.disk; do
	[ $to = model ] || fallocate -p -o 2000000 -l 500000 $to
done
dd if=/dev/zero of=model bs=500000 seek=2000000 count=1 oflag=seek_bytes conv=notrunc status=none
put 3000000 1000 ,fsync
same "written"

# who comes second
expect 1 "rw.data: is in use by process $daemon (ovbdd)" "$ovbd" attach --id second --rw rw.json
expect 1 "append.data: is in use by process $daemon (ovbdd)" "$ovbd" info append.json
expect 1 "id rw in use" "$ovbd" attach --id rw rw.json
for format in rw append sparse; do
	set -- $format.data
	[ $format = rw ] || set -- $format.data $format.index
	held="$format.data: is in use by process $daemon (ovbdd)"
	expect 1 "$held" "$ovbd" serve --nbd other.sock --rw $format.json
	expect 1 "$held" "$ovbd" commit "$@" other.ovbd
	expect 1 "$held" "$ovbd" resize "$@" 8M
done
[ ! -e other.ovbd ] || fail "committed while it is written"
"$ovbdd" --state-dir "$tmp/other" 2>other.log &
other=$!
pids="$pids $other"
wait_for grep -q "ready: " other.log
expect 1 "rw.data: is in use by process $daemon (ovbdd)" env OVBD_SOCKET="$tmp/other/ovbdd.sock" \
	"$ovbd" attach -t fuse --id rw --path "$tmp/other.disk" --rw rw.json
kill $other
wait $other || fail "the other daemon ended with $?"

for signal in KILL TERM KILL; do
	stop_daemon $signal
	start_daemon
	same "after SIG$signal"
	put 123456 4000 ,fsync
	same "written again"
done
put 3500000 5000 # which nobody flushes
stop_daemon TERM
start_daemon
same "an end in good order"

# what was written to a raw file does not make it something else
printf '{"lowers": [], "upper": {"file": "%s/rw.data"}}' "$tmp" >text.json
truncate -s 4096 raw
"$ovbd" attach -q -t fuse --id raw --path "$tmp/raw.disk" --rw raw
dd if=text.json of=raw.disk conv=notrunc status=none
truncate -s "$(stat -c %s text.json)" raw.json
"$ovbd" attach -q -t fuse --id raw2 --path "$tmp/raw2.disk" --rw raw.json
dd if=text.json of=raw2.disk conv=notrunc,fsync status=none
stop_daemon KILL
start_daemon
cmp raw2.disk text.json || fail "a raw file became a configuration"
[ "$("$ovbd" status raw2 | awk '$1 == "state" { print $2 }')" = serving ] || fail "$("$ovbd" status raw2)"
"$ovbd" detach raw raw2
ok "a raw file stays one"

# without --rw it is read, and not written; without a writable layer nothing is
"$ovbd" detach rw append sparse
"$ovbd" attach -q -t fuse --id ro --path "$tmp/ro.disk" rw.json
cmp ro.disk model || fail "read-only"
[ "$(stat -c %a ro.disk)" = 400 ] || [ "$(stat -c %a ro.disk)" = 444 ] || fail "$(stat ro.disk)"
"$ovbd" detach ro
echo "{$lowers, \"upper\": {}}" >none.json
expect 1 "has no writable layer" "$ovbd" attach --id none --rw none.json

for format in rw append sparse; do
	index=
	[ $format = rw ] || index=$format.index
	"$ovbd" commit -q $format.data $index $format.ovbd
	"$ovbd" convert -q -O raw --force base.ovbd $format.ovbd copy
	cmp copy model || fail "$format: committed it is something else"
done
ok "detached, and committed"
