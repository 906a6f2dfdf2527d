#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer of more segments than overlaybd opens is read, and written with a warning that says so.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

# make N: a layer of N segments, N.lsmt
make() {
	python3 "$OVBD_SOURCE/tests/lib/many_segments.py" "$1" >"$1.lsmt"
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
