#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stores of the kernel's dm-snapshot: shown, checked, read over their origin, made into layers.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 1048576 1 >base.img
# make SECTORS: writes "store", with chunks of that size, and "want", the snapshot it is of base.img
cat >make.py <<'PYTHON'
import random, struct, sys
size = int(sys.argv[1]) * 512
base = bytearray(open("base.img", "rb").read())
per_area, rng = size // 16, random.Random(size)
olds = rng.sample(range(len(base) // size), min(100, len(base) // size // 2))
olds += [o for o in range(20, 28) if o not in olds and o < len(base) // size]
store = bytearray((2 * len(olds) + 8) * size)
store[:16] = struct.pack("<4sIII", b"SnAp", 1, 1, size // 512)
new = 2
for i, old in enumerate(olds):
    if (new - 1) % (per_area + 1) == 0:
        new += 1
    at = (1 + i // per_area * (per_area + 1)) * size + i % per_area * 16
    store[at:at + 16] = struct.pack("<QQ", old, new)
    store[new * size:(new + 1) * size] = base[old * size:(old + 1) * size] = rng.randbytes(size)
    new += 1
open("store", "wb").write(store)
open("want", "wb").write(base)
print(len(olds))
PYTHON

for sectors in 1 8 16 128; do
	n=$(python3 make.py $sectors)
	same base.img store want
	exits 0 "$ovbd" check -q store
	exits 0 "$ovbd" convert -q --force -O raw base.img store out
	cmp out want || fail "$sectors: wrong bytes"
	layer --force -B base.img store layer.ovbd
	same base.img layer.ovbd want
	exits 0 "$ovbd" convert -q --force -f dm-snapshot -O android-cow -B base.img store cow
	same base.img cow want
	"$ovbd" info store | grep -q "^has: .* in $n chunks of " || fail "$("$ovbd" info store)"
	"$ovbd" info --output=json store >j
	holds j ovbd.info.v1 "j['format'] == 'dm-snapshot'" "j['layers'][0]['dm-snapshot']['chunks'] == $n" \
		"j['layers'][0]['dm-snapshot']['chunk-size'] == $((sectors * 512))"
done
"$ovbd" map store | grep -q " hole " || fail "$("$ovbd" map store)"
ok "over an origin"

expect 1 "is not of the format dm-update, but dm-snapshot" "$ovbd" info -f dm-update store
expect 1 "beyond the 300000 bytes of the origin" \
	sh -c "head -c 300000 base.img >short; '$ovbd' info short store"
printf '\0' | dd of=store bs=1 seek=4 conv=notrunc status=none
expect 1 "marked as no longer valid" "$ovbd" info base.img store
expect 2 "-O dm-snapshot" "$ovbd" convert -O dm-snapshot base.img no
[ ! -e no ] || fail "an output is left"
ok "refusals"
