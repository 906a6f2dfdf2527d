#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A served image is mounted through a loop device, and keeps working when the server is told to end.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

needs_root
losetup -f >/dev/null 2>&1 || skip "no loop devices"
command -v mkfs.ext4 >/dev/null || skip "mkfs.ext4 is not installed"

mkdir tree tree/dir mnt
random 3000000 tree/dir/large
seq 5000 >tree/numbers
ln -s dir/large tree/link
truncate -s 32M image
mkfs.ext4 -q -d tree image

is_free() {
	[ -z "$(losetup -n -O NAME -j "$tmp/file")" ]
}

serve file image
mount -o loop,ro file mnt || skip "no loop mounts here"
cmp mnt/numbers tree/numbers || fail "the file differs"
ok "mounted"

kill "$server"
wait_for not test -e file
wait_for said "still in use"
diff -r tree mnt -x lost+found || fail "the files differ after SIGTERM"
is_running "$server" || fail "the server has left its users"
ok "in use after SIGTERM"

umount mnt
ended 0
ok "ended with its last user"

# Past the page cache, so that every read asks the server.
serve file image
loop=$(losetup -f --show -r --direct-io=on file)
loops=$loop
dd if="$loop" bs=1M iflag=direct status=none | cmp - image || fail "the loop device differs"
kill "$server"
wait_for said "still in use"
dd if="$loop" bs=1M iflag=direct status=none | cmp - image || fail "it differs after SIGTERM"
kill "$server"
ended 0
if dd if="$loop" of=/dev/null bs=1M iflag=direct status=none 2>/dev/null; then
	fail "the loop device reads without its server"
fi
losetup -d "$loop"
loops=
wait_for is_free
ok "errors, not wrong bytes, after a second SIGTERM"
