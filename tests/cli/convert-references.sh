#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Deltas that refer to where a block lay before, instead of storing it again.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

# 8 MiB; then the same with pieces moved up and down, overlapping themselves, some of it changed, and grown
data 8388608 1 >old
python3 - <<'PYTHON'
import random
r = random.Random(7)
old = open("old", "rb").read()
new = bytearray(old)
for _ in range(12):
    n, to, at = (r.randrange(1, 64) * 4096, r.randrange(1900) * 4096, r.randrange(1900) * 4096)
    new[to:to + n] = old[at:at + n]
new[4096:4096 + 2 * 1048576] = old[:2 * 1048576]
for _ in range(20):
    at = r.randrange(len(new) - 100)
    new[at:at + 100] = r.randbytes(100)
open("new", "wb").write(new[:8388608] + old[1048576:1048576 + 700000])
PYTHON
layer -B old new plain.ovbd
layer --references -B old new refs.ovbd
same old refs.ovbd new
same old plain.ovbd new
[ "$(stat -c %s refs.ovbd)" -lt "$(($(stat -c %s plain.ovbd) / 2))" ] || fail "$(stat -c '%s %n' -- *.ovbd)"
"$ovbd" info refs.ovbd | grep -q "^references: " || fail "no references"
"$ovbd" info plain.ovbd | grep -q "^references: " && fail "references that nobody asked for"
layer --references -j 1 -B old new one.ovbd
cmp refs.ovbd one.ovbd || fail "another number of threads, other bytes"
ok "a delta"

# over layers, and on each other
layer old old.ovbd
same old.ovbd refs.ovbd new
layer --references -B old.ovbd -B refs.ovbd old back.ovbd
same old.ovbd refs.ovbd back.ovbd old
[ "$(stat -c %s back.ovbd)" -lt 1500000 ] || fail "back: $(stat -c %s back.ovbd)"
layer refs.ovbd back.ovbd both.ovbd
same old both.ovbd old
# of one whole stack one whole layer
layer old.ovbd refs.ovbd back.ovbd all.ovbd
same all.ovbd old
"$ovbd" info all.ovbd | grep -q "^references: " && fail "references to nothing"
# where the base is known they can be stored after all; a layer is a device of its own to -B
layer -B old old refs.ovbd flat.ovbd
same old flat.ovbd new
cmp flat.ovbd plain.ovbd || fail "not as if there had never been references"
expect 1 "layer 0: refers to what lies below it" "$ovbd" convert -B old refs.ovbd no
ok "stacks"

# smaller than its base, and grown again
head -c 1000000 new >small
layer --references -B old small small.ovbd
same old small.ovbd small
layer --references -B old -B small.ovbd new grown.ovbd
same old small.ovbd grown.ovbd new
layer small.ovbd grown.ovbd sg.ovbd
same old sg.ovbd new
ok "sizes"

# it is nothing alone: told where it is opened, not when it is read
expect 1 "layer 0: refers to what lies below it" "$ovbd" convert -O raw refs.ovbd no
expect 2 "layer 0: refers to what lies below it" "$ovbd" compare refs.ovbd new
expect 1 "layer 0: refers to what lies below it" "$ovbd" serve --fuse disk.img refs.ovbd
printf '{"lowers": [{"file": "%s"}, {"file": "%s"}]}' "$PWD/old" "$PWD/refs.ovbd" >config.json
same config.json new
exits 0 "$ovbd" check -q refs.ovbd
exits 0 "$ovbd" map refs.ovbd >/dev/null
head -c 2000000 old >short
expect 1 "it was made over another" "$ovbd" map short refs.ovbd
ok "alone"
