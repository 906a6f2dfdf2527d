#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ovbdd as the container snapshotter's daemon: ext4 and erofs, often, and many at a time.
# $ROUNDS: of attaching and detaching (default 15); $DISKS at a time (default 60).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
command -v mkfs.erofs >/dev/null || skip "mkfs.erofs is not installed"
stock_kernel
tree_image
mkfs.erofs --quiet erofs tree
truncate -s %4096 erofs
"$ovbd" convert -q image files/ext4.ovbd
"$ovbd" convert -q erofs files/erofs.ovbd
mv image files/ext4
mv erofs files/erofs
printf '%s %s\n' "${ROUNDS:-15}" "${DISKS:-60}" >files/numbers
# The clock counts instructions: what is said of time holds on a busy host too.
# shellcheck disable=SC2086 # several words
guest tcmu-snapshotter.sh $with_snapshotter -i -m "$tcmu_modules erofs" -r 1024 -t $((${ROUNDS:-15} * 2 + 250)) \
	-b /usr/bin/nice -b "$OVBD_BUILD/daemon/ovbdd" -b "$OVBD_BUILD/tests/kernel/slow_server"
