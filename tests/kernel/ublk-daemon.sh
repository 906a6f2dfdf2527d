#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer as a ublk disk by ovbdd, with ext4 and with erofs: its bytes, what it says of itself, how it goes
# while it is in use; a writable one; disks that outlive their daemon.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
tree_image
"$ovbd" convert -q image files/image.ovbd
head -c 1000 /dev/urandom >files/odd
mv image files/image
PATH=$PATH:/sbin:/usr/sbin
command -v mkfs.erofs >/dev/null || skip "mkfs.erofs is not installed"
mkfs.erofs --quiet files/erofs tree
truncate -s %4096 files/erofs
"$ovbd" convert -q files/erofs files/erofs.ovbd
for tool in hdparm sg_inq dmsetup; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
guest ublk-daemon.sh -t 230 -m "ublk_drv ext4 erofs dm_mod" -c 2 -r 512 -b "$OVBD_BUILD/daemon/ovbdd" \
	-b "$(command -v blkdiscard)" -b "$(command -v hdparm)" -b "$(command -v sg_inq)" \
	-b "$(command -v dmsetup)" -b /bin/dd
