#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A list of paths in place of a trace: what the files take is looked up and fetched in the background, once,
# and the image is served whatever comes of that.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
command -v mke2fs >/dev/null || skip "mke2fs is not installed"
command -v debugfs >/dev/null || skip "debugfs is not installed"
mkdir -p www root/bin root/lib/deep root/other
random 300000 root/bin/tool
random 200000 root/lib/a
random 100000 root/lib/deep/b
random 4000000 root/other/big
# So many others, that what tells where files are does not lie beside them by chance.
python3 - <<'PY'
import os, random
r = random.Random(3)
for i in range(300):
    os.mkdir(f"root/d{i}")
    with open(f"root/d{i}/{r.randbytes(60).hex()}", "w") as f:
        f.write(r.randbytes(1500).hex())
PY
truncate -s 32M disk.raw
mke2fs -q -t ext4 -b 4096 -d root disk.raw
"$ovbd" convert -q -f raw disk.raw www/disk.ovbd
"$ovbd" convert -q -f raw root/other/big www/noise.ovbd
printf '/bin/tool\n/lib/*\n' >list
if ! "$ovbd" trace from-paths list files.trace www/disk.ovbd 2>said; then
	grep -q "without libext2fs" said || fail "$(cat said)"
	serve file --trace list www/disk.ovbd
	cmp file disk.raw || fail "without libext2fs"
	skip "this ovbd was built without libext2fs"
fi

mkfifo hold
exec 7<>hold
"$OVBD_BUILD/tests/link_server" www 10 0 <hold >port &
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port2 2>/dev/null &
pids="$pids $! $(($! - 1))"
wait_for test -s port
wait_for test -s port2
url=http://127.0.0.1:$(cat port)
liar=http://127.0.0.1:$(cat port2)

counted() {
	python3 - "$1" "$2" <<'PY'
import json, sys, urllib.request
print(json.load(urllib.request.urlopen(sys.argv[1] + "/~stats"))[sys.argv[2]])
PY
}

forget() {
	python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/~forget")' "$url"
}

# Whether all that was planned has been brought, by what the server says of itself; the page that opening a URL
# has fetched is planned, and not brought.
is_brought() {
	kill -USR1 "$server"
	python3 - "$log" <<'PY'
import re, sys
said = re.findall(r"prefetch: .*\((\d+) bytes\) named; (.*) (.*) of (.*) (.*) brought", open(sys.argv[1]).read())
units = {"B": 1, "KiB": 1024, "MiB": 1 << 20}
if not said:
    sys.exit(1)
named = int(said[-1][0])
brought, planned = (float(n) * units[unit] for n, unit in (said[-1][1:3], said[-1][3:5]))
sys.exit(not (0 < named * 0.99 < planned and planned * 0.99 - 4096 < brought))
PY
}

# start FILE PATH...: reads of the device what these files, and where they are, take
start() {
	"$OVBD_SOURCE/tests/lib/read-files.py" disk.raw "$@" || fail "a start: $(cat "$log")"
}

forget
serve file -v "$url/disk.ovbd"
start file /bin/tool /lib/a /lib/deep/b
kill "$server"
ended 0
lazy=$(counted "$url" body) lazy_requests=$(counted "$url" requests)

for cache in "" "--cache cache"; do
	forget
	# shellcheck disable=SC2086 # none or two words
	serve file -v $cache --trace list --record-trace start.trace "$url/disk.ovbd"
	wait_for is_brought
	requests=$(counted "$url" requests) body=$(counted "$url" body)
	start file /bin/tool /lib/a /lib/deep/b
	more=$(($(counted "$url" requests) - requests))
	kill "$server"
	ended 0
	[ $more = 0 ] || fail "$more requests for what had been fetched"
	[ "$body" -le $((lazy * 5 / 4)) ] || fail "$body bytes, and $lazy without a list"
	ok "a list $cache: $body bytes in $requests requests ($lazy in $lazy_requests without), then none"
done

# What was looked up nobody has read: it is in no trace. /other has a directory that only the list reads.
printf '/other/big\n' >other
serve file -v --trace other --record-trace none.trace "$url/disk.ovbd"
wait_for is_brought
kill "$server"
ended 0
serve file -v --record-trace opened.trace "$url/disk.ovbd"
kill "$server"
ended 0
cmp none.trace opened.trace || fail "what was looked up is in the trace"
ok "not recorded"

# Whatever is wrong with it: told, once, and served.
served() { # SENTENCE LIST NAME WHAT
	serve file --trace "$2" "$url/$3.ovbd"
	wait_for said "$1"
	cmp file "$4" || fail "$1"
	kill "$server"
	ended 0
	[ "$(grep -cF -e "$2: " "$log")" = 1 ] || fail "not told once: $(cat "$log")"
}
printf '/nowhere\n/bin/tool\n/lib/no\nlib/a\n' >missing
served "missing: /nowhere: File not found by ext2_lookup (and 2 more)" missing disk disk.raw
served "list: the device holds no ext4" list noise root/other/big
ok "what is not there"

is_lied_to() {
	[ "$(counted "$liar" lies)" != 0 ]
}

# The image is open before anything is looked up, and is closed while that waits.
forget
serve file "$url/disk.ovbd"
opened=$(counted "$url" requests)
kill "$server"
ended 0
serve file --trace list "$liar/~after=$opened,mute/disk.ovbd"
wait_for is_lied_to
kill "$server"
ended 0
ok "neither opening nor closing waits"

head -c 1100000 /dev/zero | tr '\0' '/' >long
expect 1 "long: trace: " "$ovbd" serve --fuse file --trace long www/disk.ovbd
printf 'lib/a\n' >relative
expect 1 "relative: trace: " "$ovbd" serve --fuse file --trace relative www/disk.ovbd
