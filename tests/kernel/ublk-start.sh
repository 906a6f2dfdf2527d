#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A ublk server that is killed at many moments of its start and of its end. OVBD_START_MS="160 4" says up
# to when and in which steps, in milliseconds.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
cloud_kernel
head -c 2M /dev/urandom >files/image
echo "${OVBD_START_MS-120 24}" >files/milliseconds
guest ublk-start.sh -m ublk_drv -c 2 -t 600 -b "$OVBD_BUILD/tests/kernel/ublk_server"
