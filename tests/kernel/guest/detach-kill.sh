# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest, after ovbdd-lib.sh: detach_and_kill TRANSPORT kills the daemon at moments of a
# detach, while something for the disk is in the kernel's cache. The disk goes on soon after the next daemon's
# start (1 to 3 s here; most of that is the start of the daemon, which a busy host makes longer), or is gone,
# and the user's write is neither lost nor hangs.

is_gone() {
	! kill -0 "$1" 2>/dev/null
}

is_unknown() {
	! ovbd status "$1" >/dev/null 2>&1
}

detach_and_kill() {
	longest=0
	for ms in 0 10 30 80; do
		dd if=/dev/urandom of=/tmp/written bs=64k count=8 2>/dev/null
		truncate -s 4M /tmp/killed.raw
		disk=$(ovbd attach -t "$1" --id killed -f raw --rw /tmp/killed.raw)
		rm -f /tmp/dirty
		{
			dd if=/tmp/written bs=64k >&3 && : >/tmp/dirty
			while [ ! -e /tmp/enough ]; do usleep 10000; done
			dd if=/dev/null of="$disk" conv=fsync,notrunc || :
		} 3<>"$disk" 2>/dev/null &
		user=$!
		wait_for test -e /tmp/dirty
		ovbd detach --lazy killed >/dev/null 2>&1 &
		detacher=$!
		usleep ${ms}000
		kill -KILL "$daemon"
		wait_for is_gone "$daemon"
		wait "$daemon" 2>/dev/null || :
		started=$(now_ms)
		start_daemon
		: >/tmp/enough
		wait_for is_gone $user
		took=$(($(now_ms) - started))
		[ $took -le $longest ] || longest=$took
		[ $took -le 15000 ] || fail "$1: killed $ms ms into a detach: $took ms"
		rm /tmp/enough
		cmp -n 524288 -s /tmp/written /tmp/killed.raw || fail "$1: $ms ms: what was written is lost"
		ovbd detach --lazy killed >/dev/null 2>&1 || :
		wait_for is_unknown killed
		wait $user $detacher || :
		rm /tmp/killed.raw
	done
	ok "$1: killed at 4 moments of a detach: its users went on within $longest ms"
}
