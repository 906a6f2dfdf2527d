#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Mounted disks by TCMU, ours and the snapshotter's, that become larger, with the ext4 on them, while files are written, and while ovbdd is killed at each
# step.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
grow "tcmu user_999999999.dev_1" -m "$tcmu_modules"
