#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A remote image: only what is read is fetched; while it is not there reads are errors, and when it is
# back they are right.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
mkdir www
random 8000000 www/image

page() {
	dd if=file bs=4096 skip="$1" count=1 status=none
}

same_page() {
	page "$1" 2>/dev/null >one && dd if=www/image bs=4096 skip="$1" count=1 status=none | cmp -s - one
}

mkfifo hold
exec 7<>hold # the web server ends when nobody has it open
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
pids="$pids $!"
wait_for test -s port
port=$(cat port)

serve file -v -f raw "http://127.0.0.1:$port/image"
same_page 1000 || fail "a page"
kill -USR1 "$server"
wait_for said "fetched"
said "of the 7.63 MiB of 1 remote layer: " || fail "$(cat "$log")"
fetched=$(sed -n 's/.*fetched \([0-9.]* [KM]iB\).*/\1/p' "$log")
case $fetched in
*KiB) ok "one page read, $fetched fetched" ;;
*) fail "one page read, $fetched fetched" ;;
esac

mv www/image www/elsewhere
if page 100 >/dev/null 2>&1; then
	fail "read what is not there"
fi
said "failed: " || fail "not told: $(cat "$log")"
said "http://127.0.0.1:$port/image" || fail "not told which: $(cat "$log")"
mv www/elsewhere www/image
same_page 100 || fail "a page that could not be read before"
cmp file www/image || fail "the whole"
ok "an error while the image is not there"

kill "$server"
ended 0

# A server whose workers all wait for an answer that does not come.
asked() {
	python3 - "$port" "$1" <<'PY'
import json, sys, urllib.request
stats = json.load(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/~stats"))
mute = [1 for status, path, range in stats["log"] if "mute" in path]
sys.exit(len(mute) < int(sys.argv[2]))
PY
}

serve file -f raw "http://127.0.0.1:$port/~mute,after=6/image"
cat file >/dev/null 2>&1 &
reader=$!
pids="$pids $reader"
wait_for asked 7
kill "$server"
wait_for said "still in use"
started=$(date +%s)
kill "$server"
ended 0
wait_for not is_running "$reader"
[ $(($(date +%s) - started)) -lt 15 ] || fail "not at once"
ok "a second signal does not wait for the network"
