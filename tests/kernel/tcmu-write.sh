#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TCMU, a writable raw file: ext4, flush, discard, zeroes, and the bytes compared on both sides.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
cp image files/image
# The clock counts instructions: a busy host makes nobody late.
guest tcmu-write.sh -i -t 300 -m "$tcmu_modules" -b "$OVBD_BUILD/tests/kernel/tcmu_device" \
	-b "$(command -v blkdiscard)" -r 512
