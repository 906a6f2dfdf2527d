# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest that has ovbdd: lib.sh, and
#
#   start_daemon         starts $ovbdd; returns when it is ready; $daemon
#   kill_daemon SIGNAL   ends it by the signal, and waits for its end
. /lib.sh

ovbdd=ovbdd

ready_times() {
	grep -c 'ready: listening' $log || :
}

is_ready_again() {
	kill -0 "$daemon" 2>/dev/null || fail "the daemon is gone"
	[ "$(ready_times)" -gt "$ready_before" ]
}

start_daemon() {
	ready_before=$(ready_times)
	$ovbdd >>$log 2>&1 &
	daemon=$!
	wait_for is_ready_again
	grep -q "^NoNewPrivs:.1$" "/proc/$daemon/status" || fail "ovbdd is not confined"
}

kill_daemon() {
	kill "-$1" "$daemon"
	wait "$daemon" 2>/dev/null || :
	! grep "is not allowed" $log || fail "ovbdd may not what it must"
}
