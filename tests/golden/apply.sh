#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Two tars that overlaybd-apply has applied: the tree that its manifest tells of, but for what docs/apply.md
# names; and our tars over its own layer.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"

dir=${OVBD_FIXTURES:?}/overlaybd/apply
[ -e "$dir/A12.manifest" ] || skip "no fixtures in $dir"
need_root

# is_the_tree LAYER...: the stack holds the tree of the manifest.
is_the_tree() {
	mounted tree "$@"
	(cd tree && find . -path ./lost+found -prune -o -printf '%p %y %m %U:%G %s %T@ links=%n ->%l\n' | sort) >found
	grep '^\.' "$dir/A12.manifest" | grep -v '^\./lost+found' | sort >wanted
	# the hard link's own mode is not the file's: bin/tool keeps its set-user-ID bit
	sed -E 's|^(\./bin/(tool\|hard\|hard2) f) 644 |\1 4755 |' wanted >ours
	diff ours found || fail "another tree"
	(cd tree && find . -type f -exec sha256sum {} +) | sort -k2 >sums
	grep -E '^[0-9a-f]{64}  ' "$dir/A12.manifest" | sort -k2 | diff - sums || fail "other contents"
	python3 - <<'END'
import os
assert os.getxattr("tree/etc/xattr", "trusted.t") == b"x y" and os.getxattr("tree/etc/xattr", "user.foo") == b"bar"
assert os.getxattr("tree/var/xdir", "user.dir") == b"yes"
END
	umount tree
}

"$ovbd" apply -q "$dir/base.tar" a1
"$ovbd" apply -q -B a1 "$dir/upper.tar" a2
is_the_tree a1 a2
ok "the tree of the manifest"

# and by the names of the original's programs, as its convertor calls them
for tool in create apply commit; do
	ln -s "$ovbd" "overlaybd-$tool"
done
for sparse in "" -s; do
	# shellcheck disable=SC2086 # no word, or one
	./overlaybd-create d1 i1 64 $sparse --mkfs >/dev/null
	echo '{"repoBlobUrl": "", "lowers": [], "upper": {"data": "d1", "index": "i1"}, "resultFile": ""}' >1.json
	./overlaybd-apply "$dir/base.tar" 1.json >/dev/null 2>&1 || fail "base.tar"
	./overlaybd-commit d1 i1 c1 -z -t >/dev/null 2>&1 || fail "commit 1"
	# shellcheck disable=SC2086 # no word, or one
	./overlaybd-create d2 i2 0 $sparse >/dev/null
	echo '{"repoBlobUrl": "", "lowers": [{"file": "c1"}], "upper": {"data": "d2", "index": "i2"}, "resultFile": ""}' >2.json
	./overlaybd-apply "$dir/upper.tar" 2.json >/dev/null 2>&1 || fail "upper.tar"
	./overlaybd-commit d2 i2 c2 -z -t >/dev/null 2>&1 || fail "commit 2"
	is_the_tree c1 c2
	rm d1 d2 i1 i2 c1 c2 ./*.zeros 2>/dev/null || :
	ok "the same by overlaybd-apply${sparse:+, sparse}"
done

# What the original made can be gone on from. Its file systems have faults of their own (docs/apply.md), which
# stay what they are: as many as before.
complaints() {
	"$ovbd" convert -q --force -O raw "$@" raw
	e2fsck -fn raw 2>/dev/null | grep -cE '\?|invalid|wrong' || :
}
before=$(complaints "$dir/A1.zf")
"$ovbd" apply -q -B "$dir/A1.zf" "$dir/upper.tar" over
[ "$(complaints "$dir/A1.zf" over)" -le "$before" ] || fail "e2fsck has more to say than of A1 alone"
mkdir -p tree
mount -o loop,ro raw tree
(cd tree && find . -path ./lost+found -prune -o -printf '%p %y %s %l\n' | sort) >over.txt
awk '{ NF = NF; print $1, $2, $5, substr($8, 3) }' ours | sort >plain
sort over.txt | diff - plain || fail "another tree over the original's layer"
ok "over the original's own layer"
