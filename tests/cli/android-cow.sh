#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Android's updates: shown, checked, read over their base, made into layers, put on each other.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

make=$OVBD_SOURCE/tests/lib/cow_make.py
python3 "$make" cows
data 1048576 1 >base.img

for name in v1-a-gz v1-s v1-b-gz v1-c-gz v1-e-gz v2-gz v2-cluster v3; do
	python3 "$make" --want base.img "$name" >want
	exits 0 "$ovbd" convert -q --force -O raw base.img "cows/$name" out
	cmp out want || fail "$name: wrong bytes"
	exits 0 "$ovbd" compare -q base.img "cows/$name" want
	exits 0 "$ovbd" check -q "cows/$name"
	# as a layer over the base, and the layer over the base again
	exits 0 "$ovbd" convert -q --force -f android-cow -B base.img "cows/$name" delta.ovbd
	exits 0 "$ovbd" convert -q --force -O raw base.img delta.ovbd out
	cmp out want || fail "$name: wrong bytes by its layer"
	# over a layer instead of the raw base
	layer base.img base.ovbd
	exits 0 "$ovbd" convert -q --force -O raw base.ovbd "cows/$name" out
	cmp out want || fail "$name: wrong bytes over a layer"
	rm base.ovbd
done
ok "over a base"

# one update on another, and layers above and between
python3 "$make" --want base.img v2-gz >one
python3 "$make" --want one v3 >two
exits 0 "$ovbd" convert -q --force -O raw base.img cows/v2-gz cows/v3 out
cmp out two || fail "two updates"
exits 0 "$ovbd" convert -q -B base.img cows/v2-gz one.ovbd
exits 0 "$ovbd" convert -q --force -O raw base.img one.ovbd cows/v3 out
cmp out two || fail "an update on a layer"
exits 0 "$ovbd" convert -q -B base.img -B cows/v2-gz cows/v3 two.ovbd
exits 0 "$ovbd" convert -q --force -O raw base.img one.ovbd two.ovbd out
cmp out two || fail "two layers"
exits 0 "$ovbd" convert -q -B base.img cows/v2-gz cows/v3 both.ovbd
exits 0 "$ovbd" compare -q base.img both.ovbd two
# a layer and an update made one: the zeros that the update copies hide what is below
cp base.img x.img
head -c 4096 /dev/zero | dd of=x.img bs=4096 seek=10 conv=notrunc status=none
exits 0 "$ovbd" convert -q -B base.img x.img x.ovbd
exits 0 "$ovbd" convert -q x.ovbd cows/v3 range.ovbd
exits 0 "$ovbd" convert -q --force -O raw base.img range.ovbd out
cmp -n 4096 -i 12288:0 out /dev/zero || fail "a copied zero block was lost"
ok "on each other"

# labels
exits 0 "$ovbd" info -q --label last cows/v2-unfinished >/dev/null
exits 0 "$ovbd" convert -q --force --label 1 -B base.img cows/v2-gz early.ovbd
exits 0 "$ovbd" convert -q --force -O raw base.img early.ovbd out
python3 - <<'PYTHON' || fail "up to label 1"
base, out, new = (open(n, "rb").read() for n in ("base.img", "out", "one"))
assert out[:6 * 4096] == new[:6 * 4096] and out[7 * 4096:] == base[7 * 4096:20 * 4096] + \
    new[20 * 4096:21 * 4096] + base[21 * 4096:]
PYTHON
expect 1 "no label 7 among its 2" "$ovbd" info --label 7 cows/v2-gz
expect 2 "it is a number, or last" "$ovbd" map --label x cows/v2-gz
ok "labels"

"$ovbd" info cows/v3-gz >out
for words in "format: *android-cow" "version: *3.0 (layout H), gz" \
	"operations: *2 copies, 4 replacements, 2 zeros, 1 xors" "merge: *1 of 9"; do
	grep -q "^$words" out || fail "info lacks '$words': $(cat out)"
done
"$ovbd" info --output=json cows/v2-cluster-gz >j
holds j ovbd.info.v1 "j['format'] == 'android-cow'" "j['layers'][0]['android-cow']['merged'] == 2" \
	"j['layers'][0]['android-cow']['sequence'] == 3"
"$ovbd" map base.img cows/v2-gz | grep -q "20480 *4096 *zero" || fail "map"
ok "info and map"

# what cannot be
expect 1 "block 3 is a copy of the base, which is needed" "$ovbd" convert -O raw cows/v2-gz no
expect 1 "it can be read up to its last label, 2" "$ovbd" info cows/v2-unfinished
head -c 40960 base.img >short
expect 1 "block 3 is made of the base at 40960, beyond its 40960 bytes" "$ovbd" info short cows/v2-gz
expect 1 "is no layer, but raw" "$ovbd" info cows/v2-gz base.img
expect 1 "is not of the format android-cow, but raw" "$ovbd" info -f android-cow base.img
expect 2 "the output is ovbd, lsmt, raw or zfile" "$ovbd" convert -O android-cow base.img no
layer base.img damaged.ovbd
printf XXXX | dd of=damaged.ovbd bs=1 conv=notrunc status=none
expect 1 "ends like a ZFile, but its header is damaged" "$ovbd" info damaged.ovbd cows/v2-gz
python3 -c 'b = bytearray(open("cows/v3-gz", "rb").read()); b[-3] ^= 1; open("bad", "wb").write(b)'
exits 2 "$ovbd" check bad 2>err
grep -q "do not decompress by gz" err || fail "$(cat err)"
[ ! -e no ] || fail "an output is left"
ok "refusals"
