#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A server that was killed is not in the way of the next; a living one, or another mount, is.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

random 3000000 image
serve file image
expect 1 "another server has it" "$ovbd" serve --fuse file image
cmp file image || fail "the first server was disturbed"

for i in 1 2; do
	kill -KILL "$server"
	wait_for not is_running "$server"
	is_mounted file || fail "the kernel has cleared it away itself"
	if cat file >/dev/null 2>&1; then
		fail "a dead file can be read"
	fi
	serve file image
	cmp file image || fail "after a dead server"
	ok "after a dead server ($i)"
done

kill -KILL "$server"
wait_for not is_running "$server"
(
	cd /
	"$ovbd" serve --fuse "$tmp/file" --run "cmp '$tmp/file' '$tmp/image'" "$tmp/image"
) || fail "by another name"
is_mounted file && fail "it is still mounted"
[ ! -e file ] || fail "a dead server's file is still there"
ok "what a dead server has created is removed in the end"

# Several at the same time: one gets it.
servers=
for i in 1 2 3 4 5 6; do
	"$ovbd" serve --fuse file image 2>"log$i" &
	servers="$servers $!"
done
pids="$pids $servers"
one_is_left() {
	n=0
	for pid in $servers; do
		! is_running "$pid" || n=$((n + 1))
	done
	[ $n -le 1 ]
}
wait_for one_is_left
wait_for test -s file
[ "$n" = 1 ] || fail "none has got it: $(cat log?)"
[ "$(grep -c "$tmp/file " /proc/self/mountinfo)" = 1 ] || fail "mounted twice"
[ "$(cat log? | grep -c "another server has")" = 5 ] || fail "$(cat log?)"
cmp file image || fail "the one that got it does not serve"
ok "one of several gets the place"

[ "$(id -u)" = 0 ] || exit 0
: >place
mount --bind image place
expect 1 "is mounted there" "$ovbd" serve --fuse place image
cmp place image || fail "the other mount was disturbed"
umount place
