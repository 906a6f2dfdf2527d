#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fio with verify on two disks of ovbdd by TCMU, one of its own that is written and one of the
# snapshotter's that is read, while ovbdd is killed each second, and replaced by another: no error,
# no wrong byte. $KILL_SECONDS: for how long (default 10).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
. "$OVBD_SOURCE/tests/kernel/guest/fio-verify.sh"
[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
stock_kernel
seconds=${KILL_SECONDS:-10}
echo "$seconds" >files/seconds
truncate -s 16M image
fio_write image >fio.said || { cat fio.said && fail "no image"; }
"$ovbd" convert -q image files/image.ovbd
# shellcheck disable=SC2086 # several words
guest tcmu-fio.sh $with_fio $with_snapshotter -m "$tcmu_modules" -t $((seconds * 3 + 250)) \
	-b "$OVBD_BUILD/daemon/ovbdd"
