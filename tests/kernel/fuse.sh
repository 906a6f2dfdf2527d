#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A layer served by FUSE, loop-mounted on a kernel of Debian's.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
"$ovbd" convert -q image files/image.ovbd
guest fuse.sh -m "fuse loop ext4"
