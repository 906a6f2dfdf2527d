#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a Debian that has booted, as a service of its own: tells run-vm, and ends the machine.
exec >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
set -eu

finish() {
	status=$?
	set +e
	[ $status = 0 ] || {
		systemctl status --no-pager -l overlaybd-tcmu ovbdd
		tail -n 30 /var/log/overlaybd.log
		dmesg | tail -n 20
	}
	echo $status >/dev/ttyS2
	sync
	echo b >/proc/sysrq-trigger
}
trap finish EXIT

ok() { echo "ok: $*"; }
fail() {
	echo "FAILED: $*"
	exit 1
}
wait_for() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || fail "waited in vain for: $*"
		sleep 0.1
	done
}
. /snapshotter.sh

of() { # UNIT PROPERTY
	systemctl show --value -p "$2" "$1"
}
is_active() {
	[ "$(of "$1" ActiveState)" = active ]
}
has_restarted() { # UNIT PID
	[ "$(of "$1" MainPID)" != "$2" ] && is_active "$1"
}
readers_are_well() {
	[ ! -e /run/wrong ] || fail "$1: a reader saw an error: $(cat /run/dd)"
	! dmesg | grep -i -E 'I/O error|abort' || fail "$1: the kernel noticed"
}

mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
systemctl start overlaybd-tcmu || fail "it does not start"
is_active overlaybd-tcmu || fail "it is not active"
pid=$(of overlaybd-tcmu MainPID)
grep -q '^NoNewPrivs:.1$' "/proc/$pid/status" || fail "$(cat "/proc/$pid/status")"
grep -q '^CapEff:.*[1-9a-f]' "/proc/$pid/status" || fail "$(cat "/proc/$pid/status")"
! grep -q '^CapBnd:.000001ffffffffff$' "/proc/$pid/status" || fail "the unit bounds no capabilities"
[ "$(cat "/proc/$pid/oom_score_adj")" = -999 ] || fail "oom_score_adj"
ok "started: ready, and bounded"

snapshotter_prepare 1 /image.ovbd
snapshotter_attach 1 "$config" || fail "attach: $(cat /tmp/snapshotter.1)"
mkdir -p /mnt/1
mount -t ext4 -o ro "/dev/$disk" /mnt/1
(
	while [ ! -e /run/enough ]; do # with pauses: the emulator has other work too
		at=$((RANDOM % 224))
		dd if="/dev/$disk" bs=64k skip=$at count=32 iflag=direct of=/run/part 2>/run/dd || { touch /run/wrong && exit; }
		cmp <(dd if=/image bs=64k skip=$at count=32 2>/dev/null) /run/part || { touch /run/wrong && exit; }
		echo >>/run/rounds
		sleep 0.1
	done
	touch /run/done
) &
wait_for test -s /run/rounds

for _ in 1 2 3; do
	systemctl restart overlaybd-tcmu
	readers_are_well "systemctl restart"
done
ok "restarted 3 times under load"

for _ in 1 2 3 4 5 6 7; do # more often than systemd's usual limit
	pid=$(of overlaybd-tcmu MainPID)
	systemctl kill -s KILL --kill-who=main overlaybd-tcmu
	wait_for has_restarted overlaybd-tcmu "$pid"
done
readers_are_well "kill -9"
ok "killed 7 times under load: $(of overlaybd-tcmu NRestarts) restarts"

mkdir -p /run/systemd/system/overlaybd-tcmu.service.d
printf '[Service]\nWatchdogSec=4s\nTimeoutAbortSec=5s\n' >/run/systemd/system/overlaybd-tcmu.service.d/test.conf
systemctl daemon-reload
systemctl restart overlaybd-tcmu
sleep 9
pid=$(of overlaybd-tcmu MainPID)
[ "$(of overlaybd-tcmu NRestarts)" = 0 ] || fail "the watchdog barks at a daemon that is well"
kill -STOP "$pid"
wait_for has_restarted overlaybd-tcmu "$pid"
readers_are_well "watchdog"
ok "the watchdog: a daemon that hangs is replaced"

: >/var/log/overlaybd.log
systemctl reload overlaybd-tcmu
wait_for grep -q reloaded /var/log/overlaybd.log
systemctl start ovbdd
is_active ovbdd || fail "ovbdd is not active"
[ "$(of overlaybd-tcmu ActiveState)" = inactive ] || fail "both at a time"
readers_are_well "replaced by ovbdd"
systemctl start overlaybd-tcmu
[ "$(of ovbdd ActiveState)" = inactive ] || fail "both at a time"
readers_are_well "replaced by overlaybd-tcmu"
ok "one replaces the other"

touch /run/enough
wait_for test -e /run/done
readers_are_well "the end"
(cd /mnt/1 && sha256sum --quiet -c SHA256SUMS) || fail "files differ"
umount /mnt/1
snapshotter_detach 1 || fail "detach"
systemctl stop overlaybd-tcmu
[ "$(of overlaybd-tcmu Result)" = success ] || fail "stopped: $(of overlaybd-tcmu Result)"
ok "stopped, after $(wc -l </run/rounds) rounds of reading"
