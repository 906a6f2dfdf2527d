#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# overlaybd's snapshotter makes writable layers, seals them when a container is committed, and compresses them when
# it is pushed: its command lines, in its order. And the same of files that the original's tools have made.
. "${OVBD_SOURCE:?}/tests/lib/dropin.sh"

created="overlaybd-create has created files SUCCESSFULLY"
committed="overlaybd-commit has committed files SUCCESSFULLY"

# What the container writes to the disk of snapshot $1: $2 bytes of a file system's, in place of a kernel.
tar_of() {
	mkdir -p files
	rm -rf files/*
	head -c "$2" /dev/urandom >"files/of-$1"
	tar --owner=0 --group=0 --numeric-owner -C files -cf "$1.tar" .
}

# snapshot NUMBER SIZE LOWER...: made, written to by $mkfs overlaybd-apply, sealed as fs/overlaybd.sealed
snapshot() {
	n=$1 size=$2 block=$tmp/$1/block fs=$tmp/$1/fs
	shift 2
	mkdir -p "$block" "$fs"
	# shellcheck disable=SC2086 # no word, or one
	said "$created" "" "$bin/overlaybd-create" "$block/writable_data" "$block/writable_index" "$size" $sparse
	config "$block/config.v1.json" "$block" "$@"
	tar_of "$n" 300000
	# shellcheck disable=SC2086 # no word, or one
	said "overlaybd-apply done" - "$bin/overlaybd-apply" "$n.tar" "$block/config.v1.json" $mkfs
	cp "$block/writable_index" index.before
	"$ovbd" convert -q --force -O raw "$block/config.v1.json" "$n.raw"
	said "" "" "$bin/overlaybd-commit" --seal "$block/writable_data" "$block/writable_index"
	said "" "" "$bin/overlaybd-commit" --seal "$block/writable_data" "$block/writable_index" # killed before the rename
	cmp "$block/writable_index" index.before || fail "the index file has changed"
	[ ! -e "$block/writable_data.zeros" ] || fail "a map of zeros is left"
	mv "$block/writable_data" "$fs/overlaybd.sealed"
	rm "$block/writable_index"
	[ "$(stat -c %s "$fs/overlaybd.sealed")" -lt 1000000 ] || fail "as long as its device"
}

for sparse in "" -s; do
	mkfs=--mkfs
	snapshot 1 1
	mkfs=
	snapshot 2 0 "$tmp/1/fs" # the lower's size
	config sealed.json "" "$tmp/1/fs" "$tmp/2/fs"
	"$ovbd" compare sealed.json 2.raw >/dev/null || fail "sealed it reads as something else"
	ok "sealed${sparse:+, sparse}"

	for n in 1 2; do
		fs=$tmp/$n/fs
		said "$committed" - "$bin/overlaybd-commit" --commit_sealed "$fs/overlaybd.sealed" \
			"$fs/overlaybd.commit.temp" -z -t
		mv "$fs/overlaybd.commit.temp" "$fs/overlaybd.commit"
		rm "$fs/overlaybd.sealed"
		"$ovbd" info "$fs/overlaybd.commit" >info.txt
		grep -q "^format: *ovbd, in a tar$" info.txt || fail "$(cat info.txt)"
		grep -q "^compression: *lz4, .* of 4 KiB, each with a checksum$" info.txt || fail "$(cat info.txt)"
	done
	"$ovbd" check -q 1/fs/overlaybd.commit 2/fs/overlaybd.commit
	"$ovbd" compare sealed.json 2.raw >/dev/null || fail "committed it reads as something else"
	e2fsck -fn 2.raw >fsck 2>&1 || fail "$(cat fsck)"
	debugfs -R 'ls /' 2.raw 2>/dev/null >names
	grep -q "of-1 " names || fail "$(cat names)"
	grep -q "of-2 " names || fail "$(cat names)"
	ok "compressed${sparse:+, sparse}"
	rm -r 1 2
done

# ---- what the original has made ----

f=${OVBD_FIXTURES:?}/overlaybd
[ -e "$f/EXPECTED.tsv" ] || skip "no fixtures in $f: not tried with the original's own files"

# is NAME FILE...: the stack reads as EXPECTED.tsv has NAME
is() {
	name=$1
	shift
	"$ovbd" convert -q --force -O raw "$@" is.raw
	want=$(awk -v n="$name" '$1 == n { print $2 }' "$f/EXPECTED.tsv")
	[ "$(sha256sum is.raw | cut -d' ' -f1)" = "$want" ] || fail "$*: is not $name, $want"
}

cp "$f"/rw/L0.* "$f"/rw/RW.* .
chmod u+w L0.* RW.*
for how in "-z" "-z -t" "" "-t" "-z --algorithm zstd --bs 64" "-z --bs 16 --compress_threads 3 -t"; do
	# shellcheck disable=SC2086 # words
	said "$committed" - "$bin/overlaybd-commit" L0.data L0.index out $how -m words \
		--uuid 10000000-0000-4000-8000-000000000001 -p 00000000-0000-4000-8000-00000000000a
	is L0 out
	"$ovbd" check -q out
	"$ovbd" info out >info.txt
	grep -q "^UUID: *10000000-0000-4000-8000-000000000001$" info.txt || fail "$(cat info.txt)"
	grep -q "^parent UUID: *00000000-0000-4000-8000-00000000000A$" info.txt || fail "$(cat info.txt)"
	grep -q "^message: *words$" info.txt || fail "$(cat info.txt)"
	case $how in
	*-t*) grep -q "in a tar$" info.txt || fail "$how: $(cat info.txt)" ;;
	*) grep -q "in a tar$" info.txt && fail "$how: $(cat info.txt)" ;;
	esac
	case $how in
	*zstd*) grep -q "^compression: *zstd, .* of 64 KiB" info.txt || fail "$(cat info.txt)" ;;
	*16*) grep -q "^compression: *lz4, .* of 16 KiB" info.txt || fail "$(cat info.txt)" ;;
	*-z*) grep -q "^compression: *lz4, .* of 4 KiB" info.txt || fail "$(cat info.txt)" ;;
	*) grep -q "^format: *lsmt" info.txt || fail "$(cat info.txt)" ;;
	esac
	rm out
done
# without --uuid none: the same content, the same bytes, whichever layer it was written to
said "$committed" - "$bin/overlaybd-commit" L0.data L0.index out
"$ovbd" info out | grep -q "^UUID: *00000000-0000-0000-0000-000000000000$" || fail "$("$ovbd" info out)"
: >there
refused 1 "there: exists" "$bin/overlaybd-commit" L0.data L0.index there
[ ! -s there ] || fail "there was overwritten"
said "$committed" - "$bin/overlaybd-commit" -f L0.data L0.index there
cmp out there || fail "other bytes"
# -z is missing: it is said
"$bin/overlaybd-commit" -f L0.data L0.index there --bs 16 >/dev/null 2>err || fail "$(cat err)"
grep -qx "WARNING option '--bs' and '--algorithm' will be ignored without '-z'" err || fail "$(cat err)"
cmp out there || fail "other bytes"
ok "committed"

said "$committed" - "$bin/overlaybd-commit" RW.data RW.index rw -z
is L0+L1+L2+RW "$f/lsmt/L0.lsmt" "$f/lsmt/L1.lsmt" "$f/lsmt/L2.lsmt" rw
said "$committed" - "$bin/overlaybd-commit" --commit_sealed "$f/lsmt/L0.sealed" sealed.commit -z -t
is L0 sealed.commit
"$ovbd" info sealed.commit | grep -q "^UUID: *00000000-0000-0000-0000-000000000000$" || fail "$("$ovbd" info sealed.commit)"
said "$committed" - "$bin/overlaybd-commit" --commit_sealed "$f/lsmt/L1.lsmt" 1.commit -z --algorithm zstd --bs 64
is L0+L1+L2 sealed.commit 1.commit "$f/lsmt/L2.lsmt"
said "" "" "$bin/overlaybd-commit" --seal RW.data RW.index
is L0+L1+L2+RW "$f/lsmt/L0.lsmt" "$f/lsmt/L1.lsmt" "$f/lsmt/L2.lsmt" RW.data
said "" "" "$bin/overlaybd-commit" L0.data L0.index --seal
is L0 L0.data
config all.json "" "$tmp/L0.data" "$f/zfile/L1.commit.lz4.4k.crc.zf" "$f/zfile/L2.commit.zstd.16k.crc.zf" "$tmp/RW.data"
said "" - "$bin/overlaybd-merge" all.json merged
is L0+L1+L2+RW merged
ok "the original's own layers"
