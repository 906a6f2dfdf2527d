#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Four clients, any verb, disks by NBD and TCMU and files by FUSE, and a daemon that is killed again and
# again: guest/storm.sh. $STORM_SECONDS: for how long (default 15).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
seconds=${STORM_SECONDS:-15}
echo "$seconds" >files/storm
guest storm.sh -m "nbd $tcmu_modules fuse" -r 512 -t $((seconds * 2 + 150)) -b "$OVBD_BUILD/daemon/ovbdd"
