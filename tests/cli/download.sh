#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layers are fetched in the background while they are read lazily, and become files.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
command -v python3 >/dev/null || skip "python3 is not installed"

random 3000000 v1
"$ovbd" convert -q --tar v1 l1
digest=sha256:$(sha256sum l1 | cut -d' ' -f1)
size=$(stat -c %s l1)
mkdir -p www layers
cp l1 www/l1
mkfifo hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
web=$!
pids="$pids $web"
exec 7>hold
wait_for test -s port
url=http://127.0.0.1:$(cat port)

# config NAME URL DIGEST DOWNLOAD: of one layer, in layers/NAME
config() {
	mkdir -p "layers/$1"
	echo "{\"lowers\": [{\"url\": \"$2\", \"digest\": \"$3\", \"dir\": \"layers/$1\"}]$4}" >"$1.json"
}
now=', "download": {"enable": true, "delay": 0, "delayExtra": 0, "maxMBps": 0}'
asked() { # for the layer, since the server last forgot
	curl -sS "$url/~stats" | python3 -c 'import json, sys; print(json.load(sys.stdin)["requests"])'
}
is_complete() {
	[ -e "layers/$1/overlaybd.commit" ] && [ "$(ls -A "layers/$1")" = overlaybd.commit ]
}

# ---- from beginning to end, with a daemon that has given up what it does not need ----

config a "$url/l1" "$digest" "$now"
start_daemon --metrics-original
place=$("$ovbd" attach --id a a.json)
wait_for is_complete a
wait_for said "l1: download: $tmp/layers/a/overlaybd.commit is complete"
cmp layers/a/overlaybd.commit l1 || fail "not the layer"
curl -sS "$url/~forget"
cmp "$place" v1 || fail "not the image"
[ "$(asked)" = 0 ] || fail "the network was asked $(asked) times"
# who opens it next finds it
config a "http://127.0.0.1:1/l1" "$digest" "$now"
cmp "$("$ovbd" attach --id a2 a.json)" v1 || fail "not the image"
ok "a layer becomes a file"

# another digest: it is removed, said once, and read lazily
config b "$url/~tag=b/l1" "sha256:$(printf '%064d' 7)" "$now"
place=$("$ovbd" attach --id b b.json)
wait_for said "b/l1: download: its digest is $digest, not sha256:0"
said "; it is given up, and read as before" || fail "$(cat "$log")"
[ -z "$(ls -A layers/b)" ] || fail "left: $(ls -A layers/b)"
cmp "$place" v1 || fail "not the image"
ok "another digest"

# no directory to write to: so it is
config c "$url/~tag=c/l1" "$digest" "$now"
rmdir layers/c
place=$("$ovbd" attach --id c c.json)
wait_for said "c/l1: download: $tmp/layers/c: No such file or directory; it is given up"
cmp "$place" v1 || fail "not the image"
ok "no directory"

# nothing is fetched that nobody asked for, nor before its time
config d "$url/~tag=d/l1" "$digest" ""
config e "$url/~tag=e/l1" "$digest" ', "download": {"enable": true, "delay": 3600}'
cmp "$("$ovbd" attach --id d d.json)" v1 || fail "not the image"
cmp "$("$ovbd" attach --id e e.json)" v1 || fail "not the image"
[ -z "$(ls -A layers/d)$(ls -A layers/e)" ] || fail "$(ls -A layers/d layers/e)"
ok "not asked for"
api /metrics >metrics
"$OVBD_SOURCE/tests/lib/openmetrics.py" <metrics \
	'm("ovbd_downloads_total", result="done") == m("ovbd_downloads_total", result="wrong") == 1' \
	'm("ovbd_downloads_total", result="failed") == 1' \
	"m('ovbd_downloaded_bytes_total') == 2 * $size" \
	'm("OverlayBD_Count", type="download") > m("ovbd_downloaded_bytes_total")' || { [ $? = 77 ] || fail "metrics"; }
for id in a a2 b c d e; do
	"$ovbd" detach $id
done

# ---- interrupted ----

# killed in the middle; what is there is not fetched again. A block of 256K a quarter of a second.
slow=', "download": {"enable": true, "delay": 0, "delayExtra": 0, "maxMBps": 1}'
config f "$url/~tag=f/l1" "$digest" "$slow"
has_half() {
	[ "$(stat -c %s layers/f/.download 2>/dev/null || echo 0)" -ge 1500000 ]
}
"$ovbd" attach --id f f.json >/dev/null
wait_for has_half
stop_daemon KILL
[ ! -e layers/f/overlaybd.commit ] || fail "it was too quick"
curl -sS "$url/~forget"
start_daemon
wait_for is_complete f
cmp layers/f/overlaybd.commit l1 || fail "not the layer"
sent=$(curl -sS "$url/~stats" | python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes"])')
[ "$sent" -lt 2200000 ] || fail "$sent bytes were fetched after the half of it was there"
"$ovbd" detach f

# what somebody has left is not what it says: all of it is fetched
config g "$url/~tag=g/l1" "$digest" "$now"
head -c "$size" /dev/zero >layers/g/.download
"$ovbd" attach --id g g.json >/dev/null
wait_for is_complete g
cmp layers/g/overlaybd.commit l1 || fail "not the layer"
"$ovbd" detach g

# a server that is away for a while
config h "$url/~status=503,times=9,after=1/l1" "$digest" "$now"
"$ovbd" attach --id h h.json >/dev/null
wait_for said "; it is tried again later"
wait_for is_complete h
cmp layers/h/overlaybd.commit l1 || fail "not the layer"
"$ovbd" detach h
stop_daemon TERM
ok "gone on with"
