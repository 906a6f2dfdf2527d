#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Traces: shown and merged, and refused where they are none.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
theirs=$OVBD_SOURCE/tests/fuzz/corpus/trace/overlaybd

"$ovbd" trace show "$theirs" >shown
head -n 1 shown | grep -qx "[0-9]* ranges of 2 layers: .*" || fail "$(cat shown)"
grep -qx "    1         532480         4096" shown || fail "$(cat shown)"
"$ovbd" trace show --output=json "$theirs" | python3 -c '
import json, sys
t = json.load(sys.stdin)
assert t["schema"] == "ovbd.trace.v1", t
assert t["size"] == sum(r["length"] for r in t["ranges"]), t
assert t["ranges"][3] == {"layer": 1, "offset": 532480, "length": 4096}, t' || fail "JSON"
ok "a trace of overlaybd is shown"

# make FILE LAYER:OFFSET:COUNT...
make() {
	python3 - "$@" <<'PY'
import struct, sys
def crc32c(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc
data = b""
for arg in sys.argv[2:]:
    layer, offset, count = map(int, arg.split(":"))
    data += struct.pack("<cBBBIQQ", b"R", 1, 2, 3, layer, count, offset)
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<IIQII", 0xC2EF1820, 5, len(data), crc32c(data), 7) + data)
PY
}

make a 0:0:4096 0:4096:4096 1:100:1
make b 1:0:8192 0:0:5 0:1048576:2097152
"$ovbd" trace merge a b both
"$ovbd" trace show both | tail -n +3 | awk '{ print $1 ":" $2 ":" $3 }' >ranges
printf '%s\n' 0:0:8192 1:0:4096 1:4096:4096 0:1048576:2097152 >wanted
"$ovbd" trace show a b | tail -n +3 | awk '{ print $1 ":" $2 ":" $3 }' | cmp - ranges || fail "shown as merged"
# 1:0:4096 and what follows it are one
printf '%s\n' 0:0:8192 1:0:8192 0:1048576:2097152 >wanted
cmp ranges wanted || fail "$(cat ranges)"
[ "$(stat -c %s both)" = $((24 + 4 * 24)) ] || fail "no record may be longer than 1 MiB"
cp both again
"$ovbd" trace merge --force both again
cmp both again || fail "merged once more it is another"
ok "two are merged"

expect 1 "both: exists" "$ovbd" trace merge a b both
expect 1 "nowhere: No such file" "$ovbd" trace show nowhere
expect 2 "a word is missing, one of: show, merge, from-paths" "$ovbd" trace
expect 2 "'tell' is none of: show, merge, from-paths" "$ovbd" trace tell a
expect 2 "FILE is missing" "$ovbd" trace show
expect 2 "OUT is missing" "$ovbd" trace merge a
for bad in "$OVBD_SOURCE"/tests/should-fail/trace/*.bin; do
	expect 1 "$(cat "${bad%.bin}.txt")" "$ovbd" trace show "$bad"
done
