#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Snapshots of attached devices that are written to: by the verb, by the API, and as the original has
# it; two at once; with a detach on their heels; and what is there when the daemon was killed.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

random 4194304 base
"$ovbd" convert -q base base.ovbd
lowers='"lowers": [{"file": "base.ovbd"}]'
for format in rw append sparse; do
	case $format in
	rw) "$ovbd" create 4M rw.data ;;
	append) "$ovbd" create 4M append.data append.index ;;
	sparse) "$ovbd" create --sparse 4M sparse.data sparse.index ;;
	esac
	upper="\"index\": \"$format.index\", \"data\": \"$format.data\""
	[ $format != rw ] || upper='"file": "rw.data"'
	echo "{$lowers, \"upper\": {$upper}, \"mine\": [1]}" >$format.json
	cp base $format.model
done
start_daemon

# put PLACE LENGTH: the same random bytes into each device, and into the models
put() {
	head -c "$2" /dev/urandom >piece
	for format in rw append sparse; do
		for to in $format.model "$tmp/$format.disk"; do
			dd if=piece of="$to" bs="$2" seek="$1" oflag=seek_bytes conv=notrunc,fsync status=none ||
				fail "dd $to"
		done
	done
}

same() {
	for format in rw append sparse; do
		cmp "$tmp/$format.disk" $format.model || fail "$format: $1"
	done
	ok "$1"
}

# is_layers FORMAT N WHAT: the N lowest layers of its configuration read as WHAT
is_layers() {
	python3 - "$1.json" "$2" >lowers.json <<-'END'
		import json, sys
		c = json.load(open(sys.argv[1]))
		assert c["mine"] == [1] and not any("sealing" in l for l in c["lowers"])
		print(json.dumps({"lowers": c["lowers"][:int(sys.argv[2])]}))
	END
	"$ovbd" convert -q -O raw --force lowers.json got
	cmp got "$3" || fail "$1: the layers are not $3"
	"$ovbd" check -q lowers.json || fail "$1: the layers are damaged"
}

attach_all() {
	for format in rw append sparse; do
		"$ovbd" attach -q -t fuse --id $format --path "$tmp/$format.disk" --rw $format.json
	done
}

attach_all
put 4096 70000
put 999999 12345
for format in rw append sparse; do
	cp $format.model $format.1
	"$ovbd" snapshot create $format >out
	grep -qx "$tmp/$format.data is a layer now, beneath $tmp/$format.data.1; writes waited [0-9]*\.[0-9]* ms" out ||
		fail "$(cat out)"
done
same "a snapshot"
put 5000 100
put 2000000 50000
for format in rw append sparse; do
	fallocate -p -o 1000000 -l 8192 $format.disk
	dd if=/dev/zero of=$format.model bs=8192 seek=1000000 count=1 oflag=seek_bytes conv=notrunc status=none
	is_layers $format 2 $format.1
	cp $format.model $format.2
done
for format in rw append sparse; do # by the API, with files of one's own
	body="{\"data\": \"$tmp/mine.$format\""
	[ $format = rw ] || body="$body, \"index\": \"$tmp/mine.$format.index\""
	api /v1/devices/$format/snapshot -d "$body}" >out
	grep -q "\"layer\": \"$tmp/$format.data.1\"" out || fail "$(cat out)"
	grep -q "\"data\": \"$tmp/mine.$format\"" out || fail "$(cat out)"
	grep -q '"layers": 3' out || fail "$(cat out)"
	is_layers $format 2 $format.1
	is_layers $format 3 $format.2
done
same "a second one"
put 7000 3000
stop_daemon KILL
start_daemon
same "killed"
for format in rw append sparse; do
	is_layers $format 3 $format.2
done

# as the original has it
cat >next.json <<-END
	{"lowers": [{"file": "base.ovbd"}, {"file": "$tmp/append.data"}, {"file": "append.data.1"}, {"file": "mine.append"}],
	 "upper": {"index": "o.index", "data": "o.data"}, "mine": [1]}
END
original() { # STATUS TEXT QUERY
	curl -sS -o out -w '%{http_code}' --unix-socket "$OVBD_SOCKET" -X POST "http://ovbdd/snapshot$3" | grep -qx "$1" ||
		fail "$3: $(cat out)"
	grep -qF "$2" out || fail "$3: $(cat out)"
}
next="config=$tmp/next.json"
original 400 '"success": false' ""
original 400 "Missing dev_id or config" "?dev_id=append"
original 404 '"Image file not found"' "?dev_id=none&$next"
original 500 '"Failed to create snapshot"' "?dev_id=append&$next"
original 500 "o.data: No such file" "?dev_id=append&$next"
"$ovbd" create 4M o.data o.index
chmod o+w next.json
original 500 "others than root" "?dev_id=append&$next"
chmod o-w next.json
cp append.model append.3
original 200 "Snapshot created successfully" "?dev_id=append&$next"
[ "$(tr -d ' \n' <out)" = '{"success":true,"message":"Snapshotcreatedsuccessfully"}' ] || fail "$(cat out)"
[ ! -e next.json ] || fail "the configuration has two names"
put 8192 4096
is_layers append 4 append.3
same "as the original has it"

# two at once, while somebody writes: each is made, one after the other
writer() {
	while [ -e writing ]; do
		put 300000 4096
	done
}
one=
: >writing
writer &
pid=$!
for format in rw append sparse; do
	"$ovbd" snapshot create -q $format &
	one="$one $!"
	"$ovbd" snapshot create -q $format &
	one="$one $!"
done
for p in $one; do
	wait "$p" || fail "a snapshot beside others"
done
rm writing
wait $pid
same "two at once"

# with a reload, a detach and an end on their heels
for format in rw append sparse; do
	"$ovbd" snapshot create -q $format &
	p=$!
	"$ovbd" reload
	"$ovbd" detach $format
	wait $p || [ $? = 1 ] || fail "a snapshot before a detach"
done
attach_all
same "detached"
for format in rw append sparse; do
	"$ovbd" snapshot create -q $format 2>/dev/null &
done
stop_daemon KILL
wait
start_daemon
same "killed meanwhile"
for format in rw append sparse; do
	"$ovbd" snapshot create -q $format
done
put 12345 6789
same "and again"

# what there is no snapshot of
expect 1 "there is none" "$ovbd" snapshot create none
"$ovbd" detach rw
"$ovbd" attach -q -t fuse --id ro --path "$tmp/ro.disk" rw.json
expect 1 "has no writable layer" "$ovbd" snapshot create ro
"$ovbd" attach -q -t fuse --id raw --path "$tmp/raw.disk" --rw base
expect 1 "has no writable layer" "$ovbd" snapshot create raw
expect 1 "of a snapshot's data and index both are given" "$ovbd" snapshot create append --data x
[ "$(api /v1/devices/append/snapshot -d '{"color": 1}' | grep -c 'no key of a snapshot')" = 1 ] || fail "a key"
ok "what there is no snapshot of"
