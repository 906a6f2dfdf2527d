#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the layers beneath have beyond the end of the device that a tar is applied to does not come back under a
# larger layer.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"

truncate -s 64M old
head -c 1M /dev/urandom | dd of=old bs=1M seek=40 conv=notrunc status=none
"$ovbd" convert -q old large
echo file >file
tar --owner=0 --group=0 -cf file.tar file
"$ovbd" apply -q --fs-size 16M file.tar small # of a large device it knows nothing
"$ovbd" apply -q -B large -B small file.tar applied
truncate -s 64M empty
"$ovbd" convert -q empty larger

"$ovbd" convert -q -O raw large small applied larger now
[ "$(stat -c %s now)" = 67108864 ] || fail "the device has $(stat -c %s now) bytes"
cmp -n 16777216 now empty >/dev/null 2>&1 && fail "the file system is not there"
cmp -i 16777216 now empty || fail "bytes from beneath the smaller device are back"
truncate -s 16M now
e2fsck -fn now >fsck.out 2>&1 || fail "$(cat fsck.out)"
ok "what is hidden stays hidden"

# and where nothing is hidden, nothing is said of it
"$ovbd" apply -q -B small file.tar plain
for layer in plain applied; do
	"$ovbd" info --output=json $layer | python3 -c 'import json, sys
print(json.load(sys.stdin)["layers"][0]["zero-size"])' >$layer.zero
done
[ $(($(cat applied.zero) - $(cat plain.zero))) = $((25 << 20)) ] || fail "$(cat applied.zero) and $(cat plain.zero)"
ok "where nothing is hidden"
