#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A full disk: the error names the file, and nothing is left. By a limit on the size of files, which
# needs no privilege, and on a file system that is full.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

head -c 3000000 /dev/urandom >raw
for format in ovbd lsmt zfile raw; do
	(
		ulimit -f 1000 # of 1024 bytes, or of 512
		expect 1 "out" "$ovbd" convert -O $format raw out
	)
	[ ! -e out ] || fail "out is there"
done
(
	ulimit -f 1000
	# shellcheck disable=SC2016 # for the inner shell
	expect 1 "temporary file" sh -c '"$0" convert - out <raw' "$ovbd"
)
left_behind raw
ok "a limit"

if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
	skip "a full file system needs root and a mount namespace"
fi
mkdir small
# shellcheck disable=SC2016 # for the inner shell
unshare -m sh -ec '
	mount -t tmpfs -o size=1M none small
	echo old >small/old
	for args in "raw small/out" "--force raw small/old" "-O raw raw small/out" "--tar raw small/out"; do
		s=0
		"$0" convert $args 2>err || s=$?
		[ $s = 1 ] || { cat err; echo "status $s"; exit 1; }
		grep -q "small/.*No space left" err || { cat err; exit 1; }
		[ "$(ls -A small)" = old ] || { ls -la small; exit 1; }
		[ "$(cat small/old)" = old ] || exit 1
	done' "$ovbd" || fail "on a full file system"
ok "a full file system"
