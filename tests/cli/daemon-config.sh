#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Image configurations as the container snapshotter writes them: where layers are found, what is refused, and
# what has no effect, which is said once.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

random 3000000 v1
cp v1 v2
printf x | dd of=v2 bs=1 seek=1000000 conv=notrunc status=none
"$ovbd" convert -q --tar v1 l1
"$ovbd" convert -q -B v1 v2 l2
mkdir -p snapshots/1/fs snapshots/2/fs snapshots/3/fs snapshots/3/block
cp l1 snapshots/1/fs/overlaybd.commit
cp l2 snapshots/2/fs/.commit
digest=sha256:$(sha256sum l1 | cut -d' ' -f1)
config=$tmp/snapshots/3/block/config.v1.json
write() { # LOWERS MORE
	cat >"$config" <<-JSON
		{"repoBlobUrl": "https://localhost/v2/a/b/blobs", "lowers": [$1],
		 "upper": {}, "resultFile": "init-debug.log"$2}
	JSON
}
lowers="{\"digest\": \"$digest\", \"size\": $(stat -c %s l1), \"dir\": \"$tmp/snapshots/1/fs\"},
	{\"file\": \"/gone\", \"dir\": \"../../2/fs\"}"
more=', "recordTracePath": "/trace", "download": {"enable": true, "delay": 600}'

start_daemon
write "$lowers" "$more"
cmp "$("$ovbd" attach --id 3 "$config")" v2 || fail "not the image"
"$ovbd" detach 3
write "$lowers, {\"dir\": \"$tmp/snapshots/3/fs\"}" ", \"accelerationLayer\": true$more"
cmp "$("$ovbd" attach --id 3 "$config")" v2 || fail "with an acceleration layer: not the image"
"$ovbd" detach 3
key="recordTracePath (beside accelerationLayer)"
[ "$(grep -c "device 3: its image configuration: $key has no effect" "$log")" = 1 ] ||
	fail "$key is not named once: $(cat "$log")"
ok "keys without effect are named once"

refused() { # LOWERS MORE SENTENCE
	write "$1" "$2"
	expect 1 "device 3: $config: $3" "$ovbd" attach --id 3 "$config"
}
refused "$lowers" ', "upper": {}' 'line 3, column'
refused '{"file": "/gone"}' '' 'lowers[0]: /gone does not exist'
refused '{"dir": "../fs"}' '' 'lowers[0]: ../fs holds no layer'
refused "$lowers, {\"file\": \"l2\", \"targetDigest\": \"$digest\"}" '' 'lowers[2].targetDigest: a turboOCI'
sed 's/"upper": {}/"upper": {"index": "i", "data": "d"}/' "$config" >other
cp other "$config"
expect 1 "turboOCI" "$ovbd" attach --id 3 "$config"
write "$lowers" ''
sed 's/"upper": {}/"upper": {"index": "i", "data": "d"}/' "$config" >other
cp other "$config"
expect 1 "block/d: No such file" "$ovbd" attach --id 3 "$config"
printf x | dd of=snapshots/2/fs/.commit bs=1 seek=3000 conv=notrunc status=none
write "$lowers" ''
# a damaged layer: at the open if its index is, else at the read
{ path=$("$ovbd" attach --id 3 "$config" 2>err) && ! cat "$path" >/dev/null 2>&1; } || grep -q "2/fs/.commit" err ||
	fail "a damaged layer: $(cat err)"
ok "a damaged layer"
