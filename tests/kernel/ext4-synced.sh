#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Of fs-power.sh: the ext4 in ./cut is whole once its journal was replayed, and has the files of ./synced.
set -eu
s=0
e2fsck -E journal_only -y cut >fsck.said 2>&1 || s=$?
[ $s -le 1 ] || { cat fsck.said && exit 1; }
# what was deleted while it was open is no damage, but nobody has come to it yet
if dumpe2fs -h cut 2>/dev/null | grep -q '^First orphan inode'; then
	s=0
	e2fsck -p cut >fsck.said 2>&1 || s=$?
	[ $s -le 1 ] || { cat fsck.said && exit 1; }
fi
e2fsck -fn cut >fsck.said 2>&1 || { cat fsck.said && exit 1; }
rm -rf out && mkdir out
: >sums
: >commands
while IFS=: read -r name sum; do
	[ "$name" != end ] || continue
	echo "$sum  out/${name#*/}" >>sums
	echo "dump /$name out/${name#*/}" >>commands
done <synced
[ ! -s sums ] || {
	debugfs -f commands cut >debugfs.said 2>&1
	sha256sum --quiet -c sums || { cat debugfs.said && exit 1; }
}
