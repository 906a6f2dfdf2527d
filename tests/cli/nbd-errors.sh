#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What an NBD server survives: dead and live predecessors, clients that hang, vanish or are killed, and
# an image that cannot be read.
. "${OVBD_SOURCE:?}/tests/lib/nbd.sh"

head -c 4M /dev/urandom >disk.raw
"$ovbd" convert -q disk.raw disk.ovbd

serve_nbd disk.ovbd
first=$server
expect 1 "another server listens there already" "$ovbd" serve --nbd disk.sock disk.ovbd
nbdinfo --size "$uri" >/dev/null || fail "the first one has suffered"
kill -KILL "$first"
wait_for not is_running "$first"
[ -S disk.sock ] || fail "SIGKILL left no socket"
serve_nbd disk.ovbd
ok "the socket of a dead server"
mkdir locked
exec 9<locked
flock 9
expect 1 "another program keeps this directory locked" "$ovbd" serve --nbd locked/s disk.ovbd 9<&-
exec 9<&-
ok "a directory that stays locked"
echo words >file
expect 1 "it is no socket" "$ovbd" serve --nbd file disk.ovbd
[ "$(cat file)" = words ] || fail "the user's file has changed"
expect 1 "No such file" "$ovbd" serve --nbd no/such/disk.sock disk.ovbd
expect 1 "at most 107 bytes" "$ovbd" serve --nbd "./$(printf '%0200d' 1)" disk.ovbd
expect 1 "192.0.2.1:10809" "$ovbd" serve --nbd 192.0.2.1:10809 disk.ovbd
expect 1 "no-such-image" "$ovbd" serve --background --nbd other.sock no-such-image
[ ! -e other.sock ] || fail "a socket without a server"

# 200 connections that say nothing; a client among them, and one killed while it reads.
python3 - disk.sock <<'END' &
import socket, sys, time
held = []
for _ in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    held.append(s)
open("held", "w").close()
time.sleep(60)
END
holder=$!
pids="$pids $holder"
wait_for test -e held
{ timeout 5 nbdcopy "$uri" copy && cmp copy disk.raw; } || fail "hindered by half-open connections"
mkfifo nowhere
nbdcopy --synchronous "$uri" - >nowhere &
reader=$!
exec 8<nowhere
head -c 100000 <&8 >/dev/null
kill -KILL $reader
exec 8<&-
{ timeout 5 nbdcopy "$uri" copy && cmp copy disk.raw; } || fail "after a client that was killed"
kill "$server"
ended 0
kill $holder
ok "clients that hang"

# A connected client is served to its end; the name is free meanwhile.
serve_nbd disk.ovbd
mkfifo go
(exec 9<go && while read -r line <&9; do echo "$line"; done) |
	qemu-io -r -f raw "$uri" >io 2>&1 &
client=$!
exec 7>go
echo "read 0 4096" >&7
wait_for grep -q "read 4096" io
kill "$server"
wait_for said "still in use"
[ ! -e disk.sock ] || fail "the socket is still there"
echo "read 1M 8192" >&7
wait_for grep -q "read 8192" io
exec 7>&-
wait $client || fail "qemu-io: $(cat io)"
ended 0
ok "the last client"

# A damaged layer: an error for whoever reads there, and words for the operator.
cp disk.ovbd bad.ovbd
printf '\377\376\375\374\373\372\371' | dd of=bad.ovbd bs=1 seek=1500000 conv=notrunc status=none
serve_nbd bad.ovbd
if nbdcopy "$uri" copy 2>copy.log; then
	fail "a damaged layer was read"
fi
said "failed" || fail "not told: $(cat "$log")"
if qemu-io -r -f raw -c "read 0 4M" "$uri" >io 2>&1; then
	grep -qi "error" io || fail "no error: $(cat io)"
fi
grep -qi "error\|message" io || fail "no words: $(cat io)"
qemu-io -r -f raw -c "read 0 4096" "$uri" | grep -q "read 4096" || fail "the sound part"
kill "$server"
ended 0
ok "a damaged layer"

# by its whole path, so that no other test's server is meant
"$ovbd" serve --background --nbd "$tmp/back.sock" disk.ovbd 2>/dev/null || fail "--background"
{ nbdcopy "nbd+unix:///?socket=$tmp/back.sock" copy && cmp copy disk.raw; } || fail "in the background"
pid=$(pgrep -f -- "--nbd $tmp/back.sock") || fail "no process"
pids="$pids $pid"
kill "$pid"
wait_for not test -e back.sock
ok "--background"
