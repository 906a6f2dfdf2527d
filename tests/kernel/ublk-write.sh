#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A raw file that is written through ublk: writes, flushes, discards, zeroes, a file system.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
tree_image
mv image files/fs
head -c 16M /dev/urandom >files/image
PATH=$PATH:/sbin:/usr/sbin
guest ublk-write.sh -m "ublk_drv ext4" -c 2 -r 512 -b "$OVBD_BUILD/tests/kernel/ublk_server" \
	-b "$(command -v blkdiscard)" -b /bin/dd
