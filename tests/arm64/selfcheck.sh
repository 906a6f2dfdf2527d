#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds base, lsmt and selfcheck.c for 64-bit ARM (its baseline, nothing optional) and runs them
# under qemu: the checksum and the search in this processor's own instructions against plain C.
set -eu

skip() {
	echo "skipped: $1"
	exit 77
}

cc=aarch64-linux-gnu-gcc
command -v $cc >/dev/null || skip "no $cc (package gcc-aarch64-linux-gnu)"
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) ||
	skip "no qemu-aarch64 (package qemu-user)"
echo 'int main(void) { return 0; }' | $cc -static -x c -o /dev/null - 2>/dev/null ||
	skip "$cc does not link (package libc6-dev-arm64-cross)"

cd "${OVBD_SOURCE:-$(dirname "$0")/../..}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# As base/ and lsmt/CMakeLists.txt choose for this processor: all but what is for others.
sources='tests/lib/lsmt_make.c tests/arm64/selfcheck.c'
for source in base/*.c lsmt/*.c; do
	case $source in
	*_sse42.c | *_avx2.c | *_avx512.c | *_x86.c | *_none.c) ;;
	*) sources="$sources $source" ;;
	esac
done

# shellcheck disable=SC2086 # one word a source
$cc -std=gnu11 -O2 -g -march=armv8-a -static -pthread -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. \
	-Wall -Wextra -Wshadow -Wconversion -Wcast-qual -Werror -Wno-missing-field-initializers \
	$sources -o "$out/selfcheck"
"$qemu" "$out/selfcheck" | tee "$out/said"
grep -q '^crc32c armv8: yes$' "$out/said" && grep -q '^search neon: yes$' "$out/said" &&
	grep -q '^stack: read$' "$out/said"
