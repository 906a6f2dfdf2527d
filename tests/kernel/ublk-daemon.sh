#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer as a ublk disk by ovbdd: its bytes, what it says of itself, how it goes while it is in use; a
# writable one; disks that outlive their daemon.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
tree_image
"$ovbd" convert -q image files/image.ovbd
head -c 1000 /dev/urandom >files/odd
mv image files/image
PATH=$PATH:/sbin:/usr/sbin
for tool in hdparm sg_inq dmsetup; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
guest ublk-daemon.sh -m "ublk_drv ext4 dm_mod" -c 2 -r 512 -b "$OVBD_BUILD/daemon/ovbdd" \
	-b "$(command -v blkdiscard)" -b "$(command -v hdparm)" -b "$(command -v sg_inq)" \
	-b "$(command -v dmsetup)" -b /bin/dd
