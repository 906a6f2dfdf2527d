#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# dm-update files: shown, checked, read over their base, made into layers, made of images, of stacks and of
# Android's updates.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

lib=$OVBD_SOURCE/tests/lib
python3 "$lib/dm_update.py" make updates
data 1048576 1 >base.img
for name in none lz4 zstd deflate bits-9 bits-16 one-block nothing spare bits-19; do
	python3 "$lib/dm_update.py" of base.img "$name" >want
	exits 0 "$ovbd" convert -q --force -O raw base.img "updates/$name" out
	cmp out want || fail "$name: wrong bytes"
	exits 0 "$ovbd" check -q "updates/$name"
	exits 0 "$ovbd" convert -q --force -f dm-update -B base.img "updates/$name" layer.ovbd
	same base.img layer.ovbd want
done
# alone: a layer that leaves the size to what lies below
exits 0 "$ovbd" convert -q --force updates/bits-19 layer.ovbd
same base.img layer.ovbd want
ok "over a base"

# on each other, and on Android's
python3 "$lib/cow_make.py" cows
python3 "$lib/cow_make.py" --want base.img v3 >one
python3 "$lib/dm_update.py" of one zstd >two
same base.img cows/v3 updates/zstd two
layer -B base.img cows/v3 updates/zstd both.ovbd
same base.img both.ovbd two
layer updates/deflate cows/v1-s range.ovbd
"$ovbd" convert -q -O raw base.img updates/deflate cows/v1-s want2
same base.img range.ovbd want2
ok "on each other"

# what we write, read by another; of two images, of stacks, of an update
cp base.img new.img
put new.img 12288 300000 2
put new.img 1000000 3000 7
layer base.img base.ovbd
layer -B base.ovbd new.img delta.ovbd
for how in "none 4K" "lz4 16K" "zstd:19 64K" "deflate 64K"; do
	codec=${how% *}
	chunk=${how#* }
	exits 0 "$ovbd" convert -q --force -O dm-update -c "$codec" --block-size "$chunk" -B base.img new.img u
	python3 "$lib/dm_update.py" apply u base.img >out || fail "$how: others cannot read it"
	cmp out new.img || fail "$how: others read wrong bytes"
	same base.img u new.img
done
exits 0 "$ovbd" convert -q --force -O dm-update -c deflate -B base.ovbd base.ovbd delta.ovbd u2
cmp u u2 || fail "of a stack, other bytes than of an image"
exits 0 "$ovbd" convert -q --force -j 1 -O dm-update -c deflate -B base.img new.img u2
cmp u u2 || fail "other bytes with another number of threads"
exits 0 "$ovbd" convert -q --force -O dm-update -B base.img cows/v3 u
python3 "$lib/dm_update.py" apply u base.img | cmp - one || fail "of a COW"
# without a base: what a part of a stack has, or all of an image
exits 0 "$ovbd" convert -q --force -O dm-update delta.ovbd u
python3 "$lib/dm_update.py" apply u base.img | cmp - new.img || fail "of a layer"
[ "$(stat -c %s u)" -lt 400000 ] || fail "of a layer: $(stat -c %s u) bytes"
exits 0 "$ovbd" convert -q --force -O dm-update new.img u
python3 "$lib/dm_update.py" apply u base.img | cmp - new.img || fail "of all of an image"
# blocks of 512 where the device ends within one of 4096
head -c 1003008 new.img >odd.new
head -c 1003008 base.img >odd.base
exits 0 "$ovbd" convert -q --force -O dm-update -B odd.base odd.new u
python3 "$lib/dm_update.py" apply u odd.base | cmp - odd.new || fail "sectors"
"$ovbd" info u | grep -q "up to 128 blocks of 512 B at once" || fail "$("$ovbd" info u)"
ok "writing"

"$ovbd" info updates/zstd >out
for words in "format: *dm-update" "compression: *zstd, up to 4 blocks of 4 KiB at once" \
	"writes: *48 KiB in 12 blocks"; do
	grep -q "^$words" out || fail "info lacks '$words': $(cat out)"
done
"$ovbd" info --output=json updates/lz4 >j
holds j ovbd.info.v1 "j['format'] == 'dm-update'" "j['layers'][0]['dm-update']['blocks'] == 12" \
	"j['layers'][0]['dm-update']['chunks'] == 4"
"$ovbd" map updates/lz4 | grep -q "^ *20480 *8192 *data" || fail "$("$ovbd" map updates/lz4)"
ok "info and map"

expect 1 "writes up to 1048576, beyond the base of 1000000 bytes" \
	sh -c "head -c 1000000 base.img >short; '$ovbd' info short updates/lz4"
expect 1 "SRC has 1003008 bytes, its base 1048576: a dm-update cannot change that" \
	"$ovbd" convert -O dm-update -B base.img odd.new no
expect 1 "the device has 1000 bytes: a dm-update consists of whole sectors" \
	sh -c "head -c 1000 base.img >tiny; '$ovbd' convert -O dm-update tiny no"
expect 1 "are a copy of what lies below" "$ovbd" convert -O dm-update cows/v1-s no
expect 2 "cannot go to standard output" "$ovbd" convert -O dm-update base.img -
expect 2 "has no references, UUIDs, message or tar" "$ovbd" convert -O dm-update --tar base.img no
expect 2 "deflate is for -O dm-update" "$ovbd" convert -c deflate base.img no
python3 -c 'b = bytearray(open("updates/deflate", "rb").read()); b[70] ^= 255; open("bad", "wb").write(b)'
exits 2 "$ovbd" check bad 2>err
grep -q "chunk 0: .* do not decompress by deflate to 4 blocks" err || fail "$(cat err)"
[ ! -e no ] || fail "an output is left"
ok "refusals"
