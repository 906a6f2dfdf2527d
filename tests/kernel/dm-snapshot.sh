#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# dm-snapshot over the exception store that ovbdd makes of an update: reads as the update, and is
# merged into the base, while the daemon is killed.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
PATH=$PATH:/sbin:/usr/sbin command -v dmsetup >/dev/null || skip "dmsetup is not installed"
stock_kernel
python3 "$OVBD_SOURCE/tests/kernel/make-update.py" base cow target >files/nops
echo "${SNAPSHOT_TRANSPORT:-tcmu}" >files/how
guest dm-snapshot.sh -m "$tcmu_modules nbd dm_snapshot virtio_blk" -b "$OVBD_BUILD/daemon/ovbdd" \
	-b "$(PATH=$PATH:/sbin:/usr/sbin command -v dmsetup)" \
	-b "$OVBD_BUILD/tests/kernel/same_bytes" -d base -d target:ro -d cow -t 400
