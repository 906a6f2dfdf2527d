#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check finds any flipped bit of a layer with checksums, any truncation, and says which layer it is.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 60000 1 >raw
layer raw l.ovbd
layer -c zstd --tar raw t.ovbd
layer -O lsmt raw l.lsmt
data 60000 2 >raw2
layer raw2 l2.ovbd

"$ovbd" check l.ovbd >out || fail "a sound layer"
grep -q "good" out || fail "$(cat out)"
"$ovbd" check t.ovbd l2.ovbd l.lsmt >out || fail "three sound layers"
[ "$(wc -l <out)" = 3 ] || fail "$(cat out)"
[ -z "$("$ovbd" check -q l.ovbd)" ] || fail "-q says something"
ok "sound"

# Every bit of header and trailer, of every 37th byte of the rest; in the tar all that is the layer.
cat >flip.py <<'PYTHON'
import subprocess, sys
ovbd, name, start, end, step = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
good = open(name, "rb").read()
end = len(good) + end if end <= 0 else end
edge = 104 # what is used of header and trailer, and some of the zeros behind
places = set(range(start, end, step)) | set(range(start, start + edge))
places |= set(range(end - 512, end - 512 + edge)) | {start + 511, end - 1}
missed = []
for n, at in enumerate(sorted(places)):
    bad = bytearray(good)
    bad[at] ^= 1 << (n * 5 + at) % 8
    open("bad", "wb").write(bad)
    p = subprocess.run([ovbd, "check", "bad"], capture_output=True)
    if p.returncode != 2:
        missed.append((at, p.returncode, p.stdout + p.stderr))
for m in missed[:10]:
    print(*m)
print(f"{len(places)} places, {len(missed)} missed")
sys.exit(1 if missed else 0)
PYTHON
n=$(stat -c %s l.ovbd)
python3 flip.py "$ovbd" l.ovbd 0 0 $((n / 60)) || fail "flipped bits"
n=$(stat -c %s t.ovbd)
# the tar ends with two blocks of zeros, and the layer within is padded to a block
end=$(python3 -c 'import sys
b = open("t.ovbd", "rb").read()
print(b.rindex(b"ZFile\0\1\0") + 512)')
python3 flip.py "$ovbd" t.ovbd 1536 "$end" $((n / 20)) || fail "flipped bits in a tar"
ok "flipped bits"

# The tar's own headers: what they say is used, or it is no tar any more.
for at in 257 148 1281 1172; do
	cp t.ovbd bad
	printf '\377' | dd of=bad bs=1 seek=$at conv=notrunc status=none
	exits 2 "$ovbd" check -q bad 2>err
done
ok "tar headers"

size=$(stat -c %s l.ovbd)
for cut in 1 511 512 513 4096 $((size / 2)) $((size - 513)); do
	head -c -$cut l.ovbd >bad
	exits 2 "$ovbd" check -q bad 2>err
done
ok "truncated"

# One bad layer of three: named, and the others are still checked.
cp l2.ovbd bad
printf '\252\125' | dd of=bad bs=1 seek=2000 conv=notrunc status=none
exits 2 "$ovbd" check l.ovbd bad t.ovbd >out 2>err
grep -q "^ovbd: check: bad: .*block" err || fail "$(cat err)"
if [ -s out ]; then # else a block was needed to open it
	[ "$(grep -c good out)" = 2 ] || fail "$(cat out)"
fi
ok "one of several"

# The digests of a configuration: of the file as it is stored, wrapped or not.
digest() {
	sha256sum "$1" | cut -c -64
}
for kind in "right $(digest t.ovbd)" "wrong $(digest l2.ovbd)"; do
	printf '{"lowers": [{"file": "l.ovbd", "digest": "sha256:%s"}, {"file": "t.ovbd", "digest": "sha256:%s"}]}' \
		"$(digest l.ovbd)" "${kind#* }" >"${kind%% *}.json"
done
exits 0 "$ovbd" check -q right.json
exits 2 "$ovbd" check wrong.json >out 2>err
grep -q "t.ovbd: its digest is sha256:$(digest t.ovbd), not sha256:$(digest l2.ovbd)" err || fail "$(cat err)"
[ "$(grep -c good out)" = 1 ] || fail "$(cat out)"
exits 0 "$ovbd" info -q wrong.json >/dev/null
ok "digests"

exits 0 "$ovbd" check --output=json l.ovbd t.ovbd >j
holds j ovbd.check.v1 "j['result'] == 'clean'" "[l['result'] for l in j['layers']] == ['clean', 'clean']"
exits 2 "$ovbd" check --output=json bad >j
holds j ovbd.check.v1 "j['result'] == 'corrupt'"
ok "JSON"

expect 1 "nothing in it can be checked" "$ovbd" check raw
expect 1 "No such file" "$ovbd" check nowhere
expect 2 "SRC is missing" "$ovbd" check
