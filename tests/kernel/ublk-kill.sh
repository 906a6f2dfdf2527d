#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fio with verify on ublk disks, while ovbdd is killed each second, and replaced by another: no error, no
# wrong byte. $KILL_SECONDS: for how long (default 12).
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
daemon_kill ublk -m ublk_drv
