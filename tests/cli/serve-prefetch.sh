#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A remote image whose start was recorded: what the trace names comes in few requests, once, and
# little else; what cannot be fetched ahead is fetched when it is read.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
mkdir www
python3 - <<'PY'
import random
r = random.Random(1)
with open("raw", "wb") as f:
    for i in range(5120):  # 4 KiB each, which compress by half
        f.write(r.randbytes(2048) + bytes(2048))
with open("raw", "rb") as f, open("changed", "wb") as g:
    data = bytearray(f.read())
    for i in range(100, 200):
        data[i * 4096:i * 4096 + 2048] = r.randbytes(2048)
    g.write(data)
PY
"$ovbd" convert -q -f raw raw www/base.ovbd
"$ovbd" convert -q --tar -c zstd --block-size 64K -f raw -B www/base.ovbd changed www/delta.tar

mkfifo hold
exec 7<>hold # the web server ends when nobody has it open
"$OVBD_BUILD/tests/link_server" www 10 0 <hold >port &
pids="$pids $!"
wait_for test -s port
url=http://127.0.0.1:$(cat port)

counted() {
	python3 - "$url" "$1" <<'PY'
import json, sys, urllib.request
print(json.load(urllib.request.urlopen(sys.argv[1] + "/~stats"))[sys.argv[2]])
PY
}

forget() {
	python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/~forget")' "$url"
}

# start: what a start of the image reads, here a fifth of it in many places
start() {
	python3 - "$1" <<'PY'
import os, random, sys
r = random.Random(2)
want = open("changed", "rb").read()
fd = os.open(sys.argv[1], os.O_RDONLY)
for i in range(64):
    at = r.randrange(5120 - 24) * 4096
    if os.pread(fd, 24 * 4096, at) != want[at:at + 24 * 4096]:
        sys.exit(f"wrong bytes at {at}")
PY
}

# fetched ARGUMENT...: serves, starts, ends; $bytes and $requests are what went over the wire
fetched() {
	forget
	serve file -v "$@" "$url/base.ovbd" "$url/delta.tar"
	start file || fail "$*"
	kill "$server"
	ended 0
	bytes=$(counted body)
	requests=$(counted requests)
}

fetched --record-trace start.trace
lazy_bytes=$bytes lazy_requests=$requests
! said "prefetch: " || fail "nothing was to be fetched ahead: $(cat "$log")"

# named_bytes: what the log says of the trace
named_bytes() {
	sed -n 's/.*prefetch: .*(\([0-9]*\) bytes) named.*/\1/p' "$log" | head -n 1
}

fetched --trace start.trace
named=$(named_bytes)
[ "$bytes" -le $((named * 5 / 4)) ] || fail "$bytes bytes for $named that the trace names"
[ "$bytes" -le $((lazy_bytes * 5 / 4)) ] || fail "$bytes bytes, and $lazy_bytes without a trace"
[ "$requests" -le $((lazy_requests * 3 / 4)) ] || fail "$requests requests, and $lazy_requests without a trace"
said "were read; 0 failed" || fail "$(cat "$log")"
ok "trace: $bytes bytes in $requests requests ($lazy_bytes in $lazy_requests without)"

fetched --trace start.trace --prefetch=none
! said "prefetch: " || fail "none: $(cat "$log")"

fetched --trace start.trace --cache cache
[ "$bytes" -le $((named * 5 / 4)) ] || fail "$bytes bytes for $named that the trace names"
[ "$requests" -le $((lazy_requests * 3 / 4)) ] || fail "$requests requests, and $lazy_requests without a trace"
cached=$bytes
fetched --trace start.trace --cache cache
[ "$bytes" -le 16384 ] || fail "$bytes bytes, with all of it in the cache"
ok "trace with a cache: $cached bytes, and then $bytes"

# all of both objects, each byte once
all() {
	[ "$(counted body)" -ge "$size" ]
}
size=$(($(wc -c <www/base.ovbd) + $(wc -c <www/delta.tar)))
forget
serve file -v --prefetch=all --trace start.trace "$url/base.ovbd" "$url/delta.tar"
start file || fail "all"
wait_for all
cmp file changed || fail "the whole"
kill "$server"
ended 0
bytes=$(counted body)
[ "$bytes" -le $((size + 16384)) ] || fail "$bytes bytes, of $size"
ok "all: $bytes bytes"

# One that cannot be fetched
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port2 2>/dev/null &
pids="$pids $!"
wait_for test -s port2
bad=http://127.0.0.1:$(cat port2)
serve file -v --trace start.trace "$bad/~status=404,after=4,times=6/base.ovbd" "$bad/delta.tar"
start file || fail "a server that fails for a while"
kill "$server"
ended 0
said "were read; 6 failed" || fail "$(cat "$log")"
ok "what cannot be fetched ahead"

expect 2 "--prefetch trace goes with --trace" "$ovbd" serve --fuse file --prefetch=trace www/base.ovbd
expect 2 "--prefetch some: it is none, trace or all" "$ovbd" serve --fuse file --prefetch=some www/base.ovbd
expect 1 "port: trace: " "$ovbd" serve --fuse file --trace port www/base.ovbd
expect 1 "nowhere: No such file" "$ovbd" serve --fuse file --trace nowhere www/base.ovbd
