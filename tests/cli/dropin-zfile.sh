#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# overlaybd-zfile: there and back, verified, refused.
. "${OVBD_SOURCE:?}/tests/lib/dropin.sh"

zfile=$bin/overlaybd-zfile
head -c 1000001 "$ovbd" >src
for how in "" "-t" "--algorithm zstd --bs 64" "--algorithm lz4 --bs 8 -t"; do
	# shellcheck disable=SC2086 # words
	said "compress file src as dst
compress file done." "" "$zfile" $how src dst
	said "dst is a valid zfile blob." "" "$zfile" --verify dst
	case $how in
	*-t*) "$ovbd" info dst | grep -q "in a tar$" || fail "$("$ovbd" info dst)" ;;
	*) "$ovbd" info dst | grep -q "^format: *zfile$" || fail "$("$ovbd" info dst)" ;;
	esac
	case $how in
	*zstd*) "$ovbd" info dst | grep -q "zstd, .* of 64 KiB" || fail "$("$ovbd" info dst)" ;;
	*8*) "$ovbd" info dst | grep -q "lz4, .* of 8 KiB" || fail "$("$ovbd" info dst)" ;;
	*) "$ovbd" info dst | grep -q "lz4, .* of 4 KiB" || fail "$("$ovbd" info dst)" ;;
	esac
	said "decompress file dst as back
decompress file done." "" "$zfile" -x dst back
	cmp src back || fail "$how: other bytes"
	rm dst back
done
# options behind; standard input; a ZFile of a ZFile
said "compress file src as dst
compress file done." "" "$zfile" src dst --bs 16
refused 1 "dst: exists" "$zfile" src dst
said "compress file src as dst
compress file done." "" "$zfile" -f src dst
said "compress file  as piped
compress file done." "" sh -c "cat src | '$zfile' piped"
cmp dst piped || fail "through a pipe other bytes"
said "compress file dst as twice
compress file done." "" "$zfile" dst twice
said "decompress file twice as once
decompress file done." "" "$zfile" -x twice once
cmp dst once || fail "a ZFile in a ZFile"
: >none
said "compress file none as none.zf
compress file done." "" "$zfile" none none.zf
said "decompress file none.zf as none.back
decompress file done." "" "$zfile" -x none.zf none.back
[ ! -s none.back ] || fail "none.back"
ok "there and back"

refused 1 "format error! <source_file> should be a zfile." "$zfile" --verify src
refused 1 "nowhere: No such file or directory" "$zfile" --verify nowhere
refused 1 "nowhere: No such file or directory" "$zfile" nowhere new
refused 1 "src: is not of the format zfile" "$zfile" -x src new
refused 2 "standard input cannot be decompressed" "$zfile" -x dst
refused 2 "SRC is missing" "$zfile"
refused 2 "unexpected word 'dst'" "$zfile" --verify src dst
refused 2 "--algorithm and --bs are for compressing" "$zfile" -x dst new --bs 16
refused 2 "invalid '--algorithm' parameters" "$zfile" src new --algorithm gzip
# damaged: a block, the end
cp dst bad
printf 'XXXXXXXX' | dd of=bad bs=1 seek=5000 conv=notrunc 2>/dev/null
for file in bad short; do
	[ $file = bad ] || head -c 200000 dst >short
	s=0
	"$zfile" --verify $file >out 2>err || s=$?
	[ $s = 1 ] || fail "status $s"
	[ "$(cat out)" = "$file is not a valid zfile blob or checksum can't be found." ] || fail "$(cat out)"
	grep -q "^overlaybd-zfile: $file: " err || fail "$(cat err)"
	refused 1 "$file: " "$zfile" -x $file new
done
[ ! -e new ] || fail "new was left"
ok "refused"

f=${OVBD_FIXTURES:?}/overlaybd/zfile
[ -d "$f" ] || skip "no fixtures in $f: not tried with the original's own files"
said "decompress file $f/plain.p100001.zstd.4k.crc.hdrow.zf as p
decompress file done." "" "$zfile" -x "$f/plain.p100001.zstd.4k.crc.hdrow.zf" p
cmp p "$f/plain.p100001.bin" || fail "plain.p100001"
for file in "$f"/*.crc.*zf "$f"/*.tar; do
	said "$file is a valid zfile blob." "" "$zfile" --verify "$file"
done
for file in "$f"/*nocrc*.zf; do
	s=0
	"$zfile" --verify "$file" >out 2>err || s=$?
	[ $s = 1 ] || fail "$file: status $s"
	grep -qx "$file is not a valid zfile blob or checksum can't be found." out || fail "$(cat out)"
	grep -q "its blocks have no checksums" err || fail "$(cat err)"
done
ok "the original's own files"
