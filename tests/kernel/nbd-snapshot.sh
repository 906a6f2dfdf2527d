#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Snapshots of disks by nbd that are written to. $SNAPSHOT_SECONDS and $SNAPSHOTS (default 6, and 4 in them): 60
# and 50 are what is promised, and $SNAPSHOT_LIMIT_MS=50 on a quiet machine.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
# formats differ beneath the transports: ublk has them all
SNAPSHOT_FORMATS=${SNAPSHOT_FORMATS:-rw} snapshots nbd -m "nbd"
