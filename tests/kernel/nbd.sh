#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer as a disk of the kernel's NBD client, by ovbdd: its bytes, what it says of itself, how it goes
# while it is in use; a writable one.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
"$ovbd" convert -q image files/image.ovbd
head -c 1000 /dev/urandom >files/odd
mv image files/image
PATH=$PATH:/sbin:/usr/sbin
guest nbd.sh -m "nbd ext4" -r 512 -t 220 -b "$OVBD_BUILD/daemon/ovbdd" -b /bin/dd \
	-b "$(command -v blkdiscard)"
