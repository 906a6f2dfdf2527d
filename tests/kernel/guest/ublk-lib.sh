# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest that serve by ublk.
. /lib.sh

# serve OPTION... FILE: starts ublk_server as $server and waits for the disk, $disk.
serve() {
	: >/tmp/disk
	ublk_server "$@" >/tmp/disk 2>>"$log" &
	server=$!
	wait_for grep -q ublkb /tmp/disk
	read -r disk </tmp/disk
}

# ended STATUS: the server ends, and with it the disk.
ended() {
	wait_for not kill -0 "$server" 2>/dev/null
	status=0
	wait "$server" || status=$?
	[ "$status" = "$1" ] || fail "the server ended with $status"
	[ ! -e "$disk" ] || fail "$disk is still there"
}
