#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What ext4 writes, in a guest, is written to writable layers of all formats, whose disks lose power at many places. Then
# the file system must be whole, and every file that had been synced must be there. $FS_CUTS: places for each format
# (default 12; there are several states for each).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
PATH=$PATH:/sbin:/usr/sbin
for tool in mkfs.ext4 e2fsck debugfs dumpe2fs dmsetup; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
stock_kernel
truncate -s 24M disk
truncate -s 400M log
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 disk
cp disk base
echo "ext4 ${FS_FILES:-60}" >files/trace
guest fs-trace.sh -m "dm_log_writes ext4" -r 512 -t 400 -b "$(command -v dmsetup)" -d disk -d log
for format in 0 1 2; do
	"$OVBD_BUILD/tests/kernel/rw_replay" $format base log "${FS_CUTS:-12}" "${OVBD_SEED:-1}" \
		"$OVBD_SOURCE/tests/kernel/ext4-synced.sh" >said || { cat said && fail "format $format"; }
	ok "format $format: $(grep ' cuts$' said)"
done
