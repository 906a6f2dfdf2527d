#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writable layers in the formats of the original, that we write, read by its rules and by nothing of
# ours. A sparse one with zeroed ranges over something is right there without a map beside it.
set -eu
# in memory, where there is room: what is asked is not how a disk flushes
dir=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$dir"' EXIT

for format in 0 2; do
	seed=0
	while [ $seed -lt 6 ]; do
		mkdir "$dir/$format.$seed"
		"$OVBD_BUILD/tests/prop/test_prop_lsmt_rw" $format $seed "$dir/$format.$seed" >"$dir/out" 2>&1 ||
			{ cat "$dir/out" && exit 1; }
		"$OVBD_SOURCE/tests/lib/rw_facts.py" "$dir/$format.$seed"
		rm -r "${dir:?}/$format.$seed"
		seed=$((seed + 1))
	done
done

# the checker itself, on what the original wrote
fixtures=$OVBD_FIXTURES/overlaybd/rw
if [ -d "$fixtures" ]; then
	for name in E L0 RW; do
		mkdir "$dir/$name"
		cp "$fixtures/$name.data" "$dir/$name/data"
		cp "$fixtures/$name.index" "$dir/$name/index"
		"$OVBD_SOURCE/tests/lib/rw_facts.py" "$dir/$name"
	done
fi
