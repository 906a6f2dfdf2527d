#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A signal ends a conversion with 128 and its number, and leaves nothing behind.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

head -c 64M /dev/urandom >raw
mkfifo pipe
mkdir out
echo old >out/old

# interrupted SIGNAL STATUS ARGUMENT...
interrupted() {
	signal=$1 want=$2
	shift 2
	# a shell ignores SIGINT for what it starts in the background; python3 does not
	python3 -c '
import re, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
number = getattr(signal, sys.argv[1])
p = subprocess.Popen(sys.argv[3:], stderr=open(".stderr", "w"),
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
def caught():
    with open(f"/proc/{p.pid}/status") as status:
        return int(re.search(r"SigCgt:\s*(\w+)", status.read())[1], 16) >> (number - 1) & 1
while not caught(): # it has not begun; Python itself catches SIGINT only
    time.sleep(0.01)
time.sleep(float(sys.argv[2]))
p.send_signal(number)
try:
    r = p.wait(10)
except subprocess.TimeoutExpired:
    p.kill()
    sys.exit("did not end")
print(r)' "$signal" 0.15 "$ovbd" "$@" >.result || fail "$signal: $*"
	[ "$(cat .result)" = "$want" ] || fail "ended with $(cat .result), not $want: $(cat .stderr)"
	grep -q interrupted .stderr || fail "$(cat .stderr)"
	[ "$(ls -A out)" = old ] || fail "left: $(ls -A out)"
	[ "$(cat out/old)" = old ] || fail "out/old has changed"
	ok "$signal: convert $*"
}

interrupted SIGINT 130 convert -j1 -c zstd:19 raw out/x
interrupted SIGTERM 143 convert -j1 -c zstd:19 raw out/x
interrupted SIGHUP 129 convert -j2 -c zstd:19 --tar raw out/x
interrupted SIGINT 130 convert -j1 --force -c zstd:19 raw out/old

# While it waits for standard input
exec 3<>pipe
interrupted SIGINT 130 convert - out/x <pipe
exec 3>&-

# Killed: nothing has a name yet. (Where files without a name exist, that is.)
"$ovbd" convert -q -j1 -c zstd:19 raw out/x &
pid=$!
sleep 0.15
kill -KILL $pid
wait $pid 2>/dev/null || :
[ "$(ls -A out)" = old ] || echo "note: this file system has no files without names: $(ls -A out)"
