#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /storm says for how many seconds. Four clients ask ovbdd for anything, at random, by transports whose
# disks outlive it and by FUSE, while it is killed and started again; then every device must read as its
# image, and when all are detached nothing is left in the kernel.
. /ovbdd-lib.sh

# below N: a number
below() {
	echo $(($(od -An -N2 -tu2 /dev/urandom) % $1))
}

read -r seconds </storm
mkdir /images
for i in 0 1 2; do
	head -c 1048576 /dev/urandom >/images/$i
done

# try VERB ARGUMENT...: what it says is in no matter; that it answers is.
try() {
	s=0
	echo >>/tmp/asked
	timeout 60 ovbd "$@" >/dev/null 2>&1 || s=$?
	case $s in
	0) echo "$*" >>/tmp/done ;;
	1 | 69) ;;
	*) echo "ovbd $*: status $s" >>/tmp/wrong ;;
	esac
}

transport() {
	case $(below 3) in
	0) echo nbd ;;
	1) echo tcmu ;;
	2) echo fuse ;;
	esac
}

client() {
	while [ ! -e /tmp/over ]; do
		id=d$(below 4)
		case $(below 12) in
		0 | 1 | 2 | 3 | 4) try attach -t "$(transport)" --id "$id" -f raw "/images/$(below 3)" ;;
		5 | 6) try detach "$id" ;;
		7) try detach --lazy "$id" ;;
		8) try detach --force "$id" ;;
		9) try list ;;
		10) try status "$id" ;;
		11) try reload ;;
		esac
	done
}

is_settled() {
	! ovbd list -q | grep -qvE '^[^ ]+ +(serving|failed) '
}

is_empty() {
	[ -z "$(ovbd list -q)" ]
}

start_daemon
for n in 1 2 3 4; do
	client &
	clients="${clients-} $!"
done
kills=0
end=$(($(date +%s) + seconds))
while [ "$(date +%s)" -lt $end ]; do
	usleep $(($(below 20) * 100000 + 200000))
	if [ "$(below 3)" = 0 ]; then kill_daemon TERM; else kill_daemon KILL; fi
	kills=$((kills + 1))
	start_daemon
done
touch /tmp/over
for pid in $clients; do
	wait "$pid"
done
[ ! -e /tmp/wrong ] || fail "$(cat /tmp/wrong)"
wait_for is_settled
n=0
for id in $(ovbd list -q | cut -d' ' -f1); do
	image=$(ovbd status "$id" | sed -n '/^images/{n;s/^ *//;p}')
	path=$(ovbd status "$id" | sed -n 's/^path *//p')
	[ -n "$path" ] || fail "$id is not served: $(ovbd status "$id")"
	cmp "$path" "$image" || fail "$id: wrong bytes"
	n=$((n + 1))
done
ok "$kills ends of the daemon, $(wc -l </tmp/asked) requests; $n devices read as their images"
ovbd drain --force || fail "drain"
wait_for is_empty
[ -z "$(ls /run/ovbd/devices)" ] || fail "state files: $(ls /run/ovbd/devices)"
! grep fuse.ovbd /proc/mounts || fail "a mount is left"
! ls /sys/block/nbd*/pid 2>/dev/null || fail "a disk of the NBD client is left"
for disk in /sys/kernel/config/target/core/user_*/*/; do
	case $disk in
	*\** | */alua/ | */statistics/) ;;
	*) fail "a TCMU disk is left: $disk" ;;
	esac
done
! dmesg | grep -E 'BUG:|WARNING:|blocked for more' || fail "the kernel noticed"
ok "nothing is left"
for t in nbd tcmu fuse; do
	ok "$t: $(grep -c "attach -t $t" /tmp/done || :) attached"
done
kill_daemon TERM
