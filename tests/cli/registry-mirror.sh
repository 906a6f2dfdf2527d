#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Other hosts in the place of a registry: containerd's hosts.toml, with a client certificate and fail-over;
# a P2P proxy before the URL; a proxy of HTTP. The hosts are nginx in front of Debian's registry.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"

PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || skip "nginx is not installed"
make_layers
make_ca
make_cert server
make_cert client
start_registry ""
image one l1 l2 >/dev/null
push team/disk one

# 1 a mirror over TLS, for whom it knows; 2 plain, at a path of its own; 3 a proxy; 4 nobody listens
# shellcheck disable=SC2046 # numbers
set -- $(python3 -c '
import socket
s = [socket.socket() for i in range(4)]
[one.bind(("127.0.0.1", 0)) for one in s]
print(*(one.getsockname()[1] for one in s))')
tls=$1 plain=$2 proxy=$3 dead=127.0.0.1:$4
cat >nginx.conf <<EOF2
daemon off;
master_process off;
pid $tmp/nginx.pid;
error_log $tmp/nginx.err;
events {}
http {
	log_format asked '\$server_port \$status \$request_method \$request_uri "\$http_x_mirror" "\$http_authorization"';
	access_log $tmp/nginx.log asked;
	client_body_temp_path $tmp/nginx.tmp;
	proxy_temp_path $tmp/nginx.tmp;
	fastcgi_temp_path $tmp/nginx.tmp;
	uwsgi_temp_path $tmp/nginx.tmp;
	scgi_temp_path $tmp/nginx.tmp;
	merge_slashes off;
	server {
		listen 127.0.0.1:$tls ssl;
		ssl_certificate $tmp/server.crt;
		ssl_certificate_key $tmp/server.key;
		ssl_client_certificate $tmp/ca.crt;
		ssl_verify_client on;
		location / { proxy_pass http://$registry; }
	}
	server {
		listen 127.0.0.1:$plain;
		location /under/ { proxy_pass http://$registry/v2/; }
		location /p2p/ { rewrite ^/p2p/http://[^/]*(/.*)\$ \$1 break; proxy_pass http://$registry; }
		location / { return 503; }
	}
	server {
		listen 127.0.0.1:$proxy;
		location / { proxy_pass http://$registry; }
	}
}
EOF2
nginx -p "$tmp" -c "$tmp/nginx.conf" 2>nginx.said &
nginx=$!
pids="$pids $nginx"
listens() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()' "$1" 2>/dev/null; }
wait_for listens "$tls"
wait_for listens "$plain"
wait_for listens "$proxy"

name=docker://r.example/team/disk # which nobody has ever reached
asked() { # PORT: how often was it asked; 'PORT STATUS ...': the same of lines that begin so
	grep -c "^$1 " nginx.log || :
}
hosts() { # LINE...: of hosts.toml
	: >nginx.log
	printf '%s\n' "$@" >certs.d/r.example/hosts.toml
}
mkdir -p certs.d/r.example
cp ca.crt client.crt client.key certs.d/r.example/

# --- the first that answers, in the order of the file
hosts "[host.\"http://$dead\"]" \
	"[host.\"https://127.0.0.1:$tls\"]" 'ca = "ca.crt"' 'client = [["client.crt", "client.key"]]' \
	"[host.\"https://127.0.0.1:$tls\".header]" 'x-mirror = "one"' \
	"[host.\"http://127.0.0.1:$plain/under\"]" 'override_path = true'
same --registry-config certs.d "$name" v2
[ "$(asked "$tls")" -gt 0 ] || fail "$(cat nginx.log)"
[ "$(asked "$plain")" = 0 ] || fail "$(cat nginx.log)"
grep -q "^$tls 206 GET /v2/team/disk/blobs/sha256:[0-9a-f]*?ns=r.example \"one\" \"-\"" nginx.log ||
	fail "$(cat nginx.log)"
grep -q "^$tls 200 GET /v2/team/disk/manifests/latest?ns=r.example " nginx.log || fail "$(cat nginx.log)"
ok "a dead mirror, and one with a client certificate"

# one that does not know us is passed over; the path is as it is
hosts "[host.\"https://127.0.0.1:$tls\"]" 'ca = "ca.crt"' \
	"[host.\"http://127.0.0.1:$plain/under\"]" 'override_path = true'
same --registry-config certs.d "$name" v2
grep -q "^$plain 206 GET /under/team/disk/blobs/sha256:[0-9a-f]*?ns=r.example " nginx.log || fail "$(cat nginx.log)"
# for tags and for contents
hosts "[host.\"https://127.0.0.1:$tls\"]" 'capabilities = ["pull"]' 'skip_verify = true' \
	'client = [["client.crt", "client.key"]]' \
	"[host.\"http://127.0.0.1:$plain/under\"]" 'override_path = true' 'capabilities = ["resolve"]'
same --registry-config certs.d "$name" v2
! grep -q "^$tls .*/manifests/latest" nginx.log || fail "$(cat nginx.log)"
! grep -q "^$plain .*/blobs/" nginx.log || fail "$(cat nginx.log)"
ok "order, paths and capabilities"

# --- a configuration, the server in the registry's place, and _default
digest=$(python3 -c 'import hashlib; print(hashlib.sha256(open("l1", "rb").read()).hexdigest())')
printf '{"repoBlobUrl": "https://r.example/v2/team/disk/blobs", "lowers": [{"digest": "sha256:%s"}]}' \
	"$digest" >image.json
hosts "server = \"http://127.0.0.1:$proxy\""
same --registry-config certs.d image.json v1
same --registry-config certs.d "$name" v2
grep -q "^$proxy 206 GET /v2/team/disk/blobs/sha256:$digest?ns=r.example " nginx.log || fail "$(cat nginx.log)"
mkdir certs.d/_default
hosts "server = \"http://127.0.0.1:$proxy\""
mv certs.d/r.example/hosts.toml certs.d/_default/
same --registry-config certs.d docker://elsewhere.example/team/disk v2
grep -q "ns=elsewhere.example" nginx.log || fail "$(cat nginx.log)"
hosts 'server = "x y"'
expect 65 "hosts.toml: server: must be a URL" "$ovbd" info --registry-config certs.d "$name"
hosts '[host."http://x"]' 'skip_verify'
expect 65 "hosts.toml: line 2: a key without = and a value" "$ovbd" info --registry-config certs.d "$name"
ok "server, _default"

# --- a mirror that ends while it is served; then the next one has it
rm -r certs.d/_default
hosts "[host.\"http://127.0.0.1:$plain/under\"]" 'override_path = true' "[host.\"http://$registry\"]"
serve disk.img --registry-config certs.d "$name"
head -c 1000000 disk.img | cmp -n 1000000 - v2
[ "$(asked "$plain")" -gt 0 ] || fail "$(cat nginx.log)"
kill -TERM "$nginx"
wait_for not is_running "$nginx"
cmp disk.img v2
kill -TERM "$server"
ended 0
nginx -p "$tmp" -c "$tmp/nginx.conf" 2>nginx.said &
nginx=$!
pids="$pids $nginx"
wait_for listens "$plain"
wait_for listens "$proxy"
ok "fail-over while it is served"

# --- P2P, and a proxy
: >nginx.log
same --p2p "http://127.0.0.1:$plain/p2p" "docker://$registry/team/disk" v2
grep -q "^$plain 206 GET /p2p/http://$registry/v2/team/disk/blobs/sha256:" nginx.log || fail "$(cat nginx.log)"
same --p2p "$dead/p2p" "docker://$registry/team/disk" v2 # it is away: the registry itself
: >nginx.log
same --plain-http --http-proxy "http://127.0.0.1:$proxy" "docker://nowhere.invalid/team/disk" v2
[ "$(asked "$proxy 206")" -gt 0 ] || fail "$(cat nginx.log)"
ok "proxies"
