#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Eight clients, any verb, and a daemon that is killed again and again: no wrong byte, no hang, nothing
# left behind. $OVBD_STORM_SECONDS (default 8) and $OVBD_STORM_SEED (default: the time) are for a
# longer one by hand.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
mkdir state
for i in 0 1 2 3; do
	random $((1000001 + i * 77777)) image$i # no whole blocks: no disks
done
python3 "$OVBD_SOURCE/tests/lib/storm.py" "$ovbd" "$ovbdd" "$tmp" "${OVBD_STORM_SECONDS:-8}" \
	"${OVBD_STORM_SEED:-$(date +%s)}" || {
	tail -n 40 daemon.log
	fail "the storm has broken something"
}
! grep "is not allowed" daemon.log || fail "it may not what it must"
