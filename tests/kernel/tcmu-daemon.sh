#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# TCMU by ovbdd: its own disks, and those of the container snapshotter; both outlive it.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
stock_kernel
tree_image
"$ovbd" convert -q image files/image.ovbd
cp image files/image
# shellcheck disable=SC2086 # several words
guest tcmu-daemon.sh $with_snapshotter -t 280 -m "$tcmu_modules loop" -b "$OVBD_BUILD/daemon/ovbdd"
