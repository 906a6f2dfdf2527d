#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer as a disk of the kernel's NBD client, by ovbdd, with ext4 and with erofs: its bytes, what it says of
# itself, how it goes while it is in use; a writable one; one whose image is gone.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
PATH=$PATH:/sbin:/usr/sbin
tree_image
tree_erofs
for tool in hdparm sg_inq; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
"$ovbd" convert -q image files/image.ovbd
head -c 1000 /dev/urandom >files/odd
mv image files/image
guest nbd.sh -m "nbd ext4 erofs" -r 512 -t 300 -b "$OVBD_BUILD/daemon/ovbdd" -b /bin/dd \
	-b "$(command -v blkdiscard)" -b "$(command -v hdparm)" -b "$(command -v sg_inq)"
