#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What ovbdd gives up once it is set up: as the kernel has it, for every thread; as an intruder would
# find it; and nothing that it needs.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
filtered=false
grep -q "^  *confine_filter.c\|confine_filter.c.o" "$OVBD_BUILD/build.ninja" && filtered=true

random 3000000 image
mkdir www
mv image www
mkfifo hold
exec 7<>hold # the web server ends when nobody has it open
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
pids="$pids $!"
wait_for test -s port

# The bit of a capability, as in CapEff
bit() {
	echo $((1 << $1))
}
allowed=$(($(bit 1) | $(bit 2) | $(bit 12) | $(bit 19) | $(bit 21))) # dac_*, net_admin, sys_ptrace, sys_admin

check_threads() {
	nthreads=0
	for task in /proc/"$daemon"/task/*; do
		status=$tmp/.status
		cat "$task/status" >"$status" 2>/dev/null || continue # it has just ended
		caps=$((0x$(awk '$1 == "CapPrm:" { print $2 }' "$status")))
		[ $((caps & ~allowed)) = 0 ] || fail "$status: CapPrm $caps"
		for set in CapEff CapInh CapBnd CapAmb; do
			caps=$((0x$(awk -v set=$set: '$1 == set { print $2 }' "$status")))
			[ $((caps & ~allowed)) = 0 ] || fail "$status: $set $caps"
		done
		grep -q "^NoNewPrivs:.1$" "$status" || fail "$status: $(cat "$status")"
		[ $filtered = false ] || grep -q "^Seccomp:.2$" "$status" || fail "$status: $(cat "$status")"
		nthreads=$((nthreads + 1))
	done
	[ $nthreads -ge "$1" ] || fail "only $nthreads threads"
	ok "$nthreads threads"
}

start_daemon --log-level debug
said "no_new_privs yes" || fail "$(cat "$log")"
check_threads 1
# By a name, so that there is a thread that resolves it
"$ovbd" attach -f raw --id far "http://localhost:$(cat port)/image" >path || fail "$(cat "$log")"
cmp "$(cat path)" www/image || fail "remote"
"$ovbd" attach -f raw --id near --path "$tmp/near" www/image >/dev/null
cmp near www/image || fail "local"
check_threads 5
# who uses a device is seen, whoever it is
exec 5<near
if command -v setpriv >/dev/null; then
	# shellcheck disable=SC2016 # the other shell's
	setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'echo $$ >&8; exec sleep 60' 5<&5 8>pid &
	pids="$pids $!"
	wait_for test -s pid
	exec 5<&-
	expect 1 "process $(cat pid) (sleep)" "$ovbd" detach near
	kill "$(cat pid)"
	wait_for "$ovbd" detach near 2>/dev/null
fi
"$ovbd" status --output=json >said.json
python3 - $filtered <<'EOF' || fail "$(cat said.json)"
import json, sys
c = json.load(open("said.json"))["confinement"]
assert c["no-new-privileges"] is True
assert c["system-call-filter"] is (sys.argv[1] == "true")
assert "sys_admin" in c["capabilities"]
assert set(c["capabilities"]) <= {"dac_override", "dac_read_search", "net_admin", "sys_ptrace", "sys_admin"}
assert c["refused-calls"] == 0, c
EOF
"$ovbd" status | grep -q "^  privileges  *no new ones" || fail "$("$ovbd" status)"
stop_daemon TERM
! said "is not allowed" || fail "it needs what it may not: $(cat "$log")"
ok "nothing is missing"

# With transports that need nothing there is nothing to be kept for them.
allowed=$(($(bit 1) | $(bit 2) | $(bit 19)))
start_daemon --transports "nbd-socket"
check_threads 1
"$ovbd" attach --id n -t nbd-socket www/image >/dev/null || fail "$(cat "$log")"
expect 1 "there are auto, nbd-socket" "$ovbd" attach -t fuse www/image
check_threads 2
[ "$("$ovbd" status --output=json | grep -c '"available"')" = 1 ] || fail "$("$ovbd" status)"
"$ovbd" detach n
stop_daemon TERM
[ "$(status_of "$ovbdd" --transports fuse,tape 2>err)" = 2 ] || fail "an unknown one"
grep -q "there is no 'tape'" err || fail "$(cat err)"
[ "$(status_of "$ovbdd" --transports , 2>err)" = 2 ] || fail "none"
echo '{"transports": "fuse, tape"}' >config
[ "$(status_of "$ovbdd" --config config --check-config 2>err)" = 2 ] || fail "an unknown one, in the configuration"
ok "--transports"

# An intruder
probe=$OVBD_BUILD/tests/cli/libconfine_probe.so
if [ ! -e "$probe" ]; then
	echo "no intruder: a sanitizer wants to be what is loaded first"
	exit 0
fi
export LD_PRELOAD="$probe" CONFINE_PROBE="$tmp/attempts"
start_daemon
unset LD_PRELOAD
kill -USR2 "$daemon"
tried() {
	grep -q "^end: done" attempts 2>/dev/null
}
wait_for tried
! grep -v "^end" attempts | grep "done" || fail "$(cat attempts)"
"$ovbd" attach --id after www/image >/dev/null || fail "it does not go on"
if $filtered; then
	said "the system call ptrace is not allowed" || fail "$(cat "$log")"
	"$ovbd" status | grep -q "^  refused  *[1-9][0-9]* (ptrace first)" || fail "$("$ovbd" status)"
fi
stop_daemon TERM
ok "an intruder: $(tr '\n' ' ' <attempts)"

export LD_PRELOAD="$probe"
rm attempts
start_daemon --no-seccomp
unset LD_PRELOAD
"$ovbd" status | grep -q "^  system calls  *all" || fail "$("$ovbd" status)"
stop_daemon TERM
ok "--no-seccomp"
