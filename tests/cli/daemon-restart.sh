#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ovbdd is killed, and its devices are there again; one whose image is gone heals when it is back.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

random 2000000 image
cp image gone
start_daemon
path=$("$ovbd" attach --id a image)
"$ovbd" attach --id b --path "$tmp/here" gone >/dev/null
for signal in KILL TERM KILL; do
	stop_daemon $signal
	start_daemon
	cmp "$path" image || fail "after SIG$signal"
	cmp here gone || fail "after SIG$signal: a path of one's own"
	ok "after SIG$signal"
done

stop_daemon KILL
mv gone away
echo '{' >state/devices/bad.json
start_daemon
said "bad.json: line" || fail "not told: $(cat "$log")"
cmp "$path" image || fail "one that fails is in the way of another"
is_in_state b failed || fail "$("$ovbd" list)"
"$ovbd" status b | grep -q "^error .*gone: No such file" || fail "$("$ovbd" status b)"
expect 1 "gone: No such file" "$ovbd" attach --id b --path "$tmp/here" gone
mv away gone
"$ovbd" reload
wait_for is_in_state b serving
cmp here gone || fail "healed, but wrong"
! "$ovbd" status b | grep -q "^error" || fail "$("$ovbd" status b)"
ok "a device whose image was gone"

# What was given up while it was in use does not come back; nor does half a state file stay.
exec 5<"$path"
"$ovbd" detach -q --lazy a
is_in_state a leaving || fail "$("$ovbd" list)"
echo '{' >state/devices/c.json.new
stop_daemon KILL
exec 5<&-
start_daemon
[ "$("$ovbd" list -q | cut -d' ' -f1)" = b ] || fail "what was detached is back: $("$ovbd" list)"
[ ! -e state/devices/c.json.new ] || fail "half a file: $(ls state/devices)"
"$ovbd" attach --id a image >/dev/null
ok "detached, then killed"

# One that was never served again leaves nothing of the dead daemon's behind when it is detached.
"$ovbd" attach --id c -t nbd-socket gone >/dev/null
stop_daemon KILL
mv gone away
start_daemon
is_in_state b failed || fail "$("$ovbd" list)"
is_in_state c failed || fail "$("$ovbd" list)"
is_mounted here || fail "no mount of the dead daemon's to begin with"
"$ovbd" detach b c
! is_mounted here || fail "a dead mount is left"
[ ! -e here ] || fail "a dead file is left"
[ ! -e state/c.nbd ] || fail "a dead socket is left"
mv away gone
"$ovbd" attach --id b --path "$tmp/here" gone >/dev/null
ok "detached without having been served again"

"$ovbd" detach a b
stop_daemon TERM
start_daemon --drain-on-exit
[ "$("$ovbd" list -q | wc -l)" = 0 ] || fail "what was detached is back: $("$ovbd" list)"
"$ovbd" attach --id a image >/dev/null
stop_daemon TERM
[ "$(ls state/devices)" = bad.json ] || fail "not drained: $(ls state/devices)"
[ ! -e "$path" ] || fail "its file is still there"
ok "drained at the end"

echo '{"workers": 2, "log-level": "debug"}' >config
"$ovbdd" --config config --check-config || fail "a good configuration"
echo '{"workers": 0}' >config
[ "$(status_of "$ovbdd" --config config --check-config 2>err)" = 2 ] || fail "a bad one"
grep -q 'config: "workers" must be' err || fail "$(cat err)"

# A reload is for what is attached from then on: it works on so many reads at a time. A server that is slow
# lets them be counted, by their threads.
mkdir www
cp image www/image
mkfifo hold
exec 7<>hold # the web server ends when nobody has it open
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
pids="$pids $!"
wait_for test -s port

nthreads() {
	find "/proc/$daemon/task" -mindepth 1 -maxdepth 1 | wc -l
}

# read_slowly ID: begins ten reads of a new device, each of which takes a second; $readers
read_slowly() {
	slow=$("$ovbd" attach -f raw --id "$1" "http://127.0.0.1:$(cat port)/~slow=4000,tag=$1/image")
	before=$(nthreads) readers=
	for i in 1 2 3 4 5 6 7 8 9 10; do
		dd if="$slow" of=/dev/null bs=4096 count=1 skip=$((i * 9)) iflag=direct 2>/dev/null &
		readers="$readers $!"
	done
}

has_ten() {
	[ $(($(nthreads) - before)) -ge 9 ]
}

echo '{"workers": 2}' >config
start_daemon --config config
"$ovbd" attach --id two image >/dev/null
read_slowly slow-two
sleep 1
[ $(($(nthreads) - before)) -le 2 ] || fail "two workers have $(($(nthreads) - before)) threads"
for reader in $readers; do
	wait "$reader" || fail "a slow read"
done
echo '{"workers": 100}' >config
"$ovbd" reload
wait_for said "reloaded"
echo '{"workers": 100' >config
expect 1 "config: line 2 column 0" "$ovbd" reload
echo '{"workers": "many"}' >config
expect 1 'config: "workers" must be' "$ovbd" reload
"$ovbd" attach --id hundred image >/dev/null
read_slowly slow-hundred
wait_for has_ten
for reader in $readers; do
	wait "$reader" || fail "a slow read"
done
ok "so many workers as the configuration says"
cmp state/two.raw image || fail "the old one"
cmp state/hundred.raw image || fail "the new one"
"$ovbd" drain
stop_daemon TERM
ok "workers, after a reload"
