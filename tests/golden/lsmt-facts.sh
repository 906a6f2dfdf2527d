#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layers that we write, read by a reader that is not ours and follows the rules of the original's.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

seed=0
while [ $seed -lt 150 ]; do
	"$OVBD_BUILD/tests/prop/test_prop_lsmt_writer" $seed "$dir/$seed.lsmt" "$dir/$seed.raw"
	seed=$((seed + 1))
done
"$OVBD_SOURCE/tests/lib/lsmt_facts.py" --beside "$dir"/*.lsmt

fixtures=$OVBD_FIXTURES/overlaybd/lsmt
if [ -d "$fixtures" ]; then
	"$OVBD_SOURCE/tests/lib/lsmt_facts.py" "$fixtures"/L[012].lsmt "$fixtures/empty.lsmt"
	"$OVBD_SOURCE/tests/lib/lsmt_facts.py" --any "$fixtures"/*.lsmt "$fixtures/L0.sealed"
fi
