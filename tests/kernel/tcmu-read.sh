#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TCMU, read-only: attached as the container snapshotter does, compared, mounted, detached.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
cp image files/image
# The clock counts instructions: a busy host makes nobody late.
guest tcmu-read.sh -i -t 300 -m "$tcmu_modules" -b "$OVBD_BUILD/tests/kernel/tcmu_device"
