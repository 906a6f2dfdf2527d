#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# overlaybd's convertor makes an image of three tars: its command lines, in its order, and what it finds then.
. "${OVBD_SOURCE:?}/tests/lib/dropin.sh"

tars() {
	mkdir -p one/bin one/etc two/bin two/etc
	head -c 300000 /dev/urandom >one/bin/big
	echo hello >one/etc/hello
	ln one/etc/hello one/etc/also
	ln -s bin one/sbin
	head -c 9000 /dev/zero >one/etc/zeros
	echo other >two/etc/hello
	: >two/bin/.wh.big
	head -c 70000 /dev/urandom >two/bin/small
	tar --owner=0 --group=0 --numeric-owner -C one -cf 0.tar .
	tar --owner=0 --group=0 --numeric-owner -C two -czf 1.tar .
	tar --owner=0 --group=0 --numeric-owner -C one -c etc | zstd -q >2.tar
}
tars

created="overlaybd-create has created files SUCCESSFULLY"
committed="overlaybd-commit has committed files SUCCESSFULLY"

# layer DIR NUMBER SIZE LOWER...: $flags of create; as the convertor does it
layer() {
	dir=$tmp/$1 n=$2 size=$3
	shift 3
	mkdir -p "$dir"
	cp "$n.tar" "$dir/layer.tar"
	# shellcheck disable=SC2086 # words
	said "$created" "" "$bin/overlaybd-create" "$dir/writable_data" "$dir/writable_index" "$size" $flags
	config "$dir/config.json" "$dir" "$@"
	said "overlaybd-apply done" - "$bin/overlaybd-apply" "$dir/layer.tar" "$dir/config.json"
	said "$committed" - "$bin/overlaybd-commit" "$dir/writable_data" "$dir/writable_index" "$dir/overlaybd.commit" \
		-z -t --uuid "0000000$n-1111-2222-3333-444444444444" ${parent:+--parent-uuid "$parent"}
	parent=0000000$n-1111-2222-3333-444444444444
}

for sparse in "" -s; do
	parent=
	flags="$sparse --mkfs"
	layer "0$sparse" 0 1
	flags=$sparse
	layer "1$sparse" 1 0 "$tmp/0$sparse/overlaybd.commit"
	layer "2$sparse" 2 0 "$tmp/0$sparse/overlaybd.commit" "$tmp/1$sparse/overlaybd.commit"
	set -- "0$sparse/overlaybd.commit" "1$sparse/overlaybd.commit" "2$sparse/overlaybd.commit"
	"$ovbd" check "$@" >/dev/null
	"$ovbd" info --output=json "$@" >info.json
	python3 - <<'END'
import json
info = json.load(open("info.json"))
layers = info["layers"]
assert info["virtual-size"] == 1 << 30, info
for i, l in enumerate(layers):
    uuid = "0000000%d-1111-2222-3333-444444444444"
    assert l["uuid"] == uuid % i, l
    assert i == 0 or l["parent-uuid"] == uuid % (i - 1), l
END
	ok "three layers${sparse:+, sparse}: $(stat -c %s "$@" | tr '\n' ' ')bytes"
done
for n in 0 1 2; do
	cmp "$n/overlaybd.commit" "$n-s/overlaybd.commit" || fail "layer $n: other bytes from a sparse one"
done
[ "$(stat -c %s 0/overlaybd.commit)" -lt 360000 ] || fail "the first layer holds more than its files"

# the same as the verb, which needs no writable layer; but for the copy of the superblock and its neighbour in group 1,
# which are those of the empty file system
"$ovbd" apply -q --fs-size 1G 0.tar a0
"$ovbd" apply -q -B a0 1.tar a1
"$ovbd" apply -q -B a0 -B a1 2.tar a2
config verb.json "" "$tmp/a0" "$tmp/a1" "$tmp/a2"
config all.json "" "$tmp/0/overlaybd.commit" "$tmp/1/overlaybd.commit" "$tmp/2/overlaybd.commit"
differ=$("$ovbd" compare verb.json all.json 2>&1) || :
echo "$differ" | grep -q "first at byte 1342177[0-9]*; .* in 2 blocks of 4 KiB" || fail "$differ"
"$ovbd" convert -q -O raw all.json tool.raw
e2fsck -fn tool.raw >fsck 2>&1 || fail "$(cat fsck)"
debugfs -R 'cat /etc/also' tool.raw 2>/dev/null | cmp - one/etc/hello || fail "/etc/also"
debugfs -R 'cat /bin/small' tool.raw 2>/dev/null | cmp - two/bin/small || fail "/bin/small"
debugfs -R 'ls /bin' tool.raw 2>/dev/null | grep -q big && fail "/bin/big is there"
ok "what ovbd apply makes"

said "" - "$bin/overlaybd-merge" all.json one.commit
"$ovbd" check -q one.commit
"$ovbd" compare -q all.json one.commit || fail "merged it reads as something else"
said "" - "$bin/overlaybd-merge" --compress=false -t all.json one.commit # replaces it
"$ovbd" info one.commit | grep -q "^format: *lsmt, in a tar$" || fail "$("$ovbd" info one.commit)"
"$ovbd" compare -q all.json one.commit || fail "merged and not compressed it reads as something else"
# with what is being written
config written.json "$tmp/2" "$tmp/0/overlaybd.commit" "$tmp/1/overlaybd.commit"
said "" - "$bin/overlaybd-merge" written.json two.commit --compress
"$ovbd" compare -q all.json two.commit || fail "merged with its upper it reads as something else"
ok "merged"

# a pipe, with its digest; a digest that is another leaves the file system as it was
mkdir p
said "$created" "" "$bin/overlaybd-create" p/writable_data p/writable_index 1 --mkfs
config p.json "$tmp/p"
digest=sha256:$(sha256sum 0.tar | cut -d' ' -f1)
gzip -c 0.tar >0.tgz
wrong=sha256:$(printf '%064d' 1)
refused 1 "sha256 checksum mismatch, expect: $wrong, got: $digest" \
	"$bin/overlaybd-apply" 0.tgz p.json --checksum "$wrong"
"$ovbd" convert -q --force -O raw p.json after.raw
e2fsck -fn after.raw >/dev/null 2>&1 || fail "the file system is not whole"
debugfs -R 'ls /' after.raw 2>/dev/null | grep -q etc && fail "what was refused is there"
mkfifo fifo
cat 0.tgz >fifo &
pids="$pids $!"
said "overlaybd-apply done" "$digest" "$bin/overlaybd-apply" fifo p.json --checksum "$digest"
"$ovbd" convert -q --force -O raw p.json after.raw
debugfs -R 'cat /etc/hello' after.raw 2>/dev/null | cmp - one/etc/hello || fail "no /etc/hello"
ok "a pipe and its digest"

# raw disks
said "$created" "" "$bin/overlaybd-create" --raw disk.raw disk.index 1 --mkfs
[ "$(stat -c %s disk.raw)" = 1073741824 ] || fail "$(ls -l disk.raw)"
if [ ! -e disk.index ] || [ -s disk.index ]; then
	fail "disk.index"
fi
said "overlaybd-apply done" - "$bin/overlaybd-apply" --raw 0.tar disk.raw
e2fsck -fn disk.raw >fsck 2>&1 || fail "$(cat fsck)"
debugfs -R 'cat /etc/hello' disk.raw 2>/dev/null | cmp - one/etc/hello || fail "no /etc/hello"
said "overlaybd-apply done" - "$bin/overlaybd-apply" --raw --mkfs 1.tar disk.raw
e2fsck -fn disk.raw >fsck 2>&1 || fail "$(cat fsck)"
debugfs -R 'cat /etc/hello' disk.raw 2>/dev/null | cmp - two/etc/hello || fail "no other /etc/hello"
debugfs -R 'ls /etc' disk.raw 2>/dev/null | grep -q also && fail "what was there before the new file system"
ok "raw disks"
