#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Devices of ovbdd whose server is in trouble: reads are right, or errors; right again when the trouble is over; and
# a daemon that is started meanwhile serves them when it can. Nothing has to be attached again.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
. "$OVBD_SOURCE/tests/lib/faults.sh"

random 3000000 v1
cp v1 v2
head -c 100000 /dev/urandom | dd of=v2 bs=4096 seek=100 conv=notrunc status=none
"$ovbd" convert -q --tar v1 www/l1
"$ovbd" convert -q -B www/l1 v2 www/l2
cat >image.json <<EOT
{"lowers": [{"url": "$url/l1"}, {"url": "$url/l2"}]}
EOT

start_daemon
device=$("$ovbd" attach --id a image.json)
"$ovbd" attach --id b "$url/l1" >/dev/null
reads "$device" v2 5 right
for fault in status=404 status=403 ok200 longchunked=9 etag=%22x%22; do
	lies "$fault"
	reads "$device" v2 2 wrong
	"$ovbd" status a | grep -q "$url/l" || fail "not told: $("$ovbd" status a)"
	is_in_state a serving || fail "$("$ovbd" status a)"
	lies
	reads "$device" v2 3 right
	cmp state/b.raw v1 || fail "the other device"
done
ok "errors, and right again"

for fault in "reset at=body+100" "end at=head+40" close freeze; do
	[ "$fault" = freeze ] || fault="$fault times=3"
	proxy "$fault"
	reads "$device" v2 3 right
done
ok "no errors"

# a daemon that is started while the server is away
stop_daemon TERM
proxy refuse
proxy cut
start_daemon
wait_for is_in_state a failed
wait_for is_in_state b failed
"$ovbd" status a | grep -q "Connection refused" || fail "$("$ovbd" status a)"
! cat state/a.raw >/dev/null 2>&1 || fail "read what is not there"
proxy ok
wait_for is_in_state a serving
wait_for is_in_state b serving
heals "$("$ovbd" attach --id a image.json)" v2
cmp state/b.raw v1 || fail "the other device"
ok "started while its server was away"

# a server that is mute for as long as a read waits, and another device meanwhile
random 1000000 local
"$ovbd" attach --id c local >/dev/null
proxy stall
cat "$device" >/dev/null 2>&1 &
reader=$!
pids="$pids $reader"
cmp state/c.raw local || fail "a device that has nothing to do with it"
proxy ok
proxy cut
wait $reader || fail "a read that waited"
heals "$device" v2
for id in a b c; do
	"$ovbd" detach $id
done
stop_daemon TERM
ok "mute for a while"
