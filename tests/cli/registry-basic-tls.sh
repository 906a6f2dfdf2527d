#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images of Debian's registry with users and passwords over TLS; and where ovbdd has these from.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"
. "$OVBD_SOURCE/tests/lib/daemon.sh"

command -v htpasswd >/dev/null || skip "htpasswd (apache2-utils) is not installed"
make_layers
make_ca
make_cert server
make_cert client
htpasswd -Bbn anna secret >passwords
start_registry "  tls: {certificate: $tmp/server.crt, key: $tmp/server.key}" \
	"auth:" "  htpasswd: {realm: tests, path: $tmp/passwords}"
digest=$(image one l1 l2)
push team/disk one --dest-creds anna:secret
name=docker://$registry/team/disk
mkdir certs "certs.d" "certs.d/$registry" empty
cp ca.crt certs/
cp ca.crt "certs.d/$registry/"

# --- tools
same --cert-dir certs --creds anna:secret "$name" v2
same --registry-config certs.d --creds anna:secret "$name" v2
same --tls-verify=false --creds anna:secret "$name" v2
expect 74 "certificate" "$ovbd" info --cert-dir empty --creds anna:secret "$name"
expect 77 "401" "$ovbd" info --cert-dir certs "$name"
expect 77 "401" "$ovbd" info --cert-dir certs --creds anna:wrong-ZYYYZ "$name" 2>>said
expect 2 "--tls-verify no: it is true or false" "$ovbd" info --tls-verify=no "$name"
expect 2 "--creds: it is USER or USER:PASSWORD" "$ovbd" info --creds :ZYYYZ "$name" 2>>said
ok "tools"

# --- what is pushed: an image of files, with a layer in more than one chunk (a build without libext2fs makes none)
if grep -q "convert_image.c.o" "$OVBD_BUILD/build.ninja"; then
	mkdir files
	head -c 20000000 /dev/urandom >files/noise
	tar -cf files.tar --owner=0 --group=0 -C files .
	python3 "$OVBD_SOURCE/tests/lib/oci-image.py" src t files.tar >/dev/null
	to=docker://$registry/team/pushed
	"$ovbd" convert -q --dest-cert-dir certs --dest-creds anna:secret oci:src:t "$to"
	"$ovbd" convert -q --registry-config certs.d --creds anna:secret oci:src:t "$to:second"
	"$ovbd" convert -q --dest-tls-verify=false --dest-creds anna:secret oci:src:t "$to:third"
	"$ovbd" check -q --cert-dir certs --creds anna:secret "$to"
	for tag in second third; do
		"$ovbd" compare -q --cert-dir certs --creds anna:secret "$to" "$to:$tag"
	done
	expect 74 "certificate" "$ovbd" convert -q --dest-creds anna:secret oci:src:t "$to"
	expect 74 "certificate" "$ovbd" convert -q --src-cert-dir certs --dest-creds anna:secret oci:src:t "$to"
	expect 77 "401" "$ovbd" convert -q --dest-cert-dir certs oci:src:t "$to:none"
	expect 77 "401" "$ovbd" convert -q --dest-cert-dir certs --dest-creds anna:wrong-ZYYYZ oci:src:t "$to:none"
	cat "$tmp/.stderr" >>said
	ok "pushed"
fi

# --- ovbdd: a file, and the services of overlaybd's daemon
layers=$(python3 -c '
import glob, json
for name in glob.glob("layout/blobs/sha256/*"):
    data = open(name, "rb").read(1 << 16)
    all = json.loads(data).get("layers") if data[:1] == b"{" else None
    if all:
        print(json.dumps([{"digest": l["digest"], "size": l["size"]} for l in all]))')
printf '{"repoBlobUrl": "https://%s/v2/team/disk/blobs", "lowers": %s}' "$registry" "$layers" >image.json
auths=$(printf '{"auths": {"%s/team": {"username": "anna", "password": "secret"}}}' "$registry")
blob="https://$registry/v2/team/disk/blobs/sha256:"
echo "$auths" >cred.json
printf '{"success": true, "traceId": "t1", "data": %s}' "$auths" >answer.json

attaches() { # ID IMAGE
	path=$("$ovbd" attach -t fuse --id "$1" "$2") || fail "$1: $(cat "$log")"
	cmp "$path" v2
	"$ovbd" status "$1" >>said
	"$ovbd" detach "$1"
}
start_daemon --cert-dir certs --authfile "$tmp/cred.json"
attaches file "$tmp/image.json"
attaches name "$name@$digest"
expect 1 "a tag may move while the device is attached" "$ovbd" attach -t fuse --id a "$name:latest"
printf '{"auths": {"%s": {"auth": "%s"}}}' "$registry" "$(printf anna:wrong-ZYYYZ | base64)" >cred.json
expect 1 "401" "$ovbd" attach -t fuse --id a image.json 2>>said
echo '{"auths": ' >cred.json
expect 1 "cred.json: line" "$ovbd" attach -t fuse --id a image.json
printf '{"credHelpers": {"%s": "tests"}}' "$registry" >cred.json
mkdir bin
printf '#!/bin/sh\necho %s\n' "'{\"Username\": \"anna\", \"Secret\": \"secret\"}'" >bin/docker-credential-tests
chmod +x bin/docker-credential-tests
# a build without the filter of system calls (with a sanitizer) does not find it, as it is not in PATH yet
why="this process may not start programs"
grep -q "confine_filter.c.o" "$OVBD_BUILD/build.ninja" || why="there is no such program"
expect 1 "docker-credential-tests: $why" "$ovbd" attach -t fuse --id a image.json
cat "$log" >>said
stop_daemon TERM
PATH=$tmp/bin:$PATH
export PATH
start_daemon --cert-dir certs --authfile "$tmp/cred.json" --no-seccomp
attaches helper image.json
stop_daemon TERM

serve_credentials() { # ARGUMENT...
	: >asked
	rm -f service hold
	mkfifo hold
	exec 9<>hold
	python3 "$OVBD_SOURCE/tests/lib/credential-server.py" answer.json asked "$@" <hold >service 9>&- &
	service=$!
	pids="$pids $service"
	wait_for test -s service
}
end_service() {
	exec 9>&-
	wait "$service" || :
}
with_service() { # CONFIG; what is asked for is in "asked"
	echo "{\"cert-dir\": \"$tmp/certs\", \"credential-service\": {$1}}" >config
	start_daemon --config "$tmp/config"
	attaches service image.json
	grep -q "^$2?remote_url=$blob" asked || fail "$(cat asked)"
}
serve_credentials http
with_service "\"url\": \"http://127.0.0.1:$(cat service)/a/b\"" /a/b
# asked anew each time, and what is wrong is told
printf '{"success": false, "traceId": "t2", "data": {"auths": {"x": {"password": "ZYYYZ"}}}}' >answer.json
expect 1 "it had no success, traceId t2" "$ovbd" attach -t fuse --id a image.json
echo 'ZYYYZ' >answer.json
expect 1 "the answer is no JSON" "$ovbd" attach -t fuse --id a image.json
echo mute >answer.json
expect 1 "credentials from http://127.0.0.1:$(cat service)/a/b" "$ovbd" attach -t fuse --id a image.json
printf '{"success": true, "traceId": "t1", "data": %s}' "$auths" >answer.json
attaches again image.json
cat "$log" >>said
stop_daemon TERM
end_service
serve_credentials https server.crt server.key ca.crt
url=https://127.0.0.1:$(cat service)/auth
with_service "\"url\": \"$url\", \"client-cert\": \"$tmp/client.crt\", \"client-key\": \"$tmp/client.key\", \"ca\": \"$tmp/ca.crt\"" /auth
stop_daemon TERM
echo "{\"cert-dir\": \"$tmp/certs\", \"credential-service\": {\"url\": \"$url\", \"ca\": \"$tmp/ca.crt\"}}" >config
start_daemon --config "$tmp/config"
expect 1 "credentials from $url" "$ovbd" attach -t fuse --id a image.json
stop_daemon TERM
end_service
serve_credentials uds "$tmp/auth.sock"
with_service "\"socket\": \"$tmp/auth.sock\"" /auth
cat "$log" >>said
stop_daemon TERM

# as overlaybd-tcmu reads it
ln -s "$ovbdd" bin/overlaybd-tcmu
printf '{"logConfig": {"logPath": "%s"}, "enableAudit": false, "credentialConfig": {"mode": "uds", "path": "%s", "timeout": 5}}' \
	"$tmp/obd.log" "$tmp/auth.sock" >overlaybd.json
: >asked
ovbdd=$tmp/bin/overlaybd-tcmu
log_is_ready() { grep -q "ready: " obd.log 2>/dev/null; }
"$ovbdd" --state-dir "$tmp/state" --cert-dir "$tmp/certs" "$tmp/overlaybd.json" 2>>"$log" &
daemon=$!
pids="$pids $daemon"
wait_for log_is_ready
attaches drop-in image.json
grep -q "^/auth?remote_url=$blob" asked || fail "$(cat asked)"
cat obd.log "$log" >>said
stop_daemon TERM
end_service
no_secrets said
ok "ovbdd"
