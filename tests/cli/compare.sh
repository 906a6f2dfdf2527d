#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# compare: 0, 1 or 2, and where.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 3000000 1 >a
cp a b
layer a a.ovbd
layer -c zstd a b.ovbd
same a b
same a a.ovbd
same a.ovbd b.ovbd
[ "$("$ovbd" compare a a.ovbd)" = "Images are the same." ] || fail "what it says"

# Three bytes in two blocks.
printf '\001\002' | dd of=b bs=1 seek=1000000 conv=notrunc status=none
printf '\003' | dd of=b bs=1 seek=2999999 conv=notrunc status=none
n=$(cmp -l a b | wc -l)
blocks=$(cmp -l a b | awk '{ print int(($1 - 1) / 4096) }' | uniq | wc -l)
first=$(($(cmp -l a b | head -n 1 | awk '{ print $1 }') - 1))
exits 1 "$ovbd" compare a.ovbd b >out
grep -q "first at byte $first; $n byte.* in $blocks block" out || fail "$(cat out)"
exits 1 "$ovbd" compare --output=json a.ovbd b >j
holds j ovbd.compare.v1 "not j['same']" "j['first-difference'] == $first" "j['differing-bytes'] == $n" \
	"j['differing-blocks'] == $blocks"
exits 1 "$ovbd" compare -v a b >out
[ "$(grep -c differ$ out)" = "$blocks" ] || fail "$(cat out)"
grep -q "^ *$((first / 4096 * 4096)) *4096  differ" out || fail "$(cat out)"
[ -z "$("$ovbd" compare -q a b)" ] || fail "-q says something"
exits 1 "$ovbd" compare -q a b
ok "differences"

# Sizes
cp a longer
truncate -s 4000000 longer
exits 0 "$ovbd" compare longer a >out
grep -q "A is .*(1000000 bytes) longer, all zeros" out || fail "$(cat out)"
exits 1 "$ovbd" compare --strict longer a >out
! grep -q "the same" out || fail "$(cat out)"
printf x >>longer
exits 1 "$ovbd" compare a longer >out
grep -q "first at byte 4000000; 1 byte in 1 block" out || fail "$(cat out)"
ok "sizes"

# Large and empty, in no time
truncate -s 8T x
truncate -s 8T y
put x 7000000000000 4096 1
put y 7000000000000 4096 1
same x y
printf '\252' | dd of=y bs=1 seek=7000000001000 conv=notrunc status=none
exits 1 "$ovbd" compare -q x y
ok "holes are skipped"

expect 2 "nowhere: No such file" "$ovbd" compare a nowhere
expect 2 "nowhere: No such file" "$ovbd" compare nowhere a
expect 2 "B is missing" "$ovbd" compare a
head -c 100000 a.ovbd >short
expect 2 "short" "$ovbd" compare short a
cp a.ovbd bad
printf '\252\125' | dd of=bad bs=1 seek=100000 conv=notrunc status=none
expect 2 "block" "$ovbd" compare bad a
