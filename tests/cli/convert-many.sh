#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer of more segments than overlaybd opens is read, and written with a warning that says so.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

# make N: a layer of N zeroed segments of 4 KiB, each followed by as much of nothing
make() {
	python3 - "$1" "$OVBD_SOURCE/tests/lib" >"$1.lsmt" <<'PYTHON'
import struct, sys
n = int(sys.argv[1])
sys.path.insert(0, sys.argv[2])
from lsmt_facts import MAGIC, SPACE
null = b"00000000-0000-0000-0000-000000000000\0"
def part(flags, offset, count):
    return struct.pack("<24sIIQQQ37s37sHBB256s", MAGIC, 390, flags, offset, count, n * 8192,
                       null, null, 0, 1, 1, b"").ljust(SPACE, b"\0")
entries = bytearray()
for i in range(n):
    entries += struct.pack("<QQ", i * 16 | 8 << 50, 8 | 1 << 55)
sys.stdout.buffer.write(part(7, 0, 0) + entries + part(6, SPACE, n))
PYTHON
}

for n in 999936 999937; do
	make $n
	"$ovbd" convert $n.lsmt $n.ovbd 2>said || fail "$n segments: $(cat said)"
	if [ $n = 999936 ]; then
		grep -q "overlaybd opens" said && fail "a warning for nothing: $(cat said)"
	else
		grep -q "999937 segments: overlaybd opens layers of at most 999936" said ||
			fail "no warning: $(cat said)"
	fi
	"$ovbd" info --output=json $n.ovbd | python3 -c "
import json, sys
info = json.load(sys.stdin)
assert info['segments'] == $n, info" || fail "$n segments: info"
	"$ovbd" compare -q $n.lsmt $n.ovbd || fail "$n segments: other bytes"
done
ok "more segments than overlaybd opens"
