#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Serving while a command runs, and serving in the background.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

random 3000000 image

run() {
	"$ovbd" serve -q --fuse file --run "$1" image
}

# shellcheck disable=SC2016 # for the inner shell
run 'cmp "$OVBD_FILE" image && [ "$OVBD_FILE" = "$PWD/file" ]' || fail "--run"
[ ! -e file ] || fail "the file is still there"
[ "$(status_of run 'exit 7')" = 7 ] || fail "exit 7"
# shellcheck disable=SC2016 # for the inner shell
[ "$(status_of run 'kill -KILL $$')" = 137 ] || fail "killed"
[ "$(status_of run no-such-command 2>/dev/null)" = 127 ] || fail "no such command"
[ "$(status_of run 'umount file')" = 0 ] || fail "unmounted by the command"
[ "$(status_of run 'umount file; exit 3')" = 3 ] || fail "unmounted by the command"
ok "--run"

serve file --run 'trap "exit 9" TERM; echo waiting; while :; do sleep 0.05; done' image
wait_for said waiting
kill "$server"
ended 9
[ ! -e file ] || fail "the file is still there after the command"
ok "SIGTERM is passed on to the command"

# What the command leaves open is served on.
mkfifo go
serve file --run 'exec 8<file; { read -r x <go; cat <&8 >copy; } & exit 0' image
wait_for said "still in use"
is_running "$server" || fail "gone, but still in use"
echo >go
ended 0
cmp copy image || fail "what the command has left open"
ok "the command's heirs are served"

# If the file cannot be taken away when the command has ended, the server ends all the same.
if [ "$(id -u)" = 0 ]; then
	: >held
	expect 1 "is mounted there now" "$ovbd" serve --fuse held \
		--run "mount --bind '$tmp/image' '$tmp/held'" image
	umount held
	umount -l held
	ok "a place that cannot be given up"
fi

out=$("$ovbd" serve --background --fuse file image 2>&1) || fail "--background: $out"
[ -s file ] || fail "not there on return"
cmp file image || fail "in the background"
umount file 2>/dev/null || fusermount3 -u file
wait_for not test -e file
ok "--background"
