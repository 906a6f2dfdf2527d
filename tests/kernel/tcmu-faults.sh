#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ovbdd killed at every step of what it does for TCMU: who waits for it in the kernel goes on within
# 5 s of the next start, and nothing is lost or left.
. "${OVBD_SOURCE:?}/tests/kernel/lib.sh"
stock_kernel
head -c 2M /dev/urandom >files/image
"$ovbd" convert -q files/image files/image.ovbd
# all that there are in the source
cat "$OVBD_SOURCE"/daemon/*.c | tr -d '\n\t' | grep -oE '"(add|remove|reconfig|listen|ring|make|unmake|link|unlink)-[a-z]+"' |
	tr -d '"' | sort -u >files/points
# The clock counts instructions: a busy host makes nobody late.
# shellcheck disable=SC2086 # several words
guest tcmu-faults.sh $with_snapshotter -i -m "$tcmu_modules" -r 512 -t 500 -b "$OVBD_BUILD/daemon/ovbdd" \
	-b "$OVBD_BUILD/tests/kernel/ovbdd_faults"
