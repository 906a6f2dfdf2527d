#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Where two images differ, and the layer between them.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

head -c 2M /dev/urandom >a.raw
cp a.raw b.raw
printf x | dd of=b.raw bs=1 seek=5000 conv=notrunc status=none     # block 1
head -c 12288 /dev/urandom | dd of=b.raw bs=4096 seek=2 conv=notrunc status=none # 2 to 4
head -c 8192 /dev/zero | dd of=b.raw bs=4096 seek=5 conv=notrunc status=none    # 5 and 6 become zeros
head -c 4096 /dev/urandom | dd of=b.raw bs=4096 seek=300 conv=notrunc status=none
"$ovbd" convert -q --uuid 00000000-0000-4000-8000-00000000000a a.raw a.ovbd

cat >want <<'E2'
           start           length  in B
            4096            16384  data
           20480             8192  zero
         1228800             4096  data
28 KiB (28672 bytes) in 3 ranges, of them 8 KiB zeros
E2
[ "$(status_of "$ovbd" diff a.ovbd b.raw | tee said | tail -1)" = 1 ] || fail "status: $(cat said)"
sed '$d' said | diff - want || fail "the ranges"
[ "$(status_of "$ovbd" diff a.ovbd a.raw | tail -1)" = 0 ] || fail "the same"
[ "$(status_of "$ovbd" diff -q a.ovbd b.raw)" = 1 ] || fail "-q"
"$ovbd" diff -q a.raw a.ovbd || fail "-q, the same"
"$ovbd" diff --output=json a.ovbd b.raw >json || [ $? = 1 ]
python3 - <<'PY' || fail "$(cat json)"
import json
o = json.load(open("json"))
assert o["schema"] == "ovbd.diff.v1" and not o["same"]
assert o["ranges"] == [{"start": 4096, "length": 16384, "kind": "data"},
                       {"start": 20480, "length": 8192, "kind": "zero"},
                       {"start": 1228800, "length": 4096, "kind": "data"}]
assert (o["differing-bytes"], o["zero-bytes"], o["virtual-size-b"]) == (28672, 8192, 2 << 20)
PY
ok "ranges"

# the layer between them, which is that of convert
s=0
"$ovbd" diff -q -c zstd --block-size 64K a.ovbd b.raw delta.ovbd || s=$?
[ $s = 1 ] || fail "status $s with DST"
"$ovbd" convert -q -c zstd --block-size 64K -B a.ovbd b.raw same.ovbd
cmp delta.ovbd same.ovbd || fail "another layer than convert's"
"$ovbd" compare -q --strict a.ovbd delta.ovbd b.raw || fail "it does not make B of A"
"$ovbd" info delta.ovbd | grep -q "parent UUID: *00000000-0000-4000-8000-00000000000A" || fail "parent"
"$ovbd" diff -q -j 7 -c zstd --block-size 64K --force a.ovbd b.raw delta.ovbd || [ $? = 1 ]
cmp delta.ovbd same.ovbd || fail "other threads, other bytes"
"$ovbd" diff -q -O lsmt a.ovbd a.raw empty.lsmt || fail "of the same"
"$ovbd" compare -q --strict a.ovbd empty.lsmt a.raw || fail "of the same"
ok "a layer"

# other sizes differ, also if there is nothing but zeros; several layers are a configuration
cp a.raw longer.raw
truncate -s 3M longer.raw
"$ovbd" diff a.raw longer.raw >said || [ $? = 1 ]
grep -qx "A has 2 MiB (2097152 bytes), B 3 MiB (3145728 bytes)" said || fail "$(cat said)"
grep -q "^0 bytes in 0 ranges" said || fail "$(cat said)"
"$ovbd" diff -q longer.raw a.raw shorter.ovbd || [ $? = 1 ]
"$ovbd" compare -q --strict longer.raw shorter.ovbd a.raw || fail "shorter"
echo '{"lowers": [{"file": "a.ovbd"}, {"file": "delta.ovbd"}]}' >b.json
"$ovbd" diff -q b.json b.raw || fail "of a stack"
ok "sizes, and a stack"

expect 2 "A and B are missing" "$ovbd" diff
expect 2 "B is missing" "$ovbd" diff a.raw
expect 2 "unexpected word 'x'" "$ovbd" diff a.raw b.raw c x
expect 2 "standard output has the ranges" "$ovbd" diff a.raw b.raw -
expect 2 "it is ovbd or lsmt" "$ovbd" diff -O raw a.raw b.raw c
expect 2 "none.raw: No such file" "$ovbd" diff a.raw none.raw
expect 2 "delta.ovbd: exists" "$ovbd" diff a.raw b.raw delta.ovbd
