#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A delta holds what differs and nothing else; deltas stack, and squash, also onto something below.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 4000000 1 >v1
cp v1 v2
put v2 1000000 10000 2
dd if=/dev/zero of=v2 bs=4096 seek=500 count=10 conv=notrunc status=none # becomes zeros
cp v2 v3
put v3 2990000 30000 3
put v3 100 1 4

layer --uuid 11111111-aaaa-4bbb-8ccc-123456789abc v1 l1
layer -B l1 v2 l2
layer -B l1 -B l2 -m "third" v3 l3
same l1 v1
same l1 l2 v2
same l1 l2 l3 v3
"$ovbd" info --output=json l2 l3 >j
holds j ovbd.info.v1 "j['layers'][0]['data-size'] <= 20480" "j['layers'][0]['zero-size'] >= 4096" \
	"j['layers'][0]['parent-uuid'] == '11111111-AAAA-4BBB-8CCC-123456789ABC'" "j['layers'][1]['tag'] == 'third'"
ok "deltas"

# No difference: an empty layer.
layer -B l1 v1 none
[ "$("$ovbd" map none | wc -l)" = 2 ] || fail "segments in a delta of nothing"
same l1 none v1

# A raw base, and a stack named by its configuration.
layer -B v1 v2 r2
same l1 r2 v2 # but for the parent it is the same layer
printf '{"lowers":[{"file":"l1"},{"file":"l2"}]}' >stack.json
layer -B stack.json -m third v3 j3
cmp l3 j3 || fail "a delta against the configuration differs"
same stack.json v2
ok "bases of all kinds"

# A base from elsewhere, with something else where its UUID should be.
layer -O lsmt v1 odd.lsmt
for at in 56 $(($(stat -c %s odd.lsmt) - 4096 + 56)); do
	printf 'x/y' | dd of=odd.lsmt bs=1 seek=$at conv=notrunc status=none
done
layer -B odd.lsmt v2 odd2
same odd.lsmt odd2 v2
ok "a base with an odd UUID"

# Squash: zeroed segments stay, so the result still lies properly on l1.
layer l2 l3 l23
same l1 l23 v3
layer l1 l2 l3 all
same all v3
layer -O raw l1 l2 l3 flat
cmp flat v3
"$ovbd" map l23 | grep -q ' zero ' || fail "the squash has lost its zeroed segments"
ok "squash"

# Other sizes.
truncate -s 3000001 v2
layer -B l1 v2 shrunk
same l1 shrunk v2
truncate -s 5000000 v3
layer -B l1 -B shrunk v3 grown # what l1 had beyond 3000001 must not come back
same l1 shrunk grown v3
layer -O raw l1 shrunk grown flat --force
cmp flat v3
truncate -s 4999999 v3
put v3 4990000 9999 9
layer -B l1 -B shrunk v3 odd
same l1 shrunk odd v3
# The same over a raw base, and with a delta made against something else of the same content.
"$ovbd" convert -q -O raw --force l1 whole
"$ovbd" convert -q -O raw --force l1 shrunk small
layer -B whole small shrunk2
layer -B small v3 grown2
same whole shrunk2 grown2 v3
same l1 shrunk grown2 v3
layer -B whole -B shrunk2 v3 grown3
same whole shrunk2 grown3 v3
layer shrunk2 again
same whole again grown2 v3
layer shrunk2 grown2 both
same whole both v3
ok "devices that shrink and grow"

