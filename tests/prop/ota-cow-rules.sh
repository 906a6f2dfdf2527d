#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# COWs of random pairs of images keep the rules of those who read them on a phone, says a checker that
# shares nothing with ours (tests/lib/cow_rules.py); and among them is every kind there is.
#     ota-cow-rules.sh [SEED...]
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

make=$OVBD_BUILD/tests/prop/test_prop_ota_cow_create
seeds=${*:-$(seq 1001 1120)}

# The pairs that are there; and not too many are on the disk at once.
check_pairs() {
	set --
	for pair in pairs/*; do
		set -- "$@" "$pair/cow" "$pair/old" "$pair/new"
	done
	python3 "$OVBD_SOURCE/tests/lib/cow_rules.py" "$@" >>found || fail "a rule is broken"
	rm -rf pairs
}

count=0
for seed in $seeds; do
	mkdir -p pairs/"$seed"
	"$make" "$seed" pairs/"$seed" >/dev/null || fail "seed $seed"
	count=$((count + 1))
	[ $((count % 40)) != 0 ] || check_pairs
done
[ ! -d pairs ] || check_pairs
[ $# = 0 ] || exit 0
python3 - <<'PYTHON' || fail "not every kind has been tried"
import json
found = [json.loads(line) for line in open("found")]
total = {k: sum(f[k] for f in found) for k in found[0] if k not in ("version", "algorithm")}
print(len(found), total)
kinds = {(f["version"], f["algorithm"]) for f in found if f["replacements"] > 0}
assert kinds >= {(v, a) for v in (2, 3) for a in range(5)}, kinds
assert all(total[k] > 50 for k in ("copies", "replacements", "zeros", "xors", "unaligned"))
assert {f["scratch"] > 0 for f in found if f["copies"] > 5} == {True, False}
assert {f["version"] for f in found if f["sequence"]} == {2, 3}
assert {f["version"] for f in found if f["labels"]} == {2, 3}
assert max(f["largest"] for f in found) == 64
PYTHON
