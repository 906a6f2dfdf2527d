#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# README's first command, and that nothing is left of it: also when it is killed in the middle.
set -euo pipefail
[ "$(id -u)" -eq 0 ] || { echo "needs root, for mount and chroot" && exit 77; }
TMPDIR=$(mktemp -d /var/tmp/ovbd-test-demo.XXXXXX)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

left() {
	ls -A "$TMPDIR"
	grep -F "$TMPDIR" /proc/self/mounts || true
	grep -lsF "$TMPDIR" /sys/block/loop*/loop/backing_file || true
	pgrep -af "$TMPDIR" || true
}

"$OVBD_SOURCE/tools/demo"
[ -z "$(left)" ] || { echo "left behind: $(left)" && exit 1; }

"$OVBD_SOURCE/tools/demo" &
demo=$!
sleep 15 # somewhere in the middle
kill -TERM $demo
wait $demo && { echo "was not interrupted" && exit 1; }
for _ in $(seq 100); do
	[ -z "$(left)" ] && exit 0
	sleep 0.1
done
echo "left behind after SIGTERM: $(left)"
exit 1
