#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Block devices: read like files, written in place, and only when that was meant.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

[ "$(id -u)" = 0 ] || skip "not root"
losetup -f >/dev/null 2>&1 || skip "no loop devices"

data 2000000 1 >raw
truncate -s 4M raw
cp raw disk
dev=$(losetup -f --show disk) || skip "no loop devices"
# cli.sh removes the directory, which does not detach the device
trap 'losetup -d "$dev" 2>/dev/null; cli_cleanup' EXIT

layer "$dev" l.ovbd
same l.ovbd raw
same "$dev" l.ovbd
ok "read"

data 3000000 2 >raw2
truncate -s 4M raw2
layer raw2 l2.ovbd
expect 1 "use --force to overwrite" "$ovbd" convert -O raw l2.ovbd "$dev"
cmp disk raw
expect 1 "only -O raw" "$ovbd" convert --force l2.ovbd "$dev"
expect 1 "is read from" "$ovbd" convert --force -O raw "$dev" "$dev"
truncate -s 5M large
expect 1 "has 4194304 bytes, but the image 5242880" "$ovbd" convert --force -O raw large "$dev"
cmp disk raw
layer --force -O raw l2.ovbd "$dev"
same "$dev" raw2
sync disk
cmp disk raw2 || fail "what was there shows where the image is zeros"
ok "written"

echo '{"lowers":[{"file":"l.ovbd"}]}' >stack.json
layer --force -O raw stack.json "$dev"
same "$dev" raw
