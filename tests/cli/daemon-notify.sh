#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What ovbdd tells systemd: that it is ready, reloads, lives and ends.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

python3 - "$tmp/notify" >told <<'PYTHON' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode(), flush=True)
PYTHON
pids="$pids $!"
wait_for test -S notify
told() {
	[ "$(grep -cx "$1" told)" -ge "$2" ]
}
export NOTIFY_SOCKET="$tmp/notify" WATCHDOG_USEC=400000
start_daemon
wait_for told READY=1 1
[ "$(head -n 1 told)" = READY=1 ] || fail "before it was ready: $(cat told)"
wait_for told WATCHDOG=1 3
"$ovbd" reload
wait_for told RELOADING=1 1
wait_for told READY=1 2
# people who connect and say nothing do not make it look dead
python3 -c 'import socket, sys, time
many = [socket.socket(socket.AF_UNIX) for _ in range(50)]
[s.connect(sys.argv[1]) for s in many]
print("connected", flush=True)
time.sleep(60)' "$OVBD_SOCKET" >connected &
pids="$pids $!"
wait_for grep -q connected connected
# for longer than any time between two signs of life here
is_silent() {
	silent=$(grep -c WATCHDOG=1 told)
	sleep 2
	[ "$(grep -c WATCHDOG=1 told)" = "$silent" ]
}

n=$(grep -c WATCHDOG=1 told)
wait_for told WATCHDOG=1 $((n + 3))
stop_daemon TERM
wait_for told STOPPING=1 1
! grep -q 'nobody answers' "$log" || fail "$(cat "$log")"
ok "ready, alive, reloaded, ended"

# Without answers it is not said that it lives: nobody answers at its socket, for a time;
start_daemon
wait_for told READY=1 3
mv "$OVBD_SOCKET" hidden
python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(100)
time.sleep(60)' "$OVBD_SOCKET" &
mute=$!
pids="$pids $mute"
wait_for grep -q 'nobody answers at' "$log"
wait_for is_silent || fail "alive without an answer"
kill $mute
mv -f hidden "$OVBD_SOCKET"
wait_for told WATCHDOG=1 $((n + 2))
stop_daemon TERM
wait_for told STOPPING=1 2
# or whoever has the list of devices keeps it.
if [ -x "$OVBD_BUILD/tests/kernel/ovbdd_faults" ]; then
	whole=$ovbdd
	ovbdd=$OVBD_BUILD/tests/kernel/ovbdd_faults
	export OVBD_FAULT_HANG=list-locked
	start_daemon
	unset OVBD_FAULT_HANG
	wait_for told READY=1 4
	: >image
	"$ovbd" attach image >/dev/null 2>&1 &
	pids="$pids $!"
	wait_for is_silent || fail "alive with a lock that nobody gives up"
	stop_daemon KILL
	ovbdd=$whole
	ok "who cannot answer is not alive"
fi

WATCHDOG_PID=1
export WATCHDOG_PID
: >told
start_daemon
sleep 1
! told WATCHDOG=1 1 || fail "somebody else's watchdog"
