#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# info and map: for people and for programs, of a layer, a stack, an image configuration, other files.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

truncate -s 1M raw
put raw 4096 8192 3
head -c 4096 /dev/urandom | dd of=raw bs=4096 seek=1 conv=notrunc status=none
head -c 4096 /dev/urandom | dd of=raw bs=4096 seek=2 conv=notrunc status=none
cp raw new
head -c 4096 /dev/zero | dd of=new bs=4096 seek=2 conv=notrunc status=none
head -c 512 /dev/urandom | dd of=new bs=4096 seek=9 conv=notrunc status=none
layer --uuid 0badcafe-0000-4000-8000-000000000001 --tar raw base
layer -m "$(printf 'fix \033[31m red \377')" -c zstd:7 --block-size 16K -B base new delta

"$ovbd" info base >out
for words in "format: *ovbd, in a tar" "virtual size: *1 MiB (1048576 bytes)" "lz4, . blocks* of 4 KiB, each with a checksum" \
	"UUID: *0BADCAFE-0000-4000-8000-000000000001" "segments: *1 (8 KiB data, 0 B zeroed)"; do
	grep -q -e "$words" out || fail "no '$words' in: $(cat out)"
done
"$ovbd" info base delta >out
for words in "stack of 2 layers" "^layer 0: *base" "^layer 1: *delta" "parent UUID: *0BADCAFE" "zstd, .* 16 KiB" \
	'message: *fix \\x1b\[31m red \\xff'; do
	grep -q -e "$words" out || fail "no '$words' in: $(cat out)"
done
! grep -q "$(printf '\033')" out || fail "an escape sequence got through"
ok "info"

"$ovbd" info --output=json base delta >j
holds j ovbd.info.v1 "j['format'] == 'image'" "j['virtual-size'] == 1048576" "len(j['layers']) == 2" \
	"j['segments'] == 3" "j['data-size'] == 8192" "j['zero-size'] == 4096"
printf '{"repoBlobUrl":"","lowers":[{"file":"%s/base"},{"file":"delta"}],"upper":{},"future":1}' "$PWD" >image.json
"$ovbd" info --output=json image.json >j
size=$(stat -c %s delta)
holds j ovbd.info.v1 "j['format'] == 'image'" "j['segments'] == 3" \
	"[l['format'] for l in j['layers']] == ['ovbd', 'ovbd']" "[l['tar'] for l in j['layers']] == [True, False]" \
	"[l['remote'] for l in j['layers']] == [False, False]" "j['layers'][1]['compression']['codec'] == 'zstd'" \
	"j['layers'][1]['compression']['block-size'] == 16384" "j['layers'][1]['zero-size'] == 4096" \
	"j['layers'][1]['stored-size'] == $size" "j['layers'][1]['tag'] == 'fix \\\\x1b[31m red \\\\xff'" \
	"j['layers'][1]['parent-uuid'] == j['layers'][0]['uuid']"
layer raw other.raw -O zfile
"$ovbd" info --output=json other.raw >j
holds j ovbd.info.v1 "j['format'] == 'zfile'" "j['virtual-size'] == 1048576"
"$ovbd" info --output=json raw >j
holds j ovbd.info.v1 "j['format'] == 'raw'" "len(j['layers']) == 1" "'segments' not in j"
ok "info as JSON"

# The map of a stack, line by line.
"$ovbd" map base delta | awk 'NR > 1 { print $1, $2, $3, $4 }' >out
cat >want <<'END'
0 4096 hole -
4096 4096 data 0
8192 4096 zero 1
12288 24576 hole -
36864 4096 data 1
40960 1007616 hole -
END
diff want out || fail "the map"
"$ovbd" map --output=json base delta >j
holds j ovbd.map.v1 "j['virtual-size'] == 1048576" "sum(s['length'] for s in j['segments']) == 1048576" \
	"[(s['start'], s['kind'], s.get('layer')) for s in j['segments']][:3] == [(0, 'hole', None), (4096, 'data', 0), (8192, 'zero', 1)]"
# data is where map says it is: in the layer, unpacked
layer -f zfile -O raw base base.lsmt
off=$("$ovbd" map base | awk '$3 == "data" { print $5; exit }')
cmp -n 8192 -i "$off:4096" base.lsmt raw || fail "not at its offset"
"$ovbd" map raw | awk '$3 == "data" { n += $2 } END { exit n != 8192 && n != 1048576 }' || fail "the map of a raw file"
: >empty
layer empty empty.ovbd
"$ovbd" map --output=json empty.ovbd >j
holds j ovbd.map.v1 "j['segments'] == []"
ok "map"

# Errors are no JSON.
for verb in info map check; do
	[ -z "$("$ovbd" $verb --output=json nowhere 2>err)" ] || fail "$verb printed something"
	grep -q "^ovbd: $verb: nowhere: No such file" err || fail "$(cat err)"
done
[ -z "$("$ovbd" compare --output=json nowhere raw 2>err)" ] || fail "compare printed something"
expect 2 "--output is human or json" "$ovbd" info --output=xml base
"$ovbd" map base delta | head -n 1 >/dev/null || fail "a closed pipe"
# shellcheck disable=SC2016 # for the inner shell
[ ! -w /dev/full ] || expect 1 "standard output: No space left" sh -c '"$0" info base >/dev/full' "$ovbd"
ok "errors"
