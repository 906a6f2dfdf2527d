#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a pipe: the same layer as from the file, and nothing is left of the spool.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

for size in 0 1 4096 1048576 3000001; do
	data $size 5 >raw
	rm -f a b
	layer raw a
	"$ovbd" convert -q - b <raw
	cmp a b || fail "from the file $size bytes"
	rm -f b
	# shellcheck disable=SC2002 # a pipe is what is to be tested
	cat raw | "$ovbd" convert -q - b
	cmp a b || fail "from a pipe: $size bytes"
done
left_behind a b raw
ok "standard input"

mkdir sub
data 100000 6 | "$ovbd" convert -q -O zfile - sub/z
[ "$(ls -A sub)" = z ] || fail "left in the directory"

layer raw a.ovbd
expect 1 "is a layer or ZFile" "$ovbd" convert - c <a.ovbd
[ ! -e c ] || fail "made c"
"$ovbd" convert -q -f raw - c <a.ovbd
"$ovbd" convert -q -O raw c d
cmp a.ovbd d || fail "-f raw takes a layer as bytes"
expect 2 "only SRC" "$ovbd" convert - a.ovbd e
expect 2 "taken as raw" "$ovbd" convert -f lsmt - e
expect 2 "a base cannot" "$ovbd" convert -B - raw e
expect 1 "No such file" "$ovbd" convert - no/such/dir/e <raw
