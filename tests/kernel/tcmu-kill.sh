#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TCMU: the server is killed again and again while the disk is read; nobody sees an error.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
tree_image
cp image files/image
# The clock counts instructions: a busy host makes nobody late.
guest tcmu-kill.sh -i -t 600 -m "$tcmu_modules" -b "$OVBD_BUILD/tests/kernel/tcmu_device"
