#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Two updates of a Debian, as a phone gets them: the image is made anew from the changed system, so that most blocks
# only move. Each becomes an Android COW, that a layer, and the stack of the old image and both layers is
# served, mounted, and is the new system. Prints the sizes, which docs/format-lsmt.md has.
#
# Needs root, and about 1.5 GB in $TMPDIR for a minute.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"
. "$OVBD_SOURCE/tests/kernel/kernel.sh"
. "$OVBD_SOURCE/tests/kernel/debian.sh"

first="hello nano less libpython3.11-minimal"
second="busybox-static vim-tiny vim-common"
for tool in mkfs.ext4 mount dpkg apt-get; do
	PATH=$PATH:/sbin:/usr/sbin command -v $tool >/dev/null || skip "$tool is not installed"
done
PATH=$PATH:/sbin:/usr/sbin
debian_tree tree

# image NAME: a file system of the tree, the same bytes for the same tree
image() {
	truncate -s 400M "$1"
	mkfs.ext4 -q -b 4096 -d tree -U 11111111-2222-3333-4444-555555555555 \
		-E hash_seed=66666666-7777-8888-9999-000000000000,root_owner=0:0 "$1" ||
		fail "mkfs.ext4"
}

mkdir debs
chmod 777 debs # apt downloads as a user of its own
# shellcheck disable=SC2086 # lists
(cd debs && apt-get -qq download $first $second) 2>apt.log || skip "apt cannot download: $(tail -n 1 apt.log)"
image v1.ext4
for package in $first; do
	dpkg --root=tree --force-depends -i debs/"${package}"_*.deb >dpkg.log 2>&1 || fail "dpkg: $(tail -n 5 dpkg.log)"
done
image v2.ext4
dpkg --root=tree --force-depends -r hello less >dpkg.log 2>&1 || fail "dpkg: $(tail -n 5 dpkg.log)"
for package in $second; do
	dpkg --root=tree --force-depends -i debs/"${package}"_*.deb >dpkg.log 2>&1 || fail "dpkg: $(tail -n 5 dpkg.log)"
done
image v3.ext4
ok "a Debian, and two updates"

size() {
	stat -c %s "$1"
}
row() {
	printf '| %s | %s | %s |\n' "$1" "$(size "$2")" "$(size "$3")" >>table
}

below=v1.ext4
for n in 1 2; do
	old=v$n.ext4
	new=v$((n + 1)).ext4
	exits 0 "$ovbd" cow create -q --from $old -c zstd --max-block 64K $new ota$n.cow
	exits 0 "$ovbd" convert -q -c zstd --block-size 64K -B $old ota$n.cow ota$n.ovbd
	exits 0 "$ovbd" convert -q -c zstd --block-size 64K -B $old --no-references ota$n.cow whole$n.ovbd
	exits 0 "$ovbd" convert -q -c zstd --block-size 64K -B $old $new delta$n.ovbd
	exits 0 "$ovbd" convert -q -O dm-update -c zstd --block-size 64K -B $old $new ota$n.update
	below="$below ota$n.ovbd"
	# shellcheck disable=SC2086 # a list
	exits 0 "$ovbd" compare -q $below $new
	exits 0 "$ovbd" compare -q $old whole$n.ovbd $new
	exits 0 "$ovbd" compare -q $old ota$n.update $new
	[ "$(size ota$n.ovbd)" -le "$(size ota$n.cow)" ] ||
		fail "update $n: a layer of $(size ota$n.ovbd) bytes, of a COW of $(size ota$n.cow)"
done
exits 0 "$ovbd" convert -q -c zstd --block-size 64K v2.ext4 full2.ovbd
exits 0 "$ovbd" convert -q -c zstd --block-size 64K v3.ext4 full3.ovbd
echo "| bytes | first update | second |" >table
echo "|---|---|---|" >>table
row "full image, as a file" v2.ext4 v3.ext4
row "full image, a layer of its own" full2.ovbd full3.ovbd
row "COW" ota1.cow ota2.cow
row "layer of the COW, with references" ota1.ovbd ota2.ovbd
row "layer of the COW, materialised" whole1.ovbd whole2.ovbd
row "delta of the images, without references" delta1.ovbd delta2.ovbd
row "dm-update" ota1.update ota2.update
cat table
ok "the layers with references are no larger than the COWs"

mkdir served new
"$ovbd" serve -q --fuse disk.img v1.ext4 ota1.ovbd ota2.ovbd &
pid=$!
pids="$pids $pid"
wait_for test -s disk.img
exits 0 cmp disk.img v3.ext4
mount -o loop,ro,noload disk.img served || skip "cannot mount"
mount -o loop,ro,noload v3.ext4 new || fail "cannot mount v3.ext4"
for dir in served new; do
	(cd $dir && find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum) >$dir.sums
	(cd $dir && find . -xdev -printf '%p|%y|%m|%U:%G|%s|%l\n' | sort) >$dir.names
done
cmp served.sums new.sums || fail "other content"
cmp served.names new.names || fail "other names or modes"
[ "$(wc -l <served.sums)" -gt 3000 ] || fail "only $(wc -l <served.sums) files"
umount served new
kill "$pid"
wait "$pid" || fail "ovbd serve ended with status $?"
pids=
ok "served, mounted, the same"
