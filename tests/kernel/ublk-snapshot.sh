#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Snapshots of disks by ublk that are written to. $SNAPSHOT_SECONDS and $SNAPSHOTS (default 6, and 4 in them): 60
# and 50 are what is promised, and $SNAPSHOT_LIMIT_MS=50 on a quiet machine.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
snapshots ublk -m "ublk_drv"
