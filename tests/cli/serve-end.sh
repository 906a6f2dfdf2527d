#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The ways in which a server ends.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

random 3000000 image

for signal in TERM HUP; do
	serve file -v image
	cmp file image
	kill -$signal "$server"
	ended 0
	said "2.86 MiB; 0 failed" || fail "no statistics: $(cat "$log")"
	[ ! -e file ] || fail "the file is still there after SIG$signal"
	ok "SIG$signal, idle"
done

# A shell lets what it runs in the background ignore SIGINT; a terminal's does not.
python3 - "$ovbd" <<'PY' || fail "SIGINT"
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
p = subprocess.Popen([sys.argv[1], "serve", "-q", "--fuse", "file", "image"], stderr=subprocess.PIPE)
end = time.monotonic() + 20
while not os.path.exists("file") or os.stat("file").st_size == 0:
    assert time.monotonic() < end
    time.sleep(0.02)
p.send_signal(signal.SIGINT)
assert p.wait(20) == 0
assert p.stderr.read() == b""
PY
[ ! -e file ] || fail "the file is still there after SIGINT"
ok "SIGINT"

serve file --cache kept image # it has threads of its own, from before there is a device
kill "$server"
ended 0
[ ! -e file ] || fail "the file is still there"
ok "SIGTERM, with a cache"

serve file image
kill -INT "$server"
kill -USR1 "$server"
wait_for said "0 reads"
is_running "$server" || fail "it did not ignore SIGINT"
ok "an ignored SIGINT stays ignored; SIGUSR1 tells how much was read"
umount file
ended 0
[ ! -e file ] || fail "the file is still there after umount"
ok "umount"

serve file image
exec 9<file
kill "$server"
wait_for not test -e file
wait_for said "still in use"
cmp - image <&9 || fail "the open file differs"
ok "in use: the name is gone, the file is still read"
serve file image
cmp file image
kill "$server"
ended 0
ok "meanwhile the name is free for another"
server=${pids% *}
server=${server##* }
exec 9<&-
wait_for not is_running "$server"
ok "ended with its last user"

serve file image
exec 9<file
kill "$server"
wait_for said "still in use"
kill "$server"
ended 0
if dd bs=1M iflag=direct status=none <&9 >/dev/null 2>&1; then
	fail "a file without a server can be read"
fi
exec 9<&-
ok "a second signal ends it at once"

: >own
chmod 644 own
serve own image
kill "$server"
ended 0
[ "$(stat -c '%s %a' own)" = "0 644" ] || fail "the user's own file has changed"
ok "an empty file that was there is there again"

# Another mount on top is not touched.
if [ "$(id -u)" = 0 ]; then
	serve own image
	echo other >other
	mount --bind other own
	kill "$server"
	wait_for said "is mounted there now"
	[ "$(cat own)" = other ] || fail "the other mount is gone"
	umount own
	cmp own image || fail "it does not go on"
	kill "$server"
	ended 0
	is_mounted own && fail "it is still mounted"
	ok "another mount over it is left alone"
fi
