#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TCMU, a writable raw file: ext4, flush, discard, zeroes, and the bytes compared on both sides.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
cp image files/image
guest tcmu-write.sh -m "$tcmu_modules" -b "$OVBD_BUILD/tests/kernel/tcmu_device" \
	-b "$(command -v blkdiscard)" -r 512
