#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A ublk server that is killed again and again, and comes back: no error, nothing lost.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
tree_image
mv image files/fs
head -c 16M /dev/urandom >files/image
guest ublk-recover.sh -m "ublk_drv ext4" -c 2 -r 512 -b "$OVBD_BUILD/tests/kernel/ublk_server"
