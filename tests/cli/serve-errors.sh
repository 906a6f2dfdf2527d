#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What cannot be served is refused with a sentence; what cannot be read is an error of that read.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

random 3000000 image
mkdir dir
echo words >full

expect 2 "--fuse FILE, --nbd ADDRESS or --ublk is missing" "$ovbd" serve image
expect 2 "exclude each other" "$ovbd" serve --ublk --fuse file image
expect 2 "--id goes with --ublk" "$ovbd" serve --id 3 --fuse file image
expect 2 "from 0 to" "$ovbd" serve --ublk --id x image
expect 1 "no disk of blocks of 512" "$ovbd" serve --ublk image
if [ ! -e /dev/ublk-control ]; then
	truncate -s 1M zeros
	expect 1 "modprobe ublk_drv" "$ovbd" serve --ublk zeros
	expect 1 "modprobe ublk_drv" "$ovbd" serve --background --ublk --id 3 zeros
fi
expect 2 "SRC is missing" "$ovbd" serve --fuse file
expect 2 "from 1 to" "$ovbd" serve --fuse file -j 0 image
expect 2 "from 1 to" "$ovbd" serve --fuse file -j 4x image
expect 2 "exclude each other" "$ovbd" serve --fuse file --run true --background image
expect 1 "no-such-image" "$ovbd" serve --fuse file no-such-image
expect 1 "no-such-image" "$ovbd" serve --background --fuse file no-such-image
expect 1 "is a directory" "$ovbd" serve --fuse dir image
expect 1 "is a directory" "$ovbd" serve --background --fuse dir image
expect 1 "holds 6 bytes already" "$ovbd" serve --fuse full image
expect 1 "not a regular file" "$ovbd" serve --fuse /dev/null image
expect 1 "No such file" "$ovbd" serve --fuse no/such/dir/file image
[ ! -e file ] || fail "a file without a server"
[ "$(cat full)" = words ] || fail "the user's file has changed"

# A file that is cut off under the server: its head is served, the rest is an error.
cp image cut
serve file -f raw cut
truncate -s 1000000 cut
dd if=file bs=4096 count=200 status=none | cmp -n 819200 - image || fail "the head"
if dd if=file of=/dev/null bs=4096 skip=400 count=1 status=none 2>dd.log; then
	fail "read what is not there"
fi
grep -qi "input/output error" dd.log || fail "$(cat dd.log)"
said "failed: cut: ends at" || fail "not told: $(cat "$log")"
cat file >/dev/null 2>&1 || :
[ "$(grep -c failed "$log")" -le 5 ] || fail "told too often"
kill "$server"
ended 0
ok "a read that fails"

# Without the device: in a mount namespace of our own, with another /dev.
unshare -m true 2>/dev/null || exit 0
# shellcheck disable=SC2016 # for the inner shell
expect 1 "modprobe fuse" unshare -m sh -c '
	mount -t tmpfs none /dev && exec "$0" serve --fuse file image' "$ovbd"
[ ! -e file ] || fail "the file is still there"
