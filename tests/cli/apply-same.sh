#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same tar gives the same layer, whoever applies it, where, and how it comes: any number of threads, time
# zone, umask, locale, user; compressed, or through a pipe. Without privileges.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"

python3 "$lib/tar_torture.py" .
gzip -k -n -1 0.tar
head -c 20000 0.tar | gzip -n >two.gz
tail -c +20001 0.tar | gzip -n -9 >>two.gz
zstd -q -k 0.tar
"$ovbd" apply -q -j1 0.tar one

same_as_one() {
	what=$1
	shift
	"$@" || fail "$what: exit $?"
	cmp one other || fail "$what: another layer"
	rm other
	ok "$what"
}

same_as_one "-j 8" "$ovbd" apply -q -j8 0.tar other
same_as_one "gzip" "$ovbd" apply -q 0.tar.gz other
same_as_one "two gzip members" "$ovbd" apply -q two.gz other
same_as_one "zstd" "$ovbd" apply -q 0.tar.zst other
same_as_one "another time zone, locale and umask" env TZ=Asia/Tokyo LC_ALL=C sh -c 'umask 077 && exec "$@"' sh \
	"$ovbd" apply -q 0.tar other
# shellcheck disable=SC2016 # for the inner shell
same_as_one "a pipe" sh -c 'cat 0.tar | "$1" apply -q - other' sh "$ovbd"
if [ "$(id -u)" = 0 ]; then
	mkdir -m 777 shared
	chmod 755 .
	# shellcheck disable=SC2016 # for the inner shell
	cp "$ovbd" shared/ovbd # where it was built may be closed to others
	same_as_one "the user nobody, with an empty environment" sh -c '
		setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs env -i shared/ovbd apply -q 0.tar shared/other &&
		mv shared/other .' sh
fi

# A date for what no tar dates, and nothing else.
SOURCE_DATE_EPOCH=1500000000 "$ovbd" apply -q 0.tar dated
! cmp -s one dated || fail "SOURCE_DATE_EPOCH changes nothing"
SOURCE_DATE_EPOCH=1500000000 "$ovbd" apply -q 0.tar dated2
cmp dated dated2
ok "SOURCE_DATE_EPOCH"

# What was applied is told.
"$ovbd" apply --output=json 0.tar.gz json >said
python3 - <<'END'
import gzip, hashlib, json
said = json.load(open("said"))
packed = open("0.tar.gz", "rb").read()
assert said["schema"] == "ovbd.apply.v1" and said["tar-compression"] == "gzip"
assert said["tar-digest"] == "sha256:" + hashlib.sha256(packed).hexdigest(), said
assert said["diff-id"] == "sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest(), said
assert said["tar-size"] == len(packed) and said["virtual-size"] == 64 << 30
END
ok "digests"

# The first layer of a small image is small: it is 642,560 bytes where others make it.
hello=${OVBD_FIXTURES:-/none}/oci/hello-world/blobs/sha256/719385e32844401d57ecfd3eacab360bf551a1491c05b85806ed8f1b08d792f6
if [ -e "$hello" ]; then
	"$ovbd" apply -q "$hello" hello
	[ "$(stat -c %s hello)" -le 122880 ] || fail "hello-world: $(stat -c %s hello) bytes"
	ok "hello-world: $(stat -c %s hello) bytes"
else
	echo "not compared: the fixtures are not there"
fi
