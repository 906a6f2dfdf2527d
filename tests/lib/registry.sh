# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts with a registry: serve.sh and convert.sh, and
#
#   make_layers               v1, v2 (raw), l1 and l2 (layers in tars: v1, and v2 over it)
#   make_ca                   ca.crt, ca.key: who signs certificates
#   make_cert NAME [WORD]     NAME.crt, NAME.key: for 127.0.0.1 and localhost, or of a client
#   start_tokens ARGUMENT...  the server of tokens: $token_url; what it was asked is in "tokens"
#   start_registry AUTH...    Debian's docker-registry at $registry (HOST:PORT), with lines of YAML for
#                             its auth and http.tls; what it was asked is in "registry.log"
#   push NAME TAG ARGUMENT... the image TAG of the layout "layout", as NAME; more goes to skopeo
#   image TAG ARGUMENT...     puts an image into it: oci-layout.py
. "${OVBD_SOURCE:?set OVBD_SOURCE to the source directory}/tests/lib/serve.sh"
. "$OVBD_SOURCE/tests/lib/convert.sh"

for program in docker-registry skopeo openssl python3; do
	command -v $program >/dev/null || skip "$program is not installed"
done
# nobody's credentials but those of the test
HOME=$tmp
unset REGISTRY_AUTH_FILE XDG_RUNTIME_DIR XDG_CONFIG_HOME DOCKER_CONFIG http_proxy https_proxy all_proxy || :
export HOME

make_layers() {
	data 2000000 1 >v1
	cp v1 v2
	put v2 700000 50000 2
	layer --tar v1 l1
	layer --tar -B l1 v2 l2
}

make_ca() {
	openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca \
		-addext basicConstraints=critical,CA:true 2>/dev/null
}

make_cert() {
	openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>/dev/null
	printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
		-extfile "$1.ext" -out "$1.crt" 2>/dev/null
	rm "$1.csr" "$1.ext"
}

start_tokens() {
	make_ca
	mv ca.crt signer.crt
	mv ca.key signer.key
	: >tokens
	mkfifo hold_tokens
	exec 8<>hold_tokens # the server ends when nobody has it open
	python3 "$OVBD_SOURCE/tests/lib/token-server.py" signer.key signer.crt tokens "$@" \
		<hold_tokens >token_port 8>&- &
	pids="$pids $!"
	wait_for test -s token_port
	# shellcheck disable=SC2034 # for the scripts
	token_url=http://127.0.0.1:$(cat token_port)/token
}

registry_is_ready_or_over() {
	registry=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' registry.log)
	[ -n "$registry" ] || ! is_running "$registry_pid"
}

start_registry() {
	mkdir -p blobs
	{
		printf 'version: 0.1\nlog: {level: info, accesslog: {disabled: false}}\n'
		printf 'storage: {filesystem: {rootdirectory: %s/blobs}}\n' "$tmp"
		printf 'http:\n  addr: 127.0.0.1:0\n  secret: x\n'
		printf '%s\n' "$@"
	} >registry.yml
	: >registry.log
	docker-registry serve registry.yml >>registry.log 2>&1 &
	registry_pid=$!
	pids="$pids $registry_pid"
	wait_for registry_is_ready_or_over
	[ -n "$registry" ] || fail "no registry: $(cat registry.log)"
}

image() {
	image_tag=$1
	shift
	python3 "$OVBD_SOURCE/tests/lib/oci-layout.py" layout "$image_tag" "$@"
}

push() {
	push_as=$1 push_tag=$2
	shift 2
	push_from=oci:layout:$push_tag
	[ ! -d "layout-$push_tag" ] || push_from=dir:layout-$push_tag
	skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false "$@" \
		"$push_from" "docker://$registry/$push_as" 2>skopeo.err || fail "skopeo: $(cat skopeo.err)"
}

# Nothing that was said or is told has a password or a token in it. Which files: what was said.
no_secrets() {
	! grep -lE "secret|anna-identity|ZYYYZ" "$@" || fail "a secret in $*"
}
