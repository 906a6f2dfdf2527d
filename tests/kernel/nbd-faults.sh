#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ovbdd killed, and asked to end, at every step of what it does for a disk of the kernel's NBD client: the next
# one serves the disk, or there is none. The steps that all transports have, for TCMU too.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
head -c 2M /dev/urandom >files/image
"$ovbd" convert -q files/image files/image.ovbd
# all that there are in the source
cat "$OVBD_SOURCE"/daemon/nbd*.c | tr -d '\n\t' | grep -oE '"nbd-[a-z]+"' | tr -d '"' | sort -u >files/points
guest nbd-faults.sh -m "nbd $tcmu_modules" -r 512 -t 600 -b "$OVBD_BUILD/daemon/ovbdd" \
	-b "$OVBD_BUILD/tests/kernel/ovbdd_faults"
