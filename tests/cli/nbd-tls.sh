#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# NBD over TLS, by shared keys and by certificates, with libnbd's and qemu's clients; who has none is
# kept out, and what a server's files lack is said.
. "${OVBD_SOURCE:?}/tests/lib/nbd.sh"

command -v openssl >/dev/null || skip "openssl is not installed"
head -c 6000000 /dev/urandom >disk.raw
truncate -s 16M disk.raw
"$ovbd" convert -q disk.raw disk.ovbd
: >empty
"$ovbd" serve --nbd x --tls-psk empty disk.ovbd 2>err || :
! grep -q "without TLS" err || skip "this ovbd was built without TLS"

# Keys.
printf 'alice:%s\n' "$(openssl rand -hex 32)" >keys.psk
printf 'alice:%s\n' "$(openssl rand -hex 32)" >other.psk
serve_nbd --tls-psk keys.psk disk.ovbd
case $uri in nbds+unix://*) ;; *) fail "the URI: $uri" ;; esac
alice="nbds+unix://alice@/?socket=disk.sock"
{ nbdcopy "$alice&tls-psk-file=keys.psk" copy && cmp copy disk.raw; } || fail "nbdcopy"
nbdcopy --synchronous "$alice&tls-psk-file=keys.psk" - | cmp - disk.raw || fail "nbdcopy, in order"
nbdinfo "$alice&tls-psk-file=keys.psk" >info
grep -q "protocol: .* TLS" info || fail "nbdinfo: $(cat info)"
! timeout 10 nbdinfo "$alice&tls-psk-file=other.psk" >info 2>&1 || fail "with a wrong key"
! timeout 10 nbdinfo "nbds+unix://bob@/?socket=disk.sock&tls-psk-file=keys.psk" >info 2>&1 ||
	fail "somebody unknown"
! timeout 10 nbdinfo "nbd+unix:///?socket=disk.sock" >info 2>&1 || fail "in the clear"
grep -qi "tls" info || fail "in the clear it says: $(cat info)"
! timeout 10 nbdinfo --list "nbd+unix:///?socket=disk.sock" >info 2>&1 || fail "the list in the clear"
{ nbdcopy "$alice&tls-psk-file=keys.psk" copy && cmp copy disk.raw; } || fail "after those"
kill "$server"
ended 0
ok "keys, libnbd"

mkdir qemu
cp keys.psk qemu/keys.psk
# shellcheck disable=SC2016 # for the inner shell
run='port=${OVBD_URI##*:} && port=${port%/} &&
	qemu-img convert -O raw --object tls-creds-psk,id=t,dir=qemu,username=alice,endpoint=client \
		--image-opts driver=nbd,host=127.0.0.1,port=$port,tls-creds=t copy && cmp copy disk.raw'
"$ovbd" serve -q --nbd 127.0.0.1:0 --tls-psk keys.psk --run "$run" disk.ovbd || fail "qemu, keys"
ok "keys, qemu-img"

# Certificates: an authority, a server, a client; and a client of another authority.
new_authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj "/CN=$1" -keyout "$1.key" -out "$1.pem" 2>/dev/null
}
sign() { # NAME AUTHORITY EXTENSION
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" \
		-keyout "$1.key" -out "$1.csr" 2>/dev/null
	printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%s\n' "$3" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 \
		-extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
new_authority ca
new_authority stranger
sign server ca serverAuth
sign client ca clientAuth
sign foe stranger clientAuth
mkdir pki friend foes trusting
cp ca.pem pki/ca-cert.pem && cp server.pem pki/server-cert.pem && cp server.key pki/server-key.pem
for d in friend foes trusting; do cp ca.pem $d/ca-cert.pem; done
cp client.pem friend/client-cert.pem && cp client.key friend/client-key.pem
cp foe.pem foes/client-cert.pem && cp foe.key foes/client-key.pem

serve_nbd --tls-certificates pki disk.ovbd
secure="nbds+unix://localhost/?socket=disk.sock&tls-certificates"
{ nbdcopy "$secure=$tmp/trusting" copy && cmp copy disk.raw; } || fail "a client without a certificate"
kill "$server"
ended 0
serve_nbd --tls-certificates pki --tls-verify-peer disk.ovbd
{ nbdcopy "$secure=$tmp/friend" copy && cmp copy disk.raw; } || fail "a client with a certificate"
for d in trusting foes; do
	! timeout 10 nbdcopy "$secure=$tmp/$d" copy >io 2>&1 || fail "let in: $d"
done
nbdinfo --size "$secure=$tmp/friend" >/dev/null || fail "after those"
kill "$server"
ended 0
# shellcheck disable=SC2016 # for the inner shell
run='port=${OVBD_URI##*:} && port=${port%/} &&
	qemu-img convert -O raw --object tls-creds-x509,id=t,dir=friend,endpoint=client,verify-peer=on \
		--image-opts driver=nbd,host=127.0.0.1,port=$port,tls-creds=t copy && cmp copy disk.raw'
"$ovbd" serve -q --nbd 127.0.0.1:0 --tls-certificates pki --tls-verify-peer --run "$run" disk.ovbd ||
	fail "qemu, certificates"
ok "certificates"

# Offered only: both kinds of clients; writes, in pieces and out of order.
truncate -s 16M scratch
serve_nbd --tls-psk keys.psk --tls on --rw scratch
nbdcopy --flush disk.raw "$alice&tls-psk-file=keys.psk" || fail "nbdcopy writes"
cmp scratch disk.raw || fail "wrote something else"
{ nbdcopy "nbd+unix:///?socket=disk.sock" copy && cmp copy disk.raw; } || fail "in the clear"
kill "$server"
ended 0
ok "offered"

# A client that asks for TLS and then is silent, or says what is no TLS, hinders nobody.
serve_nbd --tls-psk keys.psk disk.ovbd
python3 - disk.sock <<'END' &
import socket, struct, sys, time
held = []
for i in range(100):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.recv(18, socket.MSG_WAITALL)
    s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 5, 0))
    s.recv(20, socket.MSG_WAITALL)
    if i % 2:
        s.sendall(b"\x16\x03\x01" + bytes([i]) * (i * 7))
    held.append(s)
open("held", "w").close()
time.sleep(60)
END
pids="$pids $!"
wait_for test -e held
{ nbdcopy "$alice&tls-psk-file=keys.psk" copy && cmp copy disk.raw; } || fail "hindered"
kill "$server"
ended 0
ok "clients that stop within TLS's handshake"

expect 1 "nowhere.psk: No such file" "$ovbd" serve --nbd x --tls-psk nowhere.psk disk.ovbd
expect 1 "no file of lines" "$ovbd" serve --nbd x --tls-psk empty disk.ovbd
expect 1 "friend/server-cert.pem: No such file" "$ovbd" serve --nbd x --tls-certificates friend disk.ovbd
mkdir half && cp server.pem half/server-cert.pem
expect 1 "half/server-key.pem: No such file" "$ovbd" serve --nbd x --tls-certificates half disk.ovbd
cp client.key half/server-key.pem
expect 1 "half/server-cert.pem: reading the server's certificate and its key" \
	"$ovbd" serve --nbd x --tls-certificates half disk.ovbd
cp server.key half/server-key.pem
expect 1 "half/ca-cert.pem: No such file" \
	"$ovbd" serve --nbd x --tls-certificates half --tls-verify-peer disk.ovbd
expect 2 "exclude each other" "$ovbd" serve --nbd x --tls-certificates pki --tls-psk keys.psk disk.ovbd
expect 2 "go with --nbd" "$ovbd" serve --fuse x --tls-psk keys.psk disk.ovbd
expect 2 "must be 'require' or 'on'" "$ovbd" serve --nbd x --tls-psk keys.psk --tls off disk.ovbd
expect 2 "goes with --tls-certificates" "$ovbd" serve --nbd x --tls-psk keys.psk --tls-verify-peer disk.ovbd
expect 2 "--tls goes with" "$ovbd" serve --nbd x --tls on disk.ovbd
[ ! -e x ] || fail "a socket without a server"
