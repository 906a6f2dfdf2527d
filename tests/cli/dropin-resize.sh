#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# overlaybd-resize: an image's writable layer and its ext4, larger and smaller.
. "${OVBD_SOURCE:?}/tests/lib/dropin.sh"

[ -w /dev/fuse ] || skip "no /dev/fuse that can be opened"
PATH=$PATH:/sbin:/usr/sbin
command -v resize2fs >/dev/null || skip "no resize2fs"

resize=$bin/overlaybd-resize
mkdir files
head -c 2000000 /dev/urandom >files/big
tar -C files -cf a.tar .
mkdir 0 1
"$bin/overlaybd-create" 0/writable_data 0/writable_index 1 --mkfs >/dev/null
config 0.json "$tmp/0"
"$bin/overlaybd-apply" a.tar 0.json >/dev/null 2>&1
"$bin/overlaybd-commit" 0/writable_data 0/writable_index 0.commit -z -t >/dev/null 2>&1
"$bin/overlaybd-create" 1/writable_data 1/writable_index 0 >/dev/null # as large as what is beneath
config 1.json "$tmp/1" "$tmp/0.commit"
echo '{"credentialFilePath": "/nowhere", "cacheConfig": {"cacheSizeGB": 0}, "registryCacheSizeGB": 0}' >service.json

# is FILE GIB
is() {
	"$ovbd" convert -q --force -O raw "$1" is.raw
	[ "$(stat -c %s is.raw)" = $(($2 << 30)) ] || fail "$1: $(stat -c %s is.raw) bytes"
	e2fsck -fn is.raw >fsck 2>&1 || fail "$1: $(cat fsck)"
	[ "$(dumpe2fs -h is.raw 2>/dev/null | sed -n 's/^Block count: *//p')" = $(($2 << 18)) ] || fail "$1: another file system"
	debugfs -R 'cat /big' is.raw 2>/dev/null | cmp - files/big || fail "$1: /big"
}

for json in 0.json 1.json; do
	for size in 3 2; do
		"$resize" --size $size --service_config_path service.json --config $json >out 2>err || fail "$(cat err)"
		grep -Eqx "Success: filesystem resized to $size GB \([0-9]+\.[0-9]{3} seconds\)" out || fail "$(cat out)"
		[ ! -s err ] || fail "$(cat err)"
		is $json $size
	done
	ok "$json"
done

# merged it is as large as it has become (the original: as it was)
"$bin/overlaybd-merge" 1.json merged >/dev/null 2>&1
"$ovbd" info merged | grep -q "^virtual size: *2 GiB " || fail "$("$ovbd" info merged)"
"$ovbd" compare -q --strict 1.json merged || fail "merged it is something else"

for size in 0 -1 x 1.5 99999999999999999999; do
	refused 2 "invalid size: $size" "$resize" --config 0.json --size="$size"
done
refused 2 "--size is missing" "$resize" --config 0.json
refused 2 "--config is missing" "$resize" --size 1
refused 1 "nowhere.json: No such file or directory" "$resize" --config nowhere.json --size 1
refused 1 "nowhere.json: No such file or directory" "$resize" --config 0.json --size 1 --service_config_path nowhere.json
config ro.json "" "$tmp/0.commit"
refused 1 "ro.json" "$resize" --config ro.json --size 1
is 0.json 2
ok "what is refused changes nothing"
