#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer's Merkle tree is made with it, and is the one that fsverity makes.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

command -v fsverity >/dev/null || skip "no fsverity"

# is_theirs FILE TREE ROOT: what fsverity says of FILE
is_theirs() {
	fsverity digest --compact --out-merkle-tree=their.tree "$1" >their.root
	[ "$3" = "sha256:$(cat their.root)" ] || fail "$1: $3, not $(cat their.root)"
	cmp their.tree "$2" || fail "$1: another tree"
}

# Sizes at which the tree changes its shape; the last has three levels.
for size in 0 1 4095 4096 4097 $((128 * 4096)) $((128 * 4096 + 1)) $((128 * 128 * 4096 + 1)); do
	head -c "$size" /dev/urandom >file
	root=$("$ovbd" verity create --force file | cut -d' ' -f1)
	is_theirs file file.verity "$root"
	[ "$("$ovbd" verity digest file)" = "$root file" ] || fail "digest of $size bytes"
	exits 0 "$ovbd" check -q --verity "$root" file
done
rm file file.verity
ok "as fsverity has them"

data 3000320 1 >v1
cp v1 v2
put v2 1000000 50000 2
# each kind of output, with what is written twice, and with holes
for how in "" "--tar" "-c zstd -j 3 --tar" "-O lsmt" "-O zfile" "-O raw" "-O dm-update" "-B v1"; do
	# shellcheck disable=SC2086 # words
	root=$("$ovbd" convert -q --verity $how v2 out)
	is_theirs out out.verity "${root#verity: }"
	cp out.verity first
	# shellcheck disable=SC2086 # words
	exits 0 "$ovbd" convert -q --force -j 2 --verity $how v2 out >again
	[ "$root" = "$(cat again)" ] || fail "$how: $root, then $(cat again)"
	cmp first out.verity || fail "$how: another tree"
	rm out out.verity
	ok "convert --verity $how"
done
rm first again their.tree their.root

mkdir www
"$ovbd" convert -q --verity=www/tree --output=json v2 www/layer >json
holds json ovbd.convert.v1 'j["verity"]["file"] == "www/tree"' 'j["stored-size"] > 100000' \
	'len(j["verity"]["root"]) == 71'
root=$(python3 -c 'import json; print(json.load(open("json"))["verity"]["root"])')
"$ovbd" verity digest --output=json www/layer >json
holds json ovbd.verity.v1 "j['root'] == '$root'" 'j["tree-size"] > 4096'
ok "JSON"

expect 2 "another file than DST" "$ovbd" convert --verity=out v1 out
expect 2 "standard output" "$ovbd" convert --verity v1 -
expect 2 "not for android-cow" "$ovbd" convert --verity -O android-cow v1 out
expect 1 "out.verity: exists; use --force" sh -c "touch out.verity; $ovbd convert --verity v1 out"
[ ! -e out ] || fail "out is there"
rm out.verity
expect 2 "LAYER is missing" "$ovbd" verity digest
expect 2 "none of: create, digest" "$ovbd" verity make x
expect 2 "OUT is missing: http://x/y is a URL" "$ovbd" verity create http://x/y
expect 2 "is no root" "$ovbd" check --verity sha256:12 v1
expect 2 "its root is $root, not sha256:00" "$ovbd" check --verity "sha256:$(printf '%064d' 0)" www/layer
"$ovbd" check --verity "$root" www/layer | grep -q "$root, .* good" || fail "check does not say it"

# What fails leaves nothing behind: here the disk is full, of the tree or of the layer.
data 30000000 3 >large
mkdir small
for blocks in 100 2000 40000; do
	expect 1 "File too large" sh -c "ulimit -f $blocks; exec $ovbd convert -q --verity=small/t -O lsmt large small/l"
	[ -z "$(ls -A small)" ] || fail "left: $(ls -A small)"
done
ok "nothing is left"
