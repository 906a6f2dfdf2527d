#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The control socket of snapuserd, with a client and a kernel of our own (tests/lib/snapuserd.py).
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

# a system, and what it becomes: blocks moved by one, in both directions, new ones, zeros
random 8388608 old
{
	dd if=old bs=4096 count=500 skip=1
	dd if=old bs=4096 count=300 skip=500
	head -c 700416 /dev/urandom
	head -c 819200 /dev/zero
	dd if=old bs=4096 skip=1171
} >new 2>/dev/null
[ "$(stat -c %s new)" = 8388608 ] || fail "new has $(stat -c %s new) bytes"
"$ovbd" cow create -q --from old new fresh.cow
mkdir channels

step() { # NAME ARGUMENT...: with everything as it was
	name=$1
	shift
	python3 "$OVBD_SOURCE/tests/lib/snapuserd.py" "$tmp/snapuserd" "$tmp/channels" "$tmp/base" \
		"$tmp/new" "$tmp/cow" "$name" "$@" || fail "$name: $(cat "$log")"
	ok "$name"
}

anew() {
	cp old base
	cp fresh.cow cow
}

start() {
	start_daemon --snapuserd-socket "$tmp/snapuserd" --snapuserd-mode 0660 --dm-user-dir "$tmp/channels"
}

start
[ "$(stat -c %a snapuserd)" = 660 ] || fail "the socket's mode is $(stat -c %a snapuserd)"
anew
step hostile
step merge
anew
step snapshot
[ "$("$ovbd" info cow | awk '$1 == "merge:" { print $2 == $4 }')" = 1 ] || fail "$("$ovbd" info cow)"
anew
step begin "$daemon"
wait_for not is_running "$daemon"
start
step go_on
anew
step stop
stop_daemon TERM
[ ! -e snapuserd ] || fail "the socket is still there"

expect 2 "must be octal" "$ovbdd" --state-dir "$tmp/state" --snapuserd-mode rw
