#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The ext4 on a writable layer becomes larger and smaller with it.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

[ -w /dev/fuse ] || skip "no /dev/fuse that can be opened"
PATH=$PATH:/sbin:/usr/sbin
command -v resize2fs >/dev/null || skip "no resize2fs"

mkdir tree
head -c 3M /dev/urandom >tree/random
seq 100000 >tree/seq
ln tree/seq tree/link
truncate -s 24M base.raw
mke2fs -q -t ext4 -d tree base.raw
"$ovbd" convert -q base.raw base.ovbd

for format in rw append sparse; do
	rm -f ./*.data ./*.index ./*.zeros
	set -- u.data
	names='"file": "u.data"' sparse=
	[ $format = rw ] || set -- u.data u.index
	[ $format = rw ] || names='"index": "u.index", "data": "u.data"'
	[ $format != sparse ] || sparse=--sparse
	# shellcheck disable=SC2086 # one word, or none
	"$ovbd" create $sparse 24M "$@"
	printf '{"repoBlobUrl": "", "lowers": [{"file": "base.ovbd"}], "upper": {%s}}' "$names" >u.json

	check() {
		"$ovbd" convert -q -O raw --force u.json reads.raw
		[ "$(stat -c %s reads.raw)" = $(($1 * 1048576)) ] || fail "$format: the device is $(stat -c %s reads.raw) bytes"
		e2fsck -fn reads.raw >fsck 2>&1 || fail "$format: $(cat fsck)"
		blocks=$(dumpe2fs -h reads.raw 2>/dev/null | awk '/^Block count/ { n = $3 } /^Block size/ { s = $3 } END { print n * s }')
		[ "$blocks" = $(($1 * 1048576)) ] || fail "$format: the file system is $blocks bytes"
		for f in random seq link; do
			debugfs -R "cat $f" reads.raw 2>/dev/null | cmp - tree/$f || fail "$format: $f"
		done
	}
	"$ovbd" resize -q --fs u.json 80M
	check 80
	expect 1 "ext4 on it ends at 83886080, beyond 33554432" "$ovbd" resize u.json 32M
	"$ovbd" resize -q --fs -B base.ovbd "$@" 16M
	check 16
	"$ovbd" resize -q u.json 20M
	"$ovbd" resize -q --fs u.json 20M # only what is on it
	check 20
	# too small for what is in it: all stays
	expect 1 "--fs: resize2fs: " "$ovbd" resize --fs u.json 2M
	check 20
	"$ovbd" commit -q "$@" --force u.ovbd
	"$ovbd" convert -q -O raw --force base.ovbd u.ovbd committed.raw
	cmp committed.raw reads.raw || fail "$format: committed it is something else"
	ok "$format"
done

# one that has something to repair is left alone
"$ovbd" convert -q -O raw --force base.ovbd bad.raw
debugfs -w -R "clri <2>" bad.raw 2>/dev/null
"$ovbd" create 24M bad.rw
expect 1 "the file system cannot be checked" "$ovbd" resize --fs -B bad.raw bad.rw 30M
expect 1 "e2fsck and resize2fs are needed" env PATH=/nowhere "$ovbd" resize --fs u.json 30M
echo '{"lowers": [{"file": "base.ovbd"}]}' >base.json
expect 1 "base.json is a configuration: name its layers" "$ovbd" resize --fs -B base.json "$@" 30M
