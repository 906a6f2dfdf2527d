#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TCMU, read-only: attached as the container snapshotter does, compared, mounted, detached.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
cp image files/image
guest tcmu-read.sh -m "$tcmu_modules" -b "$OVBD_BUILD/tests/kernel/tcmu_device"
