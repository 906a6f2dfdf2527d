# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts that serve NBD clients: cli.sh, and
#
#   serve_nbd ARGUMENT...   starts "ovbd serve --nbd disk.sock ARGUMENT..."; returns when it is ready;
#                           $server is its process, $log what it says, $uri where it is
#   ended STATUS            waits for the end of $server, and wants STATUS
. "${OVBD_SOURCE:?set OVBD_SOURCE to the source directory}/tests/lib/cli.sh"

log=$tmp/.log

for tool in nbdinfo nbdcopy qemu-img qemu-io; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
"$ovbd" serve --help | grep -q -e --nbd || skip "this ovbd was built without servers"

is_running() {
	kill -0 "$1" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null)" != Z ]
}

is_ready_or_over() {
	said "ready: " || ! is_running "$server"
}

serve_nbd() {
	: >"$log"
	"$ovbd" serve --nbd disk.sock "$@" >>"$log" 2>&1 &
	server=$!
	pids="$pids $server"
	wait_for is_ready_or_over
	said "ready: " || fail "no server: $(cat "$log")"
	# shellcheck disable=SC2034 # for the scripts
	uri=$(sed -n 's/.*ready: .*\(nbd.*\)/\1/p' "$log")
}

ended() {
	wait_for not is_running "$server"
	s=0
	wait "$server" || s=$?
	! said "is not allowed" || fail "it may not what it must: $(cat "$log")"
	[ $s = "$1" ] || fail "the server ended with $s, not $1: $(cat "$log")"
}

said() {
	grep -qF -e "$1" "$log"
}
