#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A slow server for one device delays no other, and twenty of them take the time of one.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
mkdir www
random 200000 www/image
mkfifo hold
exec 7<>hold # the web server ends when nobody has it open
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
pids="$pids $!"
wait_for test -s port
url=http://127.0.0.1:$(cat port)
start_daemon

# The table of files has room for many devices from the start: growing it holds up all threads.
room=$(awk '$1 == "FDSize:" { print $2 }' "/proc/$daemon/status")
limit=$(awk '/^Max open files/ { print $5 < 4096 ? $5 : 4096 }' "/proc/$daemon/limits")
[ "$room" -ge "$limit" ] || fail "room for $room files"
ok "room for $room files"

# One that never answers holds up nobody.
"$ovbd" attach -f raw --id mute "$url/~mute/image" 2>err &
mute=$!
waits() {
	is_in_state mute opening 2>/dev/null
}
wait_for waits
[ ! -e state/devices/mute.json ] || fail "kept before it was ever there"
cp www/image local
cmp "$("$ovbd" attach --id local local)" local || fail "a local image"
waits || fail "the mute server has answered: $(cat err)"
ok "a mute server delays no other device"

# Who detaches it meanwhile does not wait for its server, and its id is free.
"$ovbd" attach -f raw --id slow "$url/~mute/image" 2>err2 &
slow=$!
is_opening() {
	is_in_state "$1" opening 2>/dev/null
}
is_listed() {
	"$ovbd" list -q | grep -q "^$1 "
}
wait_for is_opening slow
started=$(date +%s)
"$ovbd" detach slow
[ $(($(date +%s) - started)) -lt 5 ] || fail "a detach that waits for a mute server"
! wait $slow || fail "attached though it was detached"
grep -q "device slow: was detached" err2 || fail "$(cat err2)"
cmp "$("$ovbd" attach --id slow local)" local || fail "its id is not free"
"$ovbd" detach slow
# Who asked for it has gone, and nobody else waits.
"$ovbd" attach -f raw --id alone "$url/~mute/image" 2>/dev/null &
alone=$!
wait_for is_opening alone
kill -KILL $alone
wait_for not is_listed alone
waits || fail "the mute server has answered: $(cat err)"
ok "an attach is given up: by detach, and when its client has gone"

now_ms() {
	date +%s%3N
}
# The first answer is 4 KiB, of which 4096 bytes a second come.
started=$(now_ms)
"$ovbd" attach -f raw --id one "$url/~slow=4096,times=1,tag=one/image" >/dev/null
one=$(($(now_ms) - started))
[ $one -ge 800 ] || fail "not slow: $one ms"

started=$(now_ms)
attaching=
for i in $(seq 20); do
	"$ovbd" attach -f raw --id "d$i" "$url/~slow=4096,times=1,tag=d$i/image" >/dev/null &
	attaching="$attaching $!"
done
for pid in $attaching; do
	wait "$pid" || fail "an attach of many"
done
all=$(($(now_ms) - started))
ok "one $one ms, twenty $all ms"
[ $all -lt $((5 * one)) ] || fail "one after the other"
[ "$("$ovbd" list -q | grep -c " serving ")" = 22 ] || fail "$("$ovbd" list)"
for i in 1 20; do
	cmp state/d$i.raw www/image || fail "wrong bytes"
done
for i in $(seq 20); do
	"$ovbd" detach "d$i" &
	attaching="$attaching $!"
done
two_are_left() {
	[ "$("$ovbd" list -q | grep -c " serving ")" = 2 ]
}
wait_for two_are_left

# An attach that waits does not hold up the end.
stop_daemon TERM
! wait "$mute" || fail "attached to nothing"
grep -q "mute: the daemon is ending" err || grep -q ovbdd.sock err || fail "$(cat err)"
