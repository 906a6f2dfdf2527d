#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# As fs-power.sh, of xfs: a kernel alone replays its log, so what is left of the layers is kept, and mounted in a second
# guest. $FS_CUTS: places for each format (default 2; there are several states for each).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
for tool in mkfs.xfs xfs_repair mkfs.ext4 dmsetup; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
stock_kernel
truncate -s 40M disk
truncate -s 400M log
mkfs.xfs -q --unsupported disk >said 2>&1 || fail "$(cat said)" # it is a small one
cp disk base
echo "xfs ${FS_FILES:-60}" >files/trace
guest fs-trace.sh -m "dm_log_writes xfs" -r 512 -t 400 -b "$(command -v dmsetup)" -d disk -d log
export KEPT="$tmp/kept"
mkdir kept
for format in 0 1 2; do
	"$OVBD_BUILD/tests/kernel/rw_replay" $format base log "${FS_CUTS:-2}" "${OVBD_SEED:-1}" \
		"$OVBD_SOURCE/tests/kernel/keep-cut.sh" >said || { cat said && fail "format $format"; }
	ok "format $format: $(grep ' cuts$' said)"
done
truncate -s 16G disks
mkfs.ext4 -q -d kept disks
find kept | grep -c /cut >files/cuts
rm -r kept
guest xfs-synced.sh -m "loop ext4 xfs" -r 512 -t $((200 + $(cat files/cuts) * 20)) -b "$(command -v xfs_repair)" -d disks
