#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a server that root has started gives up, as the kernel has it.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"
needs_root

random 1000000 image
filtered=0
! grep -q "confine_filter.c.o" "$OVBD_BUILD/build.ninja" || filtered=2

# confined PID CAPABILITIES: none but those of the mask, in any thread
confined() {
	for task in /proc/"$1"/task/*; do
		status=$tmp/.status
		cat "$task/status" >"$status" 2>/dev/null || continue # it has just ended
		caps=$((0x$(awk '$1 == "CapPrm:" { print $2 }' "$status")))
		[ $((caps & ~$2)) = 0 ] || fail "$status: capabilities $caps"
		grep -q "^NoNewPrivs:.1$" "$status" || fail "$(cat "$status")"
		grep -q "^Seccomp:.$filtered$" "$status" || fail "$(cat "$status")"
	done
}
files=$((1 << 1 | 1 << 2)) admin=$((1 << 21)) bind=$((1 << 10))

serve file image
confined "$server" $((files | admin))
cmp file image || fail "wrong bytes"
kill "$server"
ended 0
ok "fuse"

"$ovbd" serve -q --nbd sock image &
server=$!
pids="$pids $server"
wait_for test -S sock
confined "$server" $((files | bind))
kill "$server"
ended 0
ok "nbd: may not even mount"

"$ovbd" serve -q --background --fuse "$tmp/file" image
server=$(pgrep -f -x "$ovbd serve -q --background --fuse $tmp/file image")
pids="$pids $server"
confined "$server" $((files | admin))
cmp file image || fail "wrong bytes in the background"
umount file
wait_for not is_running "$server"
ok "in the background"

filtered=0
serve file --no-seccomp image
confined "$server" $((files | admin))
kill "$server"
ended 0
# shellcheck disable=SC2016 # the other shell's
[ "$("$ovbd" serve -q --fuse file --run 'grep -c "^NoNewPrivs:.0$" /proc/$$/status' image)" = 1 ] || fail "--run"
ok "--no-seccomp, --run"
