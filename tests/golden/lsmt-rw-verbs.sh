#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writable layers of the original, and ours in its formats, after each thing that a verb does to them: read
# by its rules and by nothing of ours. What becomes of them in the end is a layer by its rules.
set -eu
ovbd=$OVBD_BUILD/tools/ovbd lib=$OVBD_SOURCE/tests/lib
# in memory, where there is room: what is asked is not how a disk flushes
dir=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

head -c 2000000 /dev/urandom >other.raw
truncate -s 3002880 other.raw

# shows WHAT: d as the rules show it is d as we show it. What of a sparse layer is zeros over something
# they cannot tell.
shows() {
	lower=
	[ ! -e d/lower ] || lower='{"file": "lower"}'
	printf '{"lowers": [%s], "upper": {"data": "data", "index": "index"}}' "$lower" >d/image.json
	"$ovbd" convert -q -O raw --force d/image.json d/raw
	[ "$sparse" = no ] || [ ! -e d/lower ] || rm d/raw
	"$lib/rw_facts.py" d || fail "$name: $1"
}

# lives: all of it
lives() {
	from=--whole
	[ ! -e d/lower ] || from="--from d/lower"
	[ "$name" = E ] || shows "as it was" # E has 1 GiB of nothing
	"$ovbd" resize -q --force d/data d/index 1500K
	shows "smaller"
	"$ovbd" resize -q d/image.json 2500K
	shows "larger"
	"$ovbd" convert -q -O raw --force d/image.json before.raw
	# shellcheck disable=SC2086 # words
	"$ovbd" rebase -q $from -B other.raw d/data d/index
	cp other.raw d/lower
	shows "over something else"
	"$ovbd" convert -q -O raw --force d/image.json after.raw
	cmp before.raw after.raw || fail "$name: rebased"
	"$ovbd" rebase -q --flatten d/image.json
	rm d/lower
	shows "over nothing"
	"$ovbd" commit -q --force -O lsmt --whole d/data d/index last.lsmt
	cp before.raw last.raw
	"$lib/lsmt_facts.py" --beside last.lsmt || fail "$name: committed"
	"$ovbd" seal d/data d/index
	cp d/data last.lsmt
	"$lib/lsmt_facts.py" --any --beside last.lsmt || fail "$name: sealed"
	rm -r d last.lsmt
}

sparse=no
fixtures=$OVBD_FIXTURES/overlaybd
for name in E L0 RW; do
	[ -d "$fixtures" ] || continue
	mkdir d
	cp "$fixtures/rw/$name.data" d/data
	cp "$fixtures/rw/$name.index" d/index
	chmod u+w d/*
	lives
done
if [ -d "$fixtures" ]; then # and over its layers
	name="RW over L0, L1, L2"
	mkdir d
	cp "$fixtures/rw/RW.data" d/data
	cp "$fixtures/rw/RW.index" d/index
	chmod u+w d/*
	"$ovbd" convert -q -O raw "$fixtures/lsmt/L0.lsmt" "$fixtures/lsmt/L1.lsmt" "$fixtures/lsmt/L2.lsmt" d/lower
	lives
fi
for format in 0 2; do
	for seed in 3 5; do # with nothing beneath, and with layers
		name="format $format, seed $seed"
		[ $format = 0 ] || sparse=yes
		mkdir d
		"$OVBD_BUILD/tests/prop/test_prop_lsmt_rw" $format $seed d >out 2>&1 || fail "$(cat out)"
		lives
	done
done
