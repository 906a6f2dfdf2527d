#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# recordTracePath that is a text list of paths, as overlaybd's daemon has it, and a list with "attach --trace": what
# the files take is looked up and fetched once the device serves.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
command -v python3 >/dev/null || skip "python3 is not installed"
command -v mke2fs >/dev/null || skip "mke2fs is not installed"
command -v debugfs >/dev/null || skip "debugfs is not installed"

mkdir -p www root/bin root/other accelerated
random 300000 root/bin/tool
random 4000000 root/other/big
truncate -s 32M disk.raw
mke2fs -q -t ext4 -b 4096 -d root disk.raw
"$ovbd" convert -q -f raw disk.raw www/layer.ovbd
mkfifo hold
exec 7<>hold
"$OVBD_BUILD/tests/link_server" www 0 0 <hold >port &
pids="$pids $!"
wait_for test -s port
url=http://127.0.0.1:$(cat port)
layer="{\"url\": \"$url/layer.ovbd\"}"
echo "{\"lowers\": [$layer], \"recordTracePath\": \"$tmp/list\"}" >image.json
printf '/bin/tool\n/nowhere\n' >list

counted() {
	python3 -c 'import json, sys, urllib.request
print(json.load(urllib.request.urlopen(sys.argv[1] + "/~stats"))[sys.argv[2]])' "$url" "$1"
}
prefetched() {
	api /metrics | sed -n 's/^ovbd_prefetched_bytes_total \([0-9]*\).*/\1/p'
}
has_prefetched() { # BYTES more than before
	[ "$(prefetched)" -ge $((before + $1)) ]
}
# fetches_tool ATTACH...: whether the tool, and not all else, is fetched ahead, and nothing once more when it is read
fetches_tool() {
	before=$(prefetched) body=$(counted body)
	path=$("$ovbd" attach -t fuse --id one "$@")
	wait_for has_prefetched 295000
	wait_for said "one: $tmp/$told: /nowhere: File not found"
	body=$(($(counted body) - body)) requests=$(counted requests)
	[ $body -lt 600000 ] || fail "$body bytes for a file of 300000"
	"$OVBD_SOURCE/tests/lib/read-files.py" disk.raw "$path" /bin/tool || fail "wrong bytes"
	[ "$(counted requests)" = "$requests" ] || fail "fetched once more"
	cmp "$path" disk.raw || fail "not the image"
	"$ovbd" detach one
	[ "$(grep -cF "$told: " "$log")" = 1 ] || fail "not told once: $(cat "$log")"
}

start_daemon
if ! "$ovbd" trace from-paths list x.trace www/layer.ovbd 2>said; then
	grep -q "without libext2fs" said || fail "$(cat said)"
	path=$("$ovbd" attach -t fuse --id none image.json)
	wait_for said "without libext2fs"
	cmp "$path" disk.raw || fail "without libext2fs"
	"$ovbd" detach none
	stop_daemon TERM
	skip "this ovbd was built without libext2fs"
fi
told=list
fetches_tool image.json
[ ! -e list.lock ] || fail "recorded"
ok "recordTracePath"
stop_daemon TERM

start_daemon
cp list accelerated/trace
echo "{\"lowers\": [$layer, {\"dir\": \"$tmp/accelerated\"}], \"accelerationLayer\": true}" >accelerated.json
told=accelerated/trace
fetches_tool accelerated.json
ok "an acceleration layer"
stop_daemon TERM

start_daemon
told=list
fetches_tool --trace "$tmp/list" "$url/layer.ovbd"
before=$(prefetched)
path=$("$ovbd" attach -t fuse --id two --prefetch none image.json)
cmp "$path" disk.raw || fail "none"
[ "$(prefetched)" = "$before" ] || fail "fetched ahead, with none"
"$ovbd" detach two
stop_daemon TERM
ok "attach --trace, and --prefetch none"
