#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same image becomes the same, whoever converts it, where, with how many threads; without privileges, from a
# read-only place. And hello-world, for all its platforms.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"

python3 "$lib/tar_torture.py" .
gzip -k 1.tar
python3 "$lib/oci-image.py" in t --platform linux/amd64 0.tar 1.tar.gz --platform linux/arm64/v8 0.tar 2.tar >/dev/null
"$ovbd" convert -q -j1 oci:in:t oci:one:t

same_as_one() {
	what=$1
	shift
	"$@" || fail "$what: exit $?"
	diff -r one other || fail "$what: another image"
	rm -r other
	ok "$what"
}

same_as_one "-j 8" "$ovbd" convert -q -j8 oci:in:t oci:other:t
same_as_one "another time zone, locale and directory" env TZ=Asia/Tokyo LC_ALL=C sh -c 'cd / && exec "$@"' sh \
	"$ovbd" convert -q "oci:$tmp/in:t" "oci:$tmp/other:t"
if [ "$(id -u)" = 0 ]; then
	chmod 755 .
	cp "$ovbd" for-all # where it was built may be closed to others
	# A place where all is read-only but for a tmpfs, for nobody.
	# shellcheck disable=SC2016 # for the inner shell
	same_as_one "nobody, read-only, with a tmpfs" unshare -m sh -c '
		set -e
		mkdir -p mnt
		mount --bind "$2" "$2"
		mount -o remount,bind,ro "$2"
		cd "$2"
		! touch probe 2>/dev/null
		mount -t tmpfs -o mode=1777 tmpfs mnt
		cd mnt
		setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
			env -i TMPDIR="$2/mnt" "$1" convert -q "oci:$2/in:t" oci:other:t
		mount -o remount,bind,rw "$2"
		cp -r other "$2/other"' sh "$tmp/for-all" "$tmp"
fi
SOURCE_DATE_EPOCH=1500000000 "$ovbd" convert oci:in:t oci:one:dated 2>said
grep -q "1 of 4 layers were there" said || fail "SOURCE_DATE_EPOCH: $(cat said)"
SOURCE_DATE_EPOCH=1500000000 "$ovbd" convert -q oci:in:t oci:dated:dated
[ "$(grep -o 'sha256:[0-9a-f]*","size":[0-9]*,"annotations":{[^}]*:"dated"' one/index.json | cut -c1-71)" = \
	"$(grep -o 'sha256:[0-9a-f]*' dated/index.json)" ] || fail "SOURCE_DATE_EPOCH: $(cat one/index.json dated/index.json)"
ok "SOURCE_DATE_EPOCH"

hello=${OVBD_FIXTURES:-/none}/oci/hello-world
if [ ! -e "$hello" ]; then
	echo "hello-world is not converted: the fixtures are not there"
	exit 0
fi
"$ovbd" convert "oci:$hello:docker-list" oci:hello:all 2>said
grep -q "9 images, 0 of 9 layers were there" said || fail "$(cat said)"
for p in amd64 arm/v5 arm/v7 arm64/v8 386 mips64le ppc64le riscv64 s390x; do
	python3 "$lib/oci_read.py" hello all "linux/$p" >got || fail "$p"
	"$ovbd" check -q --platform "linux/$p" oci:hello:all || fail "check: $p"
	"$ovbd" convert -q --force -O raw --platform "linux/$p" oci:hello:all raw
	e2fsck -fn raw >fsck.out 2>&1 || fail "e2fsck: $p: $(cat fsck.out)"
	debugfs -R "dump /hello out" raw 2>/dev/null
	[ -s out ] || fail "$p: no /hello"
	rm out
done
python3 -c '
import json
layers = json.load(open("got"))["manifest"]["layers"]
assert len(layers) == 1 and layers[0]["size"] <= 122880, layers'
"$ovbd" convert -q oci:hello:all oci:hello:twice 2>said && fail "an image of blocks was converted"
grep -q "is an overlaybd layer already" said || fail "$(cat said)"
ok "hello-world"
