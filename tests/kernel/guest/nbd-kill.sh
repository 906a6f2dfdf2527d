#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /ovbdd-lib.sh
. /fio-verify.sh

read -r seconds </seconds
cp /bin/ovbdd /bin/ovbdd-new
truncate -s 32M /tmp/disk.raw
start_daemon
disk=$(ovbd attach -t nbd --id w -f raw --rw /tmp/disk.raw)
(fio_verify "$disk" "$seconds" && touch /tmp/fio.ok) >/tmp/fio.said 2>&1 &
fio=$!
kills=0
while kill -0 $fio 2>/dev/null; do
	sleep 1
	kill_daemon KILL
	kills=$((kills + 1))
	start_daemon
done
[ -e /tmp/fio.ok ] || fail "fio: $(cat /tmp/fio.said)"
ok "killed $kills times under fio: $(cat /tmp/fio.said)"
[ $kills -ge 3 ] || fail "that is no test"

# An upgrade: asked to end, and another program started.
rm /tmp/fio.ok
(fio_verify "$disk" 4 && touch /tmp/fio.ok) >/tmp/fio.said 2>&1 &
fio=$!
upgrades=0
while kill -0 $fio 2>/dev/null; do
	sleep 2
	kill_daemon TERM
	if [ $((upgrades % 2)) = 0 ]; then ovbdd="ovbdd-new"; else ovbdd=ovbdd; fi
	start_daemon
	upgrades=$((upgrades + 1))
done
[ -e /tmp/fio.ok ] || fail "fio: $(cat /tmp/fio.said)"
ok "upgraded $upgrades times under fio: $(cat /tmp/fio.said)"
! dmesg | grep -i 'I/O error\|Buffer I/O' || fail "the kernel noticed"
ovbd detach w
