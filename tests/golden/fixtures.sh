#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layers that overlaybd's own tools have made read as its manifest says, alone and in stacks, and
# still do after we have written them again.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

dir=${OVBD_FIXTURES:?}/overlaybd
[ -e "$dir/EXPECTED.tsv" ] || skip "no fixtures in $dir"
command -v zstd >/dev/null || skip "zstd is not installed"

# expected NAME: the sha256 of the device called NAME
expected() {
	awk -F'\t' -v name="$1" '$1 == name { print $2 }' "$dir/EXPECTED.tsv" | grep . || fail "no $1 in EXPECTED.tsv"
}

# reads_as NAME LAYER...: the first of a name by its sha256, the others by its bytes
reads_as() {
	name=$1
	shift
	layer --force -O raw "$@" device
	if [ -e "device.$name" ]; then
		cmp device "device.$name" || fail "$*"
	else
		want=$(expected "$name")
		got=$(sha256sum <device | cut -d' ' -f1)
		[ "$got" = "$want" ] || fail "$* reads as $got, not $want"
		mv device "device.$name"
	fi
	n=$((n + 1))
}

n=0
for file in lsmt/L0.lsmt lsmt/L0.sealed lsmt/L1.lsmt lsmt/L2.lsmt lsmt/M012.lsmt lsmt/empty.lsmt zfile/L?.*.zf zfile/L?.*.tar apply/A1.zf \
	apply/A1.lsmt.zst; do
	for path in "$dir"/$file; do
		as=$(awk -F'\t' -v file="${path#"$dir"/}" '$1 == file { print $4 }' "$dir/MANIFEST.tsv")
		[ -n "$as" ] || fail "$path: not in the manifest"
		case $path in
		*.zst)
			unpacked=$(basename "$path" .zst)
			zstd -dq "$path" -o "$unpacked"
			path=$unpacked
			;;
		esac
		reads_as "$as" "$path"
		"$ovbd" check -q "$path" || fail "check: $path"
	done
done
ok "$n layers alone"

for name in p0 p1 p100001; do
	for path in "$dir"/zfile/plain."$name".*.zf; do
		"$ovbd" convert -q -O raw "$path" - | cmp - "$dir/zfile/plain.$name.bin" || fail "$path"
		"$ovbd" check -q "$path" || fail "check: $path"
	done
done
ok "files that are no layers"

n=0
zstd -dq "$dir/apply/A2.lsmt.zst" -o A2.lsmt
z=$dir/zfile
l=$dir/lsmt
reads_as L0+L1 "$l/L0.lsmt" "$l/L1.lsmt"
reads_as L0+L1 "$z/L0.commit.lz4.4k.crc.tar" "$z/L1.commit.lz4.4k.crc.zf"
reads_as L0+L1+L2 "$l/L0.lsmt" "$l/L1.lsmt" "$l/L2.lsmt"
reads_as L0+L1+L2 "$l/L0.sealed" "$z/L1.commit.lz4.4k.crc.zf" "$z/L2.commit.zstd.16k.crc.zf"
reads_as L0+L1+L2 "$z/L0.lz4.4k.nocrc.trailer.zf" "$l/L1.lsmt" "$z/L2.commit.zstd.64k.crc.zf"
reads_as A1+A2 A1.lsmt A2.lsmt
reads_as A1+A2 "$dir/apply/A1.zf" A2.lsmt
printf '{"lowers":[{"file":"%s"},{"file":"%s"},{"file":"%s"}]}' "$l/L0.lsmt" "$z/L1.commit.lz4.4k.crc.zf" \
	"$l/L2.lsmt" >image.json
reads_as L0+L1+L2 image.json
ok "$n stacks"

# Written again by us
layer "$l/L0.lsmt" "$l/L1.lsmt" "$l/L2.lsmt" squashed
reads_as L0+L1+L2 squashed
layer -c zstd "$l/L1.lsmt" "$l/L2.lsmt" upper
reads_as L0+L1+L2 "$l/L0.lsmt" upper
layer --tar "$l/L0.lsmt" lower.tar
reads_as L0 lower.tar
reads_as L0+L1+L2 lower.tar upper
layer -O raw "$l/M012.lsmt" m012.raw
layer -B "$l/L0.lsmt" m012.raw delta
reads_as L0+L1+L2 "$l/L0.lsmt" delta
layer -O lsmt A1.lsmt A2.lsmt a12
reads_as A1+A2 a12
for path in squashed upper lower.tar delta a12; do
	"$ovbd" check -q $path || fail "check: $path"
done
ok "layers written again"
