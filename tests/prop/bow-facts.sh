#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Devices of type bow in the middle of their checkpoints, as prop_bow leaves them, are restored by
# the restorer that was written from the layouts alone (tests/lib/bow_facts.py): they are the old.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

mkdir disks
OVBD_KEEP=disks OVBD_CASES="${OVBD_CASES:-40}" "$OVBD_BUILD/tests/prop/test_prop_bow" >log 2>&1 ||
	fail "prop_bow: $(cat log)"
PYTHONPATH=$OVBD_SOURCE/tests/lib PYTHONDONTWRITEBYTECODE=1 python3 - <<'PYTHON' ||
import glob
import sys

import bow_facts

names = [path[:-5] for path in glob.glob("disks/*.disk")]
for name in names:
    disk, old, unknown = (bytearray(open(name + end, "rb").read()) for end in (".disk", ".old", ".any"))
    bow_facts.restore(disk)
    for i in range(0, len(disk), 512):
        if not unknown[i // 512] and disk[i:i + 512] != old[i:i + 512]:
            sys.exit(f"{name}: sector {i // 512} is not what it was")
print(len(names), "devices restored")
assert len(names) > 20
PYTHON
	fail "not restored by the facts"
