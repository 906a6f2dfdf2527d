#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layers that are downloaded: by two at once, with a full disk, no faster than told; by ovbd serve and as
# overlaybd's daemon.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
command -v python3 >/dev/null || skip "python3 is not installed"

random 3000000 v1
"$ovbd" convert -q --tar v1 l1
digest=sha256:$(sha256sum l1 | cut -d' ' -f1)
mkdir -p www layers
cp l1 www/l1
mkfifo hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
pids="$pids $!"
exec 7>hold
wait_for test -s port
url=http://127.0.0.1:$(cat port)

config() { # NAME URL DIR DOWNLOAD
	mkdir -p "$3"
	echo "{\"lowers\": [{\"url\": \"$2\", \"digest\": \"$digest\", \"dir\": \"$3\"}]$4}" >"$1.json"
}
now=', "download": {"enable": true, "delay": 0, "delayExtra": 0, "maxMBps": 0}'
slow=', "download": {"enable": true, "delay": 0, "delayExtra": 0, "maxMBps": 1, "blockSize": 65536}'
sent() {
	curl -sS "$url/~stats" | python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes"])'
}
is_complete() {
	[ -e "$1/overlaybd.commit" ] && [ "$(ls -A "$1")" = overlaybd.commit ]
}

# ---- the limit: of 1 MB/s no more comes than the time that has passed allows ----

config a "$url/l1" layers/a "$slow"
start_daemon
begin=$(date +%s%N)
"$ovbd" attach --id a a.json >/dev/null
has_some() {
	[ "$(stat -c %s layers/a/.download 2>/dev/null || echo 0)" -ge 1000000 ]
}
wait_for has_some
have=$(sent)
passed=$((($(date +%s%N) - begin) / 1000000)) # ms
# what was read to open it, and a block that is on its way
[ "$have" -le $((passed * 1000 + 65536 + 300000)) ] || fail "$have bytes in $passed ms"
ok "no faster than told"

# ---- another process is at it: its file is not touched, and used when it is complete ----

wait_for is_complete layers/a
"$ovbd" detach a
config b "$url/~tag=b/l1" layers/b "$now"
mkfifo go
python3 -c '
import fcntl, os, struct
fd = os.open("layers/b/.download", os.O_RDWR | os.O_CREAT, 0o644)
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
open("locked", "w").close()
open("go").read()
os.write(fd, open("l1", "rb").read())
os.rename("layers/b/.download", "layers/b/overlaybd.commit")' &
pids="$pids $!"
wait_for test -e locked
"$ovbd" serve -v --nbd "$tmp/sock" b.json 2>served &
server=$!
pids="$pids $server"
wait_for test -S sock
echo go >go
wait_for grep -q "layers/b/overlaybd.commit is complete" served
cmp layers/b/overlaybd.commit l1 || fail "not the layer"
curl -sS "$url/~stats" >stats
# only what was read to open it came by the second's URL
python3 -c '
import json
n = [r[2] for r in json.load(open("stats"))["log"] if "tag=b" in r[1]]
assert len(n) <= 6, n' || fail "it has fetched it too"
kill -TERM $server
wait $server || fail "it ended with $?: $(cat served)"
ok "another process"

# ---- a full disk: what was begun is removed, and the image is there ----

mkdir full
if mount -t tmpfs -o size=1m tmpfs full 2>/dev/null; then
	config c "$url/~tag=c/l1" full "$now"
	place=$("$ovbd" attach --id c c.json)
	wait_for said "c/l1: download: .download: write: No space left on device; it is given up"
	[ -z "$(ls -A full)" ] || fail "left: $(ls -A full)"
	cmp "$place" v1 || fail "not the image"
	"$ovbd" detach c
	umount full
	ok "a full disk"
else
	echo "note: no tmpfs can be mounted: a full disk was not tested"
fi
stop_daemon TERM

# ---- ovbd serve ----

config d "$url/~tag=d/l1" layers/d "$now"
"$ovbd" serve -v --nbd "$tmp/sock2" d.json 2>served &
server=$!
pids="$pids $server"
wait_for is_complete layers/d
wait_for grep -q "layers/d/overlaybd.commit is complete" served
kill -TERM $server
wait $server || fail "it ended with $?: $(cat served)"
ok "ovbd serve"

# ---- as overlaybd-tcmu: what the image does not say is in overlaybd.json, as it is then ----

mkdir bin
ln -s "$ovbdd" bin/overlaybd-tcmu
conf() { # ENABLE
	cat >overlaybd.json <<-JSON
		{"logConfig": {"logPath": "$log"}, "enableAudit": false, "cacheConfig": {"cacheDir": "$tmp/kept"},
		 "download": {"enable": $1, "delay": 0, "delayExtra": 0, "maxMBps": 0}}
	JSON
}
conf false
: >"$log"
bin/overlaybd-tcmu --state-dir "$tmp/state" "$tmp/overlaybd.json" 2>>"$log" &
daemon=$!
pids="$pids $daemon"
wait_for daemon_is_ready_or_over
said "ready: " || fail "$(cat "$log")"
config e "$url/~tag=e/l1" layers/e ""
config f "$url/~tag=f/l1" layers/f ""
"$ovbd" attach --id e e.json >/dev/null
conf true
place=$("$ovbd" attach --id f f.json)
wait_for is_complete layers/f
[ -z "$(ls -A layers/e)" ] || fail "it was not enabled: $(ls -A layers/e)"
cmp "$place" v1 || fail "not the image"
"$ovbd" detach e
"$ovbd" detach f
stop_daemon TERM
ok "overlaybd.json"
