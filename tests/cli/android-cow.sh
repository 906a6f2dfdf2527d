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
exits 0 "$ovbd" convert -q x.ovbd cows/v1-s range.ovbd
exits 0 "$ovbd" convert -q --force -O raw base.img x.ovbd cows/v1-s want
cmp -n 4096 -i 12288:0 want /dev/zero || fail "a copied zero block was lost"
same base.img range.ovbd want
ok "on each other"

# what they copy is not stored, but referred to; and then no layer can be read without what it was made over
"$ovbd" info range.ovbd >said
grep -q "^references: *4 KiB of what lies below, which has at least 48 KiB" said || fail "$(cat said)"
grep -q "warning: *overlaybd cannot open it: it refers to what lies below" said || fail "$(cat said)"
"$ovbd" info --output=json range.ovbd >j
holds j ovbd.info.v1 "j['layers'][0]['reference-size'] == 4096" "j['layers'][0]['version'] == '2.0'"
"$ovbd" map range.ovbd | grep -q "^ *16384 *4096 *ref *- *45056$" || fail "$("$ovbd" map range.ovbd)"
"$ovbd" map --output=json range.ovbd >j
holds j ovbd.map.v1 "[s for s in j['segments'] if s['kind'] == 'ref'][0]['offset'] == 45056"
exits 0 "$ovbd" check -q range.ovbd
expect 1 "layer 0: refers to what lies below it, up to 49152, and nothing does" \
	"$ovbd" convert -O raw range.ovbd no
head -c 45056 base.img >short
expect 1 "up to 49152, which ends at 45056: it was made over another" \
	"$ovbd" convert -O raw short range.ovbd no
"$ovbd" convert -q -f zfile -O raw range.ovbd range.lsmt
python3 "$OVBD_SOURCE/tests/lib/lsmt_facts.py" --refused range.lsmt || fail "others may read it"
for cow in v2-gz v3; do
	python3 "$make" --want base.img $cow >want
	exits 0 "$ovbd" convert -q --force -B base.img "cows/$cow" refs.ovbd
	same base.img refs.ovbd want
	exits 0 "$ovbd" convert -q --force --no-references -B base.img "cows/$cow" whole.ovbd
	same base.img whole.ovbd want
	"$ovbd" info --output=json whole.ovbd >j
	holds j ovbd.info.v1 "j['layers'][0]['reference-size'] == 0"
	"$ovbd" convert -q --force -f zfile -O raw whole.ovbd whole.lsmt
	python3 "$OVBD_SOURCE/tests/lib/lsmt_facts.py" whole.lsmt || fail "others cannot read it"
	# references are resolved through layers, and through references
	exits 0 "$ovbd" convert -q --force -O raw want range.ovbd two
	for by in refs whole; do
		same base.img $by.ovbd range.ovbd two
		exits 0 "$ovbd" convert -q --force $by.ovbd range.ovbd two.ovbd
		same base.img two.ovbd two
	done
	exits 0 "$ovbd" convert -q --force -B base.img base.img refs.ovbd flat.ovbd
	same base.img flat.ovbd want
done
ok "references"

# without the base its size is not known, and what is copied can only be referred to
exits 0 "$ovbd" convert -q --force cows/v1-s alone.ovbd
holds_size=$("$ovbd" info alone.ovbd | sed -n 's/^virtual size: *//p')
[ "$holds_size" = "0 bytes" ] || fail "virtual size $holds_size"
exits 0 "$ovbd" convert -q --force -O raw base.img cows/v1-s want
same base.img alone.ovbd want
exits 0 "$ovbd" convert -q --force cows/v1-s cows/v1-b-gz alone.ovbd
exits 0 "$ovbd" convert -q --force -O raw base.img cows/v1-s cows/v1-b-gz want
same base.img alone.ovbd want
expect 1 "8192 bytes at 12288 are a copy of what lies below, at 40960, which is needed: name it with -B" \
	"$ovbd" convert --no-references cows/v1-s no
expect 1 "cow: block 20: 4096 bytes at 12345 of what lies below are needed: name it with -B" \
	"$ovbd" convert cows/v3 no
# over a hole of a layer, below which may be anything or nothing
expect 1 "cow: block 20: base: 4096 bytes at 12345 of what lies below are needed: name it with -B" \
	"$ovbd" convert x.ovbd cows/v3 no
expect 1 "at 45056, which is needed" "$ovbd" convert --no-references x.ovbd cows/v1-s no
for cow in v1-s v3; do
	exits 0 "$ovbd" convert -q --force --whole x.ovbd cows/$cow whole.ovbd
	exits 0 "$ovbd" convert -q --force -O raw x.ovbd cows/$cow want
	same whole.ovbd want
	exits 0 "$ovbd" convert -q --force -B base.img base.img x.ovbd cows/$cow delta.ovbd
	exits 0 "$ovbd" convert -q --force -O raw base.img x.ovbd cows/$cow want
	same base.img delta.ovbd want
done
expect 2 "contradict each other" "$ovbd" convert --references --no-references -B base.img x no
expect 2 "-B names what they refer to" "$ovbd" convert --references x no
ok "without the base"

# what is merged is no longer read from the update
exits 1 "$ovbd" compare base.img cows/v3-gz base.img >said 2>err
grep -q "v3-gz: 1 of 9 operations have been merged" err || fail "no warning: $(cat err)"
exits 1 "$ovbd" compare base.img cows/v3 base.img >said 2>err
! grep -q merged err || fail "a warning: $(cat err)"
ok "merged ones"

# a part of a stack that begins with an update, whose base is not known, and ends with a layer of a size
exits 0 "$ovbd" convert -q --force -B one -B cows/v1-s one two.ovbd
exits 0 "$ovbd" convert -q --force cows/v1-s two.ovbd range.ovbd
same one range.ovbd one

# an update, or a layer that refers to its base, as the source of another update
exits 0 "$ovbd" convert -q --force -O android-cow -B base.img cows/v3 again.cow
python3 "$make" --want base.img v3 >want
same base.img again.cow want
exits 0 "$ovbd" convert -q --force -B base.img cows/v3 refs.ovbd
exits 0 "$ovbd" convert -q --force -O android-cow -B base.img base.img refs.ovbd again.cow
same base.img again.cow want
ok "updates of updates"

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
expect 2 "the output is ovbd, lsmt, raw, zfile, android-cow or dm-update" "$ovbd" convert -O image base.img no
layer base.img damaged.ovbd
printf XXXX | dd of=damaged.ovbd bs=1 conv=notrunc status=none
expect 1 "ends like a ZFile, but its header is damaged" "$ovbd" info damaged.ovbd cows/v2-gz
python3 -c 'b = bytearray(open("cows/v3-gz", "rb").read()); b[-3] ^= 1; open("bad", "wb").write(b)'
exits 2 "$ovbd" check bad 2>err
grep -q "do not decompress by gz" err || fail "$(cat err)"
[ ! -e no ] || fail "an output is left"
ok "refusals"
