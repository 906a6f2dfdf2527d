#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Updates of Android are made of two images, keep the rules of Android's readers, and do what they should.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

rules=$OVBD_SOURCE/tests/lib/cow_rules.py

# pair SEED: old.img and new.img of 4 MiB, with all there is to find
pair() {
	python3 - "$1" <<'PYTHON'
import random, sys
r = random.Random(int(sys.argv[1]))
B = 4096
words = [r.randbytes(r.randrange(4, 30)) for _ in range(200)]
def text(n):
    return b"".join(r.choice(words) for _ in range(n * B // 4))[:n * B]
old = bytearray(b"".join(text(16) if i % 3 else r.randbytes(16 * B) for i in range(64)))
old[900 * B:1000 * B] = bytes(100 * B)
new = bytearray(old)
def put(at, data):
    new[at * B:at * B + len(data)] = data
def get(at, n):
    return bytes(old[at * B:(at + n) * B])
put(103, get(100, 60))               # up by 3, over itself
put(200, get(205, 60))               # down by 5
put(300, get(340, 40)), put(340, get(300, 40))          # change places
put(400, get(401, 9)), put(409, get(400, 1))            # in a circle
put(450, bytes(20 * B))              # zeros
put(500, text(70))                   # new
put(600, r.randbytes(5 * B))
for i in range(650, 690, 3):         # changed a little
    for _ in range(40):
        new[i * B + r.randrange(B)] ^= 1
new[700 * B + 100:740 * B] = bytes(old[700 * B:740 * B - 100])   # moved by 100 bytes
new[700 * B + 100:700 * B + 105] = b"hello"
put(910, get(0, 30))                 # where there were zeros
open("old.img", "wb").write(old)
open("new.img", "wb").write(new)
PYTHON
}

pair 1
n=0
for options in "" "-c zstd --max-block 4K" "-c zstd:9 --max-block 256K --sequence" "-c gz --max-block 32K" \
	"-c brotli:5 --max-block 16K --label-every 50" "-c none --max-block 128K" "-c lz4:9 --no-scratch" \
	"--no-xor" "-O v2" "-O v2 -c zstd:-3 --sequence" "-O v2 -c gz:6 --label-every 100" \
	"-O v2 -c brotli:4 --no-scratch" "-O v2 -c none"; do
	n=$((n + 1))
	# shellcheck disable=SC2086 # several options
	exits 0 "$ovbd" cow create -q -j1 --from old.img $options new.img $n.cow
	# shellcheck disable=SC2086
	exits 0 "$ovbd" cow create -q -j4 --from old.img $options new.img again.cow
	cmp $n.cow again.cow || fail "other bytes with other threads: $options"
	rm again.cow
	python3 "$rules" $n.cow old.img new.img >found || fail "$options"
	exits 0 "$ovbd" check -q $n.cow
	same old.img $n.cow new.img
	# and it can be merged in place, without a scratch area too
	cp old.img base.img
	cp $n.cow merge.cow
	exits 0 "$ovbd" merge-ota -q base.img merge.cow >/dev/null
	cmp base.img new.img || fail "merged: $options"
	ok "$options: $(cat found)"
done
# what there was to find has been found: copies in either direction, and differences by bytes
python3 - <<'PYTHON' || fail "what the last lines say"
import json, subprocess, os
def rules(name, old="old.img"):
    out = subprocess.run(["python3", os.environ["OVBD_SOURCE"] + "/tests/lib/cow_rules.py", name, old, "new.img"],
                         stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)
usual, no_xor, none = rules("1.cow"), rules("8.cow"), rules("6.cow")
# all that has moved, but for one of each pair that changes places and one of the circle
assert usual["copies"] == 60 + 60 + 40 + 9 + 30 and usual["zeros"] == 20, usual
assert usual["xors"] == 14 + 40 and usual["unaligned"] == 40 and usual["largest"] == 16, usual
assert no_xor["xors"] == none["xors"] == 0
assert usual["blocks"] == no_xor["blocks"] == none["blocks"]
assert os.stat("3.cow").st_size < os.stat("2.cow").st_size < os.stat("9.cow").st_size
PYTHON
ok "found"

# of anything, without an old image
for options in "-O v3" "-O v2"; do
	# shellcheck disable=SC2086
	exits 0 "$ovbd" cow create -q --force $options new.img all.cow
	python3 "$rules" all.cow - new.img >/dev/null
	same all.cow new.img
	put junk.img 0 4194304 7
	same junk.img all.cow new.img
	rm junk.img
done
"$ovbd" convert -q -O raw all.cow all.raw
cmp all.raw new.img
ok "of anything"

# images as they come: layers, stacks, other updates
layer old.img old.ovbd
layer -B old.img new.img delta.ovbd
exits 0 "$ovbd" cow create -q --from old.ovbd new.img by-layer.cow
cmp by-layer.cow 1.cow || fail "of a layer"
exits 0 "$ovbd" cow create -q --force --from old.img --from delta.ovbd old.img back.cow
same new.img back.cow old.img
exits 0 "$ovbd" cow create -q --force --from old.img --from 1.cow old.img by-cow.cow
cmp by-cow.cow back.cow || fail "over an update"
exits 0 "$ovbd" convert -q -f android-cow -B old.img 1.cow made.ovbd
same old.ovbd made.ovbd new.img
exits 0 "$ovbd" cow create -q --from new.img new.img nothing.cow
python3 "$rules" nothing.cow new.img new.img | grep -q '"blocks": 0' || fail "something of nothing"
same new.img nothing.cow new.img
ok "layers"

# the same by convert: of images, layers, a stack, an update, standard input
for source in "-B old.img new.img" "-B old.ovbd old.ovbd delta.ovbd" "-B old.img 9.cow"; do
	# shellcheck disable=SC2086 # several words
	exits 0 "$ovbd" convert -q --force -O android-cow $source by-convert.cow
	cmp by-convert.cow 1.cow || fail "convert -O android-cow $source"
done
exits 0 "$ovbd" convert -q --force -O android-cow -c zstd --block-size 4K -B old.img - by-convert.cow <new.img
cmp by-convert.cow 2.cow || fail "of standard input"
exits 0 "$ovbd" convert -q --force -O android-cow -c none old.ovbd delta.ovbd by-convert.cow
same by-convert.cow new.img
ok "convert"

# a new image that is longer, or shorter
cp new.img keep.img
cp old.img long.img
data 81920 5 >>new.img
exits 0 "$ovbd" cow create --from old.img new.img longer.cow 2>err
grep -q "makes 4276224 bytes of 4194304: .*truncate -s 4276224" err || fail "$(cat err)"
python3 "$rules" longer.cow old.img new.img >/dev/null
truncate -s 4276224 long.img
same long.img longer.cow new.img
head -c 2097152 keep.img >new.img
exits 0 "$ovbd" cow create --from old.img new.img shorter.cow 2>err
grep -q "makes 2097152 bytes of 4194304" err || fail "$(cat err)"
python3 "$rules" shorter.cow old.img new.img >/dev/null
mv keep.img new.img
ok "other sizes"

# what is told
"$ovbd" cow create --force --output=json --from old.img new.img out.cow >j
holds j ovbd.cow-create.v1 "j['version'] == 3" "j['compression'] == 'lz4'" "j['copies'] == 199" "j['not-copied-for-order'] == 41" \
	"j['size'] == __import__('os').stat('out.cow').st_size" "j['old-size'] == j['new-size'] == 4194304"
"$ovbd" cow create --force -p --from old.img new.img out.cow 2>err
grep -q "100 %" err || fail "$(cat err)"
grep -q "out.cow: .* for .* that change: [0-9]* copies" err || fail "$(cat err)"
"$ovbd" cow create -q -O v2 --from old.img new.img - | cmp - 9.cow || fail "standard output"
"$ovbd" info 1.cow | grep -q "version: *3.0 (layout H), lz4" || fail "info"
ok "told"
