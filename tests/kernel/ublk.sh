#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A file as a disk by ublk: its bytes, how it ends, 20 rounds.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
tree_image
mv image files/image
guest ublk.sh -m "ublk_drv ext4" -b "$OVBD_BUILD/tests/kernel/ublk_server"
