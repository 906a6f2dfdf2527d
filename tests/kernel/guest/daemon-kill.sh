#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /kill says by which transport, and for how many seconds.
. /ovbdd-lib.sh
. /fio-verify.sh

# load SECONDS: begins to write one disk and to read the other
load() {
	rm -f /tmp/*.ok
	(fio_verify "$written" "$1" && touch /tmp/wrote.ok) >/tmp/wrote.said 2>&1 &
	writer=$!
	(fio_read "$read" "$1" && touch /tmp/read.ok) >/tmp/read.said 2>&1 &
	reader=$!
}

is_loaded() {
	kill -0 $writer 2>/dev/null || kill -0 $reader 2>/dev/null
}

# unharmed WHAT
unharmed() {
	if [ ! -e /tmp/wrote.ok ] || [ ! -e /tmp/read.ok ]; then
		cat /tmp/wrote.said /tmp/read.said
		fail "$1"
	fi
	ok "$1: $(cat /tmp/wrote.said); $(cat /tmp/read.said)"
}

read -r transport seconds </kill
cp /bin/ovbdd /bin/ovbdd-new
truncate -s 32M /tmp/disk.raw /tmp/fixed.raw
fio_write /tmp/fixed.raw
ovbd convert -q /tmp/fixed.raw /tmp/fixed.ovbd
start_daemon
written=$(ovbd attach -t "$transport" --id w -f raw --rw /tmp/disk.raw)
read=$(ovbd attach -t "$transport" --id r /tmp/fixed.ovbd)
load 0
wait $writer || :
wait $reader || :
unharmed "left alone"

load "$seconds"
kills=0
while is_loaded; do
	sleep 1
	kill_daemon KILL
	kills=$((kills + 1))
	start_daemon
done
unharmed "killed $kills times"
[ $kills -ge 3 ] || fail "that is no test"

# An upgrade: the new program is asked whether it would do, the old one to end, and the new one started.
load $((seconds / 3))
upgrades=0 longest=0
while is_loaded; do
	sleep 1
	if [ $((upgrades % 2)) = 0 ]; then ovbdd="ovbdd-new"; else ovbdd=ovbdd; fi
	$ovbdd --version >/dev/null
	before=$(now_ms)
	kill_daemon TERM
	start_daemon
	took=$(($(now_ms) - before))
	[ $took -le $longest ] || longest=$took
	upgrades=$((upgrades + 1))
done
echo "an upgrade took $longest ms at most"
unharmed "upgraded $upgrades times"
! dmesg | grep -E 'I/O error|BUG:|WARNING:|blocked for more' || fail "the kernel noticed"
ovbd detach w
ovbd detach r
kill_daemon TERM
