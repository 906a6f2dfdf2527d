#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is read of a layer over a network is proven by its Merkle tree before it is used or kept.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 3000320 1 >v1
cp v1 v2
put v2 1000000 50000 2
mkdir www
root=$("$ovbd" convert -q --verity=www/tree v2 www/layer)
root=${root#verity: }
mkfifo hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port &
pids="$pids $!"
exec 3>hold
wait_for test -s port
url=http://127.0.0.1:$(cat port)
size=$(stat -c %s www/layer)
tree_size=$(stat -c %s www/tree)

# config LAYER-URL TREE-URL
config() {
	echo "{\"lowers\": [{\"url\": \"$url/$1\", \"verity\": {\"root\": \"$root\", \"url\": \"$url/$2\"}}]}" >c.json
}

config layer tree
"$ovbd" info c.json | grep -q "^verity: *$root" || fail "info does not show the root"
exits 0 "$ovbd" compare -q c.json v2
"$ovbd" check c.json | grep -q "$root, .* good" || fail "check does not say it"
# a file is used before a URL, a URL if there is no file
echo "{\"lowers\": [{\"file\": \"www/layer\", \"verity\": {\"root\": \"$root\", \"file\": \"www/tree\", \"url\": \"http://nothere.invalid/\"}}]}" >f.json
exits 0 "$ovbd" compare -q f.json v2
echo "{\"lowers\": [{\"file\": \"www/layer\", \"verity\": {\"root\": \"$root\", \"file\": \"www/none\", \"url\": \"$url/tree\"}}]}" >f.json
exits 0 "$ovbd" compare -q f.json v2
ok "read over HTTP"

# A byte of the layer is changed on the wire: always, or once. (What is never read may be anything.)
for i in $(seq 12); do
	at=$(((i * 7919 * 131 + 5) % size))
	config "~flip=$at/layer" tree
	s=$(status_of "$ovbd" check -q c.json 2>err)
	[ "$s" = 2 ] || fail "byte $at: status $s: $(cat err)"
	grep -q "block $((at / 4096)) at $((at / 4096 * 4096)) is not what its Merkle tree says" err || fail "$(cat err)"
	grep -q "$url/~flip=$at/layer" err || fail "no URL: $(cat err)"
	config "~fliponce=$at/layer" tree
	exits 0 "$ovbd" compare -q c.json v2
	exits 0 "$ovbd" check -q c.json
done
for i in $(seq 8); do
	at=$(((i * 7919 * 131 + 5) % tree_size))
	config layer "~flip=$at/tree"
	s=$(status_of "$ovbd" check -q c.json 2>err)
	[ "$s" = 2 ] || fail "byte $at of the tree: status $s: $(cat err)"
	grep -q "$url/layer: Merkle tree $url/~flip=$at/tree: " err || fail "$(cat err)"
	config layer "~fliponce=$at/tree"
	exits 0 "$ovbd" check -q c.json
done
ok "changed on the wire"

# Of a layer that comes wrong nothing wrong is kept; nor is what others have kept without a proof.
config "~flip=200000/layer" tree
exits 65 "$ovbd" compare -q --cache kept c.json v2 2>err
config layer tree
exits 0 "$ovbd" compare -q --cache kept c.json v2
exits 0 "$ovbd" convert -q --cache other -O raw "$url/~flip=1/layer" out 2>err || :
exits 0 "$ovbd" compare -q --cache other c.json v2
# what is kept is known by its root, wherever it came from
config "~flip=200000/layer" tree
exits 0 "$ovbd" compare -q --cache kept c.json v2
# what is all there is read without a server, if the configuration says how large it is
echo "{\"lowers\": [{\"url\": \"http://127.0.0.1:1/x\", \"size\": $size,
	\"verity\": {\"root\": \"$root\", \"url\": \"http://127.0.0.1:1/y\"}}]}" >c.json
exits 0 "$ovbd" compare -q --cache kept c.json v2
ok "kept"

# What does not belong together
"$ovbd" verity create v1 www/other >/dev/null
config layer other
expect 65 "Merkle tree $url/other: is " "$ovbd" info f.json c.json
head -c $((tree_size - 4096)) www/tree >www/cut
config layer cut
expect 65 "that of $size bytes of data is $tree_size" "$ovbd" compare -q c.json v2
config "~size=1/layer" tree
expect 65 "with $((size + 1)) bytes of data its root is" "$ovbd" compare -q c.json v2
config layer nothere
expect 69 "layer: Merkle tree: $url/nothere" "$ovbd" compare -q c.json v2
ok "what does not belong together"

# The layer finds its name taken when its tree has got its own: that goes again.
cp v1 www/raw
mkdir small
"$ovbd" convert -q --verity=small/t "$url/~slow=1500000/raw" small/l >said 2>err &
pid=$!
pids="$pids $pid"
both_open() {
	[ "$(find /proc/$pid/fd -lname "$tmp/small/*(deleted)" | wc -l)" = 2 ]
}
wait_for both_open
echo mine >small/l
exits 1 wait $pid
grep -q "small/l: exists" err || fail "$(cat err)"
[ "$(ls -A small)" = l ] || fail "left: $(ls -A small)"
[ ! -s said ] || fail "it said: $(cat said)"
ok "no tree without its layer"
