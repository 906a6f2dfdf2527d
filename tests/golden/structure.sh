#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What ovbd convert writes has the structure that overlaybd's reader demands, in every codec, block size
# and wrapping: read by scripts that know that reader's rules and nothing of ours.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

lib=$OVBD_SOURCE/tests/lib
# text, zeros, and what does not compress: 400 KB
{
	seq 20000
	head -c 100000 /dev/zero
	openssl enc -aes-128-ctr -K 00 -iv 00 -nosalt -in /dev/zero 2>/dev/null | head -c 200000
	seq 1000
} >raw 2>/dev/null
size=$(stat -c %s raw)
[ "$size" -gt 400000 ] || fail "the input has $size bytes"
seq 5000 20000 >changed
head -c 100000 /dev/zero >>changed

# check LAYER [OPTION]: its ZFile, then the layer in it
check() {
	python3 "$lib/zfile_facts.py" ${2+"$2"} "$1" || fail "$1: the ZFile"
	"$ovbd" convert -q --force -f zfile -O raw "$1" lsmt || fail "$1: unpack"
	python3 "$lib/lsmt_facts.py" lsmt || fail "$1: the layer"
}

for codec in lz4 zstd; do
	for block in 4K 8K 16K 32K; do
		"$ovbd" convert -q --force -c $codec --block-size $block raw layer
		check layer
		"$ovbd" convert -q --force -c $codec --block-size $block -B layer changed delta
		check delta
	done
	# 64K blocks that do not compress grow beyond what that reader can take, and ovbd says so
	"$ovbd" convert --force -c $codec --block-size 64K raw layer 2>said
	grep -q "blocks grew beyond 64 KiB" said || fail "no warning: $(cat said)"
	check layer --large
	"$ovbd" convert --force -c $codec --block-size 64K changed layer 2>said
	if grep -q "beyond 64 KiB" said; then fail "a warning for nothing"; fi
	check layer
	"$ovbd" convert -q --force -c $codec --tar raw layer
	check layer --tar
done
"$ovbd" convert -q --force -c none raw lsmt
python3 "$lib/lsmt_facts.py" lsmt || fail "the bare layer"
ok "as overlaybd's reader wants it"
