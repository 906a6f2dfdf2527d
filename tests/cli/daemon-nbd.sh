#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Devices as NBD exports: the path is a URI, writes arrive, and a killed daemon's sockets come back.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

command -v qemu-io >/dev/null || skip "qemu-io is not installed"
random 1000000 base
head -c 1048576 /dev/zero >disk
start_daemon
uri=$("$ovbd" attach --id r -f raw -t nbd-socket base)
case $uri in
nbd+unix://*"$tmp/state/r.nbd") ok "$uri" ;;
*) fail "$uri" ;;
esac
qemu-img convert -f raw -O raw "$uri" out
cmp -n 1000000 out base || fail "wrong bytes"

uri=$("$ovbd" attach --id w -f raw -t nbd-socket --rw disk)
qemu-io -f raw -c 'write -P 7 4096 8192' -c flush "$uri" >/dev/null
[ "$(tr -d '\000' <disk | wc -c)" = 8192 ] || fail "not written"
expect 1 "id w in use" "$ovbd" attach --id w -f raw -t nbd-socket disk
stop_daemon KILL
start_daemon
qemu-io -f raw -c 'read -P 7 4096 8192' "$uri" | grep -q "read 8192/8192" || fail "after SIGKILL"
api /v1/devices/w | grep -q '"writable": true' || fail "$(api /v1/devices/w)"
"$ovbd" detach r w
[ ! -e state/r.nbd ] || fail "the socket is still there"
ok "writes, and a killed daemon"
