#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. /tcmu-lib.sh

reads_all() {
	for _ in 1 2; do
		dd if="$1" bs=64k iflag=direct 2>"/tmp/dd.$2" | cmp - /image || return
	done
	touch "/tmp/done.$2"
}

serve /image
tcmu_attach 1 ovbd/image
disk=/dev/$disk
for reader in 1 2; do
	reads_all "$disk" $reader &
done
kills=0
while [ ! -e /tmp/done.1 ] || [ ! -e /tmp/done.2 ]; do
	[ $kills -lt 60 ] || fail "the readers do not come to an end: $(cat /tmp/dd.*)"
	usleep 200000
	kill -9 $server
	wait $server 2>/dev/null || :
	kills=$((kills + 1))
	serve /image
done
ok "killed $kills times, and the readers noticed nothing"
! dmesg | grep -i -E 'I/O error|ring is broken|abort' || fail "the kernel noticed"

kill -9 $server
wait $server 2>/dev/null || :
(dd if="$disk" bs=1M iflag=direct 2>/dev/null | cmp - /image && touch /tmp/done.4) &
usleep 1500000
[ ! -e /tmp/done.4 ] || fail "it reads without a server"
serve /image
wait_for test -e /tmp/done.4
ok "a reader waited for the next server"

kill -9 $server
wait $server 2>/dev/null || :
tcmu_detach 1 & # the kernel waits for an answer that the dead one owes
usleep 500000
serve /image
wait_for not test -e "$hba/dev_1"
ok "detached in spite of a dead server"
