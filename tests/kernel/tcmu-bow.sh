#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Backup on write, on disks of TCMU: Debian packages are upgraded on ext4 of both block sizes and on f2fs, and taken back,
# or kept; the daemon is killed meanwhile.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
. "$OVBD_SOURCE/tests/kernel/bow.sh"
# shellcheck disable=SC2154 # lib.sh has it
bow_guest tcmu ext4-4k "$tcmu_modules"
