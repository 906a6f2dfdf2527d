#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A writable layer of each format becomes larger and smaller; what is on it is not cut off by mistake.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

head -c 1M /dev/urandom >base.raw
"$ovbd" convert -q base.raw base.ovbd

# upper FORMAT SIZE: makes one, its files in $files, and FORMAT.json over base.ovbd
upper() {
	rm -f "$1".data "$1".index "$1".data.zeros
	files=$1.data names="\"file\": \"$1.data\"" sparse=
	[ "$1" = rw ] || files="$1.data $1.index" names="\"index\": \"$1.index\", \"data\": \"$1.data\""
	[ "$1" != sparse ] || sparse=--sparse
	# shellcheck disable=SC2086 # names
	"$ovbd" create $sparse "$2" $files
	printf '{"repoBlobUrl": "", "lowers": [{"file": "%s"}], "upper": {%s}}' "${3:-base.ovbd}" "$names" >"$1.json"
}

# reads NAME...: as raw
reads() {
	"$ovbd" convert -q -O raw --force "$@" reads.raw
}

size() {
	stat -c %s reads.raw
}

for format in rw append sparse; do
	upper $format 1M
	# shellcheck disable=SC2086 # names
	"$ovbd" resize --force -q $files 300K # what is beneath is not named
	reads $format.json
	[ "$(size)" = 307200 ] || fail "$format: $(size) bytes, not 300 KiB"
	cmp -n 307200 reads.raw base.raw || fail "$format: what is beneath is something else"
	# shellcheck disable=SC2086 # names
	"$ovbd" resize $files 2M 2>said
	grep -q "from 300 KiB (307200 bytes) to 2 MiB (2097152 bytes)" said || fail "$(cat said)"
	reads $format.json
	cp base.raw want.raw
	truncate -s 307200 want.raw
	truncate -s 2M want.raw
	cmp reads.raw want.raw || fail "$format: what was cut off is back"
	# shellcheck disable=SC2086 # names
	"$ovbd" commit -q $files $format.ovbd
	reads base.ovbd $format.ovbd
	cmp reads.raw want.raw || fail "$format: committed, what was cut off is back"
	"$ovbd" resize -q $format.json 1000K
	reads $format.json
	[ "$(size)" = 1024000 ] || fail "$format: $(size) bytes, not 1000 KiB"
	ok "$format: smaller, larger, smaller"
done

# a layer of overlaybd's without a size has that of what is beneath, and then its own
upper append 1M
for f in append.data append.index; do
	head -c 8 /dev/zero | dd of=$f bs=1 seek=48 conv=notrunc status=none
done
expect 1 "append.data: is as large as what lies beneath, which is not known" "$ovbd" resize append.data append.index 2M
"$ovbd" resize -q -B base.ovbd append.data append.index 2M
reads append.json
[ "$(size)" = 2097152 ] || fail "without a size: $(size) bytes"
ok "without a size"

# what is on it: told by what is written in its first blocks, wherever that comes from
python3 - <<'PY'
import struct
def image(name, *pieces):
    with open(name, "wb") as f:
        f.truncate(1 << 20)
        for at, data in pieces:
            f.seek(at)
            f.write(data)
image("xfs.raw", (0, b"XFSB" + struct.pack(">IQ", 4096, 200)))
image("btrfs.raw", (65536 + 0x40, b"_BHRfS_M"), (65536 + 0x70, struct.pack("<Q", 819200)))
part = lambda kind, first, n: struct.pack("<B3sB3sII", 0, b"", kind, b"", first, n)
image("mbr.raw", (446, part(0x83, 8, 800) + part(0x83, 808, 792) + bytes(32) + b"\x55\xaa"))
image("gpt.raw", (446, part(0xee, 1, 1599) + bytes(48) + b"\x55\xaa"), (512, b"EFI PART" + bytes(24) + struct.pack("<Q", 1599)))
image("ext4.raw", (1024 + 4, struct.pack("<I", 800)), (1024 + 0x38, b"\x53\xef"))
image("fat.raw", (0, b"\xeb\x58\x90mkfs.fat"), (446, b"Non-system disk" * 4), (510, b"\x55\xaa"))
PY
for fs in xfs btrfs mbr gpt ext4; do
	upper rw 1M $fs.raw
	end=819200 what=$fs
	case $fs in mbr | gpt) what="a partition table" ;; esac
	expect 1 "rw.data: $what on it ends at $end, beyond 500224" "$ovbd" resize rw.json 500224
	expect 1 "what is on it" "$ovbd" resize rw.data 500224
	expect 1 "or say --whole if nothing does" "$ovbd" resize rw.data 500224
	"$ovbd" resize -q -B $fs.raw rw.data 819200
	"$ovbd" resize rw.json 1M 2>said
	grep -qF "rw.json: $what on it still ends at 800 KiB (819200 bytes)" said || fail "$(cat said)"
	"$ovbd" resize -q --force rw.json 500224
	ok "$fs"
done
upper rw 1M fat.raw
"$ovbd" resize -q rw.json 64K
"$ovbd" create 1M alone.rw
"$ovbd" resize -q --whole alone.rw 64K
ok "nothing known on it"

expect 2 "DATA is missing" "$ovbd" resize
expect 2 "SIZE is missing" "$ovbd" resize rw.data
expect 2 "SIZE 1000: a size of whole sectors" "$ovbd" resize rw.data 1000
expect 2 "--whole: -B is for what lies beneath" "$ovbd" resize --whole -B base.ovbd rw.data 1M
expect 1 "a configuration says itself what lies beneath" "$ovbd" resize -B base.ovbd rw.json 1M
echo '{"lowers": [{"file": "base.ovbd"}]}' >none.json
expect 1 "none.json: names no writable layer" "$ovbd" resize none.json 1M
expect 1 "base.ovbd: is no ovbd-rw" "$ovbd" resize --whole base.ovbd 1M
expect 1 "there is no ext4 on it, but nothing that is known" "$ovbd" resize --fs rw.json 1M
