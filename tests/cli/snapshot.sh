#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ovbd snapshot where it cannot work: what is missing is named. With a device mapper: tests/kernel/dm-snapshot.sh.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

expect 2 "Try 'ovbd snapshot --help'" "$ovbd" snapshot
expect 2 "must be create ID, map NAME BASE COW" "$ovbd" snapshot frob a
"$ovbd" snapshot map none /none /none 2>out || true
! grep -q "built without libdevmapper" out || skip "built without libdevmapper"
if [ -e /sys/class/misc/device-mapper ]; then
	expect 1 "snapshot: " "$ovbd" snapshot map none /none /none
else
	expect 1 "this kernel has no device mapper: modprobe dm_mod" "$ovbd" snapshot map none /none /none
fi
ok "what is missing"
