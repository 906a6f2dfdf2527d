#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fio with verify on a disk of the kernel's NBD client, while ovbdd is killed each second, and
# replaced by another: no error, no wrong byte. $KILL_SECONDS: for how long (default 12).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
seconds=${KILL_SECONDS:-12}
echo "$seconds" >files/seconds
# shellcheck disable=SC2086 # several words
guest nbd-kill.sh $with_fio -m nbd -t $((seconds * 3 + 200)) -b "$OVBD_BUILD/daemon/ovbdd"
