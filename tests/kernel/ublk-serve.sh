#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer as a disk by "ovbd serve --ublk": in the background, for a command, killed and back.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
tree_image
"$ovbd" convert -q image files/image.ovbd
mv image files/image
guest ublk-serve.sh -m "ublk_drv ext4"
