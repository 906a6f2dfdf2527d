#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layers with everything a tar can say, each applied over those before it: the tree is the one that GNU tar
# makes of them, in all that can be seen of it; e2fsck has no complaint of any.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"
need_root

python3 "$lib/tar_torture.py" .
mkdir want
set --
for n in 0 1 2 3 4 5; do
	if [ $n = 0 ]; then
		"$ovbd" apply -q --fs-size 256M 0.tar layer0
	else
		# shellcheck disable=SC2046 # a list
		"$ovbd" apply -q $(for b; do echo -B "$b"; done) "$n.tar" "layer$n"
	fi
	set -- "$@" "layer$n"
	"$ovbd" check -q "$@" || fail "layer $n"
	python3 "$lib/tar_over.py" "$n.tar" want 2>tar.err || fail "tar: $(cat tar.err)"
	mounted have "$@"
	python3 "$lib/tree_walk.py" want named >want.txt
	python3 "$lib/tree_walk.py" have named >have.txt
	umount have
	cmp want.txt have.txt || {
		diff want.txt have.txt | cut -c1-200 | head -n 40
		fail "layer $n is another tree"
	}
	ok "layer $n: $(wc -l <have.txt) names"
done

# A small change is a small layer, whatever the file system's size.
tar -cf small.tar --owner=0 --group=0 -C "$OVBD_SOURCE" README.md
# shellcheck disable=SC2046 # a list
"$ovbd" apply -q $(for b; do echo -B "$b"; done) small.tar small
[ "$(stat -c %s small)" -lt 40000 ] || fail "one file more: $(stat -c %s small) bytes"
ok "a small change"

# Links do not lead out of the root.
"$ovbd" apply -q --fs-size 64M escape.tar escape
mounted have escape
[ "$(cd have && find . -path ./lost+found -prune -o -print | sort | tr '\n' ' ')" = \
	". ./absolute ./hard ./in ./in/clean ./in/deep ./in/deep/down ./in/deep/down/file ./in/up ./out " ] ||
	fail "links: $(cd have && find .)"
[ "$(stat -c %i have/hard)" = "$(stat -c %i have/in/deep/down/file)" ] || fail "a hard link through links"
ok "links that lead out"
