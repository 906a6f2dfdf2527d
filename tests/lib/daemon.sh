# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts that talk to ovbdd: serve.sh, and
#
#   start_daemon ARGUMENT...   starts ovbdd with the state directory "state"; returns when it is
#                              ready; $daemon is its process, $log what it says
#   stop_daemon SIGNAL         ends it by SIGNAL
#   api PATH ARGUMENT...       curl of its API
. "${OVBD_SOURCE:?set OVBD_SOURCE to the source directory}/tests/lib/serve.sh"

ovbdd=$OVBD_BUILD/daemon/ovbdd
[ -x "$ovbdd" ] || skip "ovbdd was not built"
command -v curl >/dev/null || skip "curl is not installed"
needs_root
export OVBD_SOCKET="$tmp/state/ovbdd.sock"

daemon_is_ready_or_over() {
	said "ready: " || ! is_running "$daemon"
}

# shellcheck disable=SC2120 # most scripts have no arguments for it
start_daemon() {
	: >"$log"
	"$ovbdd" --state-dir "$tmp/state" "$@" 2>>"$log" &
	daemon=$!
	pids="$pids $daemon"
	wait_for daemon_is_ready_or_over
	said "ready: " || fail "no daemon: $(cat "$log")"
}

stop_daemon() {
	kill "-$1" "$daemon"
	wait_for not is_running "$daemon"
	s=0
	wait "$daemon" || s=$?
	! said "is not allowed" || [ -n "${CONFINE_PROBE-}" ] || fail "it may not what it must: $(cat "$log")"
	[ "$1" = KILL ] || [ $s = 0 ] || fail "ovbdd ended with $s: $(cat "$log")"
}

api() {
	path=$1
	shift
	curl -sS --unix-socket "$OVBD_SOCKET" "$@" "http://ovbdd$path"
}

state_of() {
	"$ovbd" status "$1" | awk '$1 == "state" { print $2 }'
}

is_in_state() {
	[ "$(state_of "$1")" = "$2" ]
}
