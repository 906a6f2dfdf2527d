#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Traces as overlaybd's daemon has them: recorded into recordTracePath until PATH.lock is removed or the
# device ends, and replayed from there or from the acceleration layer.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
command -v python3 >/dev/null || skip "python3 is not installed"

random 4000000 raw
mkdir -p www accelerated state
"$ovbd" convert -q -f raw raw www/layer.ovbd
mkfifo hold
exec 7<>hold
"$OVBD_BUILD/tests/link_server" www 0 0 <hold >port &
pids="$pids $!"
wait_for test -s port
url=http://127.0.0.1:$(cat port)

layer="{\"url\": \"$url/layer.ovbd\"}"
config() { # FILE MORE: a configuration
	echo "{\"lowers\": [$layer], \"recordTracePath\": \"$tmp/start.trace\"$2}" >"$1"
}
config image.json ""
named() {
	"$ovbd" trace show "$1" | awk '$2 == 4096 * (1 + n) { found = 1 } END { exit !found }' n="$2"
}
prefetched() { # BYTES at least
	n=$(api /metrics | sed -n 's/^ovbd_prefetched_bytes_total //p')
	[ "${n%.*}" -ge "$1" ]
}

start_daemon
: >start.trace
path=$("$ovbd" attach -t fuse --id one image.json)
[ -e start.trace.lock ] || fail "no lock"
dd if="$path" of=/dev/null bs=4096 skip=500 count=1 iflag=direct status=none
rm start.trace.lock
wait_for test -e start.trace.ok
named start.trace 500 || fail "$("$ovbd" trace show start.trace)"
dd if="$path" of=/dev/null bs=4096 skip=700 count=1 iflag=direct status=none
"$ovbd" detach one
! named start.trace 700 || fail "recorded when it was over"
ok "until the lock is removed"

rm start.trace.ok
: >start.trace
path=$("$ovbd" attach -t fuse --id two image.json)
dd if="$path" of=/dev/null bs=4096 skip=600 count=1 iflag=direct status=none
[ ! -s start.trace ] || fail "written before its end"
"$ovbd" detach two
[ -e start.trace.ok ] || fail "no .ok"
[ ! -e start.trace.lock ] || fail "the lock is left"
named start.trace 600 || fail "$("$ovbd" trace show start.trace)"
ok "until the device ends"

before=$(api /metrics | sed -n 's/^ovbd_prefetched_bytes_total //p')
"$ovbd" attach -t fuse --id three image.json >/dev/null
[ ! -e start.trace.lock ] || fail "recorded again"
wait_for prefetched $((before + 4096))
"$ovbd" detach three
ok "and is replayed then"

cp start.trace accelerated/trace
rm start.trace start.trace.ok
layer="$layer, {\"dir\": \"$tmp/accelerated\"}"
config image.json ', "accelerationLayer": true'
before=$(api /metrics | sed -n 's/^ovbd_prefetched_bytes_total //p')
cmp "$("$ovbd" attach -t fuse --id four image.json)" raw || fail "not the image"
wait_for prefetched $((before + 4096))
"$ovbd" detach four
: >accelerated/trace
cmp "$("$ovbd" attach -t fuse --id five image.json)" raw || fail "not the image"
grep -q "accelerated/trace: trace: 0 bytes are too few" "$log" || fail "not told: $(cat "$log")"
"$ovbd" detach five
ok "an acceleration layer, and one without a trace"

before=$(api /metrics | sed -n 's/^ovbd_prefetched_bytes_total //p')
"$ovbd" attach -t fuse --id six --prefetch=all "$url/layer.ovbd" >/dev/null
wait_for prefetched $((before + 3900000))
"$ovbd" detach six
expect 1 "nowhere: No such file" "$ovbd" attach -t fuse --id seven --trace nowhere "$url/layer.ovbd"
stop_daemon TERM
expect 2 "prefetch 'some': must be none, trace or all" "$ovbdd" --prefetch some
ok "all"
