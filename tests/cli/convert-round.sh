#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# raw -> layer -> raw gives the same bytes: for all kinds of sizes, codecs, block sizes and wrappers.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

# round RAW OPTION...: and our own check finds nothing
round() {
	raw=$1
	shift
	rm -f out back
	layer "$@" "$raw" out
	layer -O raw out back
	cmp "$raw" back || fail "$raw with $*"
	"$ovbd" check -q out || fail "check: $raw with $*"
}

data 3000000 1 >all
for size in 0 1 511 512 513 4095 4096 4097 65535 65536 65537 1000001; do
	head -c $size all >raw
	round raw
	round raw -O lsmt
	round raw --tar -c zstd --block-size 64K
done
ok "sizes"

mv all raw
for size in 4K 8K 16K 32K 64K; do
	round raw --block-size $size
	round raw -c zstd --block-size $size
done
round raw -c zstd:1
round raw -c zstd:19 --block-size 16K
round raw -c none
round raw -O lsmt --tar
ok "codecs and block sizes"
rm -f out back

# Bytes as they are, a layer's too.
layer -O zfile raw z
"$ovbd" info z | grep -q "format: *zfile" || fail "not a zfile"
layer -f zfile -O raw z back
cmp raw back
layer raw one.ovbd
layer -f zfile -O raw one.ovbd one.lsmt
layer -O zfile one.lsmt again.ovbd
cmp one.ovbd again.ovbd || fail "a layer, unpacked and packed again"
layer -O zfile -c zstd one.ovbd re.ovbd
layer -f zfile -O raw re.ovbd re.lsmt
cmp one.lsmt re.lsmt || fail "packed with another codec"
layer -f raw -O raw one.ovbd copy
cmp one.ovbd copy || fail "-f raw takes what there is"
ok "zfile"

layer -f ovbd -O lsmt one.ovbd bare
cmp bare one.lsmt
expect 1 "is not of the format" "$ovbd" convert -f lsmt one.ovbd x
[ ! -e x ] || fail "made something"

# Standard output
"$ovbd" convert -q -O raw one.ovbd - | cmp - raw || fail "raw to standard output"
"$ovbd" convert -q raw - >piped
same piped raw
"$ovbd" check -q piped || fail "a piped layer"
ok "standard output"
