#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Large directories have a hash tree, which is right for e2fsck and the kernel: new ones; those of a layer beneath
# when names come and go; those that others made, by any of ext4's hashes, with and without checksums.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"

names() {
	python3 "$lib/tar_names.py" make "$@"
}

# holds IMAGE DIR LIST: these names, for e2fsck, libext2fs and, where that can be, the kernel
holds() {
	e2fsck -fn "$1" >fsck.out 2>&1 || fail "e2fsck of $1: $(tail -n 20 fsck.out)"
	debugfs -R "stat $2" "$1" 2>/dev/null | grep -q "Flags: 0x${flags:-81000}" || fail "$2: another kind of directory"
	debugfs -R "ls -p $2" "$1" 2>/dev/null | cut -d/ -f6 | grep -v '^\.*$' | sort >listed
	LC_ALL=C.UTF-8 sort "$3" | cmp - listed || fail "$2: other names"
	if [ "$(id -u)" = 0 ]; then
		mkdir -p at
		mount -o loop,ro "$1" at
		python3 "$lib/tar_names.py" look "at/$2" "$3" || {
			umount at
			fail "$2: the kernel finds others"
		}
		umount at
	fi
}
export LC_ALL=C.UTF-8

# --- a new one, with nodes; one without; a small one
names 0.tar list large 0:9000:250
names small.tar small.list small 0:60:150
names middle.tar middle.list middle 0:1000:40
python3 - <<'END'
import tarfile
with tarfile.open("all.tar", "w", format=tarfile.PAX_FORMAT) as out:
    for name in ("0.tar", "small.tar", "middle.tar"):
        with tarfile.open(name) as part:
            for i in part:
                out.addfile(i)
END
"$ovbd" apply -q --fs-size 1G all.tar layer0
"$ovbd" convert -q -O raw layer0 raw
holds raw large list
holds raw middle middle.list
flags=80000 holds raw small small.list
ok "new directories"

# --- changed by the next layer: names come in all places, until nodes are halved; names go
names 1.tar list large 20000:27000:250 -100:4000:250 30000:30500:30 20000:20100:250
"$ovbd" apply -q -B layer0 1.tar layer1
"$ovbd" convert -q --force -O raw layer0 layer1 raw
holds raw large list
names 2.tar list large 50000:50001:33
"$ovbd" apply -q -B layer0 -B layer1 2.tar layer2
[ "$(stat -c %s layer2)" -lt 20000 ] || fail "one name more is $(stat -c %s layer2) bytes"
"$ovbd" convert -q --force -O raw layer0 layer1 layer2 raw
holds raw large list
names 3.tar list large -0:100000:250
"$ovbd" apply -q -B layer0 -B layer1 -B layer2 3.tar layer3
"$ovbd" convert -q --force -O raw layer0 layer1 layer2 layer3 raw
holds raw large list
ok "directories of a layer beneath"

# --- a list becomes a tree when it grows, and a root gets nodes
names 4.tar small.list small 100:400:150
names 5.tar middle.list middle 2000:12000:250
"$ovbd" apply -q -B layer0 4.tar layer4
"$ovbd" apply -q -B layer0 -B layer4 5.tar layer5
"$ovbd" convert -q --force -O raw layer0 layer4 layer5 raw
holds raw small small.list
holds raw middle middle.list
ok "directories that grow"

# --- the kernel goes on with it
if [ "$(id -u)" = 0 ]; then
	mount -o loop raw at
	(cd at/small && seq 3000 | xargs touch && ls >../../small.list)
	umount at
	holds raw small small.list
	"$ovbd" apply -q -B raw 4.tar layer6
	names 4.tar small.list small 100:400:150
	"$ovbd" convert -q --force -O raw raw layer6 raw6
	holds raw6 small small.list
	ok "the kernel and we, in turns"
fi

# --- of others, with each of the hashes
mkdir -p tree/large
names none.tar other.list large 0:1500:60 same:0:20
names new.tar new.list new 0:1000:60 same:0:48
(cd tree/large && xargs touch <../../other.list)
for how in "half_md4 1" "half_md4 2" "tea 1" "tea 2" "legacy 1" "legacy 2 -O ^metadata_csum" "half_md4 2 -O ^dir_index"; do
	# shellcheck disable=SC2086 # words
	set -- $how
	alg=$1 sign=$2
	shift 2
	rm -f other && truncate -s 48M other
	mke2fs -q -t ext4 -b 4096 -I 256 -N 20000 "$@" -d tree other
	tune2fs -E hash_alg="$alg" other >/dev/null
	debugfs -w -R "ssv flags $sign" other 2>said || fail "$(cat said)"
	e2fsck -fyD other >fsck.out 2>&1 || [ $? -lt 4 ] || fail "$(cat fsck.out)"
	cp other.list list
	names more.tar list large 3000:4500:60 -700:1000:60 same:20:48 4500:4600:250
	"$ovbd" apply -q --force -B other more.tar more
	"$ovbd" apply -q --force -B other -B more new.tar new
	"$ovbd" convert -q --force -O raw other more new raw
	flags=81000
	[ "$*" != "-O ^dir_index" ] || flags=80000
	holds raw large list
	holds raw new new.list
	ok "$how"
done

# --- with trees that we cannot keep: of an unknown hash, or where there should be none
cp other.list list
names more.tar list large 3000:3100:60
for how in unknown none; do
	rm -f other && truncate -s 48M other
	mke2fs -q -t ext4 -b 4096 -I 256 -N 20000 -O ^metadata_csum -d tree other
	e2fsck -fyD other >fsck.out 2>&1 || [ $? -lt 4 ] || fail "$(cat fsck.out)"
	flags=81000
	if [ $how = none ]; then
		debugfs -w -R "feature -dir_index" other >said 2>&1
		flags=80000
	else
		debugfs -w -R "zap_block -f /large -o 28 -l 1 -p 9 0" other >said 2>&1
	fi
	e2fsck -fn other >fsck.out 2>&1 && fail "$how: the tree is right: $(cat said)"
	"$ovbd" apply -q --force -B other more.tar more
	"$ovbd" convert -q --force -O raw other more raw
	holds raw large list
	ok "a tree: $how"
done
