#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The bytes of the output depend on input and options alone: not on -j, time, or what made the input.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 20000000 1 >raw
truncate -s 40000000 raw
put raw 30000000 3000000 2
cp --sparse=never raw dense
for options in "-c lz4" "-c zstd:5 --block-size 64K" "-O lsmt" "--tar -c zstd" "-O zfile"; do
	rm -f j1 j8 again dense.out
	# shellcheck disable=SC2086 # they are several
	{
		layer -j1 $options raw j1
		layer -j8 $options raw j8
		layer -j2 $options raw again
		layer $options dense dense.out
	}
	for other in j8 again dense.out; do
		cmp j1 $other || fail "$options: $other"
	done
	ok "$options"
done

layer raw base
cp raw new
put new 12345678 100000 3
layer -j1 -B base new d1
layer -j7 -B base new d7
cmp d1 d7
layer -j1 base d1 s1
layer -j7 base d7 s7
cmp s1 s7
ok "deltas and squashes"

layer -O raw -j1 base d1 f1
layer -O raw -j7 base d1 f7
cmp f1 f7
cmp f1 new
