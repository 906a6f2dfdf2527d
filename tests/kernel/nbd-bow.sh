#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Backup on write, on disks of the kernel's NBD client: Debian packages are upgraded on ext4 of both block sizes and on f2fs, and taken back,
# or kept; the daemon is killed meanwhile.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
. "$OVBD_SOURCE/tests/kernel/bow.sh"
bow_guest nbd ext4-1k "nbd ext4"
