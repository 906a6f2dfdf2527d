#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writable layers of all formats as disks of TCMU, under fio with verify, while ovbdd is killed again and again,
# and replaced by another: no error, no wrong byte. $KILL_SECONDS: for how long (default 10); $KILLS: how often at
# least under fio (default 3).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
[ -x "$OVBD_BUILD/daemon/ovbdd" ] || skip "ovbdd was not built"
stock_kernel
upper_kill tcmu -m "$tcmu_modules"
