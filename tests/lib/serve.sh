# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts that serve: cli.sh, and
#
#   serve FILE ARGUMENT...   starts "ovbd serve --fuse FILE ARGUMENT..."; returns when FILE is there;
#                            $server is its process, $log what it says
#   ended STATUS             waits for the end of $server, and wants STATUS
#   random SIZE FILE         makes a file that does not compress
. "${OVBD_SOURCE:?set OVBD_SOURCE to the source directory}/tests/lib/cli.sh"

log=$tmp/.log

needs_fuse() {
	[ -e /dev/fuse ] || skip "/dev/fuse is not there"
	(: <>/dev/fuse) 2>/dev/null || skip "/dev/fuse may not be opened"
	[ "$(id -u)" = 0 ] || [ -e /etc/mtab ] || skip "fusermount3 unmounts nothing without /etc/mtab"
	"$ovbd" serve --help | grep -q -e --fuse || skip "this ovbd was built without FUSE"
	if "$ovbd" serve -q -f raw --fuse .probe --run true "$OVBD_SOURCE/tests/lib/serve.sh" 2>.stderr; then
		return
	fi
	! grep -q "Operation not permitted" .stderr || skip "this user may not mount"
}

needs_root() {
	[ "$(id -u)" = 0 ] || skip "not root"
}

is_running() {
	kill -0 "$1" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null)" != Z ]
}

is_ready_or_over() {
	said "ready: " || ! is_running "$server"
}

is_mounted() {
	awk '{ print $5 }' /proc/self/mountinfo | grep -qxF "$tmp/$1"
}

serve() {
	file=$1
	shift
	: >"$log"
	"$ovbd" serve --fuse "$file" "$@" >>"$log" 2>&1 &
	server=$!
	pids="$pids $server"
	wait_for is_ready_or_over
	said "ready: " || fail "no server: $(cat "$log")"
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

random() {
	head -c "$1" /dev/urandom >"$2"
}

needs_fuse
