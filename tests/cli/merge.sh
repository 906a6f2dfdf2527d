#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Any layers of a stack become one that takes their place.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

# five devices, of which some are larger or smaller than the one before; blocks change, become zeros,
# and move
python3 - <<'PY'
import random
random.seed(7)
B = 4096
dev = [bytes(random.randbytes(B)) for _ in range(200)]
for n, size in enumerate((200, 200, 120, 260, 230)):
    dev = dev[:size] + [bytes(B)] * (size - len(dev))
    for _ in range(40 if n else 0):
        i, what = random.randrange(size), random.random()
        dev[i] = bytes(B) if what < 0.3 else dev[random.randrange(size)] if what < 0.6 else \
            bytes(random.randbytes(B))
    open(f"{n}.raw", "wb").write(b"".join(dev))
PY

config() {
	printf '{"repoBlobUrl": "", "lowers": ['
	sep=
	for l; do
		printf '%s{"file": "%s"}' "$sep" "$l"
		sep=,
	done
	printf ']}'
}

"$ovbd" convert -q -O lsmt --uuid 00000000-0000-4000-8000-000000000000 0.raw 0.layer
for n in 1 2 3 4; do
	# shellcheck disable=SC2046 # words
	"$ovbd" convert -q -O lsmt $([ $n != 3 ] || echo --references) -m "layer $n" \
		--uuid 00000000-0000-4000-8000-00000000000$n $(seq -f '-B %.0f.layer' 0 $((n - 1))) $n.raw $n.layer
done
config 0.layer 1.layer 2.layer 3.layer 4.layer >all.json
"$ovbd" compare -q all.json 4.raw || fail "the stack itself"

# with_merged FROM TO: merges, and puts it into its place in with.json
with_merged() {
	"$ovbd" merge -q --force --from "$1" --to "$2" all.json merged.ovbd
	"$ovbd" check -q merged.ovbd
	set -- "$(seq -f '%.0f.layer' 0 $(($1 - 1)))" merged.ovbd "$(seq -f '%.0f.layer' $(($2 + 1)) 4)"
	# shellcheck disable=SC2048,SC2086 # words
	config $* >with.json
}

for from in 0 1 2 3 4; do
	for to in $(seq $from 4); do
		with_merged $from "$to"
		"$ovbd" compare -q --strict all.json with.json || fail "layers $from to $to"
	done
done
ok "any range"

# what is beyond the end of a device that became smaller comes back where overlaybd shows it: layers of
# its kind say nothing there
python3 - <<'PY'
for name, size in (("1.layer", 150), ("2.layer", 120), ("3.layer", 260)):
    p = bytearray(open(name, "rb").read())
    for at in (48, len(p) - 4096 + 48):
        p[at:at + 8] = (size * 4096).to_bytes(8, "little")
    # none of its zeroed entries
    at, n = (int.from_bytes(p[-4096 + k:][:8], "little") for k in (32, 40))
    for e in range(at, at + 16 * n, 16):
        w0, w1 = (int.from_bytes(p[e + k:e + k + 8], "little") for k in (0, 8))
        if w1 >> 55 & 1:
            p[e:e + 8] = ((1 << 50) - 1).to_bytes(8, "little")
            p[e + 8:e + 16] = bytes(8)
    open(name, "wb").write(p)
PY
"$ovbd" convert -q 0.layer 1.layer 2.layer converted.ovbd
config converted.ovbd 3.layer 4.layer >with.json
[ "$(status_of "$ovbd" compare -q all.json with.json)" = 1 ] || fail "nothing was hidden"
for from in 0 1 2; do
	for to in $(seq $from 4); do
		with_merged $from "$to"
		"$ovbd" compare -q --strict all.json with.json || fail "layers $from to $to, of which some hide what is beneath"
	done
done
ok "hidden content"

# its own, the same for any number of threads, in a tar, as JSON
"$ovbd" merge -q --from 1 --to 2 -j 1 -c zstd --block-size 64K --tar 0.layer 1.layer 2.layer 3.layer one.ovbd
"$ovbd" merge -q --from 1 --to 2 -j 7 -c zstd --block-size 64K --tar all.json seven.ovbd
cmp one.ovbd seven.ovbd || fail "other threads, other bytes"
"$ovbd" info one.ovbd >said
grep -q "UUID: *00000000-0000-4000-8000-000000000002" said || fail "uuid: $(cat said)"
grep -q "parent UUID: *00000000-0000-4000-8000-000000000000" said || fail "parent: $(cat said)"
grep -q "layer 2" said || fail "message: $(cat said)"
"$ovbd" merge --from 3 -O lsmt -m other --output=json all.json two.lsmt >said
grep -q '"schema": "ovbd.convert.v1"' said || fail "$(cat said)"
ok "form"

# on a raw device; with a writable layer on top
config 0.raw 1.layer 2.layer >raw.json
"$ovbd" merge -q --from 1 raw.json raw.ovbd
config 0.raw raw.ovbd >with.json
"$ovbd" compare -q --strict raw.json with.json || fail "over a raw device"
"$ovbd" create 1M top.rw
sed 's/}]}$/}], "upper": {"file": "top.rw"}}/' all.json >top.json
"$ovbd" merge -q top.json top.ovbd
"$ovbd" compare -q all.json top.ovbd || fail "beneath a writable layer"
ok "over and under others"

expect 2 "SRC and DST are missing" "$ovbd" merge
expect 2 "DST is missing" "$ovbd" merge all.json
expect 2 "--from x: the number of a layer" "$ovbd" merge --from x all.json x.ovbd
expect 2 "--from 3 is above --to 1" "$ovbd" merge --from 3 --to 1 all.json x.ovbd
expect 2 "it is ovbd or lsmt" "$ovbd" merge -O raw all.json x.ovbd
expect 1 "layers 1 to 5 of 5: the lowest is number 0" "$ovbd" merge --from 1 --to 5 all.json x.ovbd
expect 1 "0.raw: is no layer, but raw" "$ovbd" merge raw.json x.ovbd
expect 1 "one.ovbd: exists" "$ovbd" merge all.json one.ovbd
[ ! -e x.ovbd ] || fail "x.ovbd was left"
