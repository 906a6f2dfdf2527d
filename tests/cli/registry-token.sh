#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images by docker://... and by config.v1.json from Debian's registry, which wants tokens.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"

make_layers
start_tokens --life 3
start_registry "auth:" "  token: {realm: $token_url, service: tests, issuer: tests, rootcertbundle: $tmp/signer.crt}"
digest=$(image two l1 l2)
push team/disk:two two --dest-creds anna:secret
image docker --docker l1 l2 >/dev/null
push team/disk:docker docker --dest-creds anna:secret
name=docker://$registry/team/disk
repo=http://$registry/v2/team/disk/blobs

# --- as nobody, as somebody else, as who may
expect 77 "401" "$ovbd" info "$name:two"
expect 77 "401" "$ovbd" info --creds anna:wrong-ZYYYZ "$name:two" 2>>said
expect 77 "401" "$ovbd" info --creds otto:ZYYYZ "$name:two" 2>>said
"$ovbd" info --creds anna:secret --output=json "$name:two" >j
holds j ovbd.info.v1 "[l['remote'] for l in j['layers']] == [True, True]" "j['format'] == 'image'" \
	"j['layers'][0]['filename'].startswith('http://$registry/v2/team/disk/blobs/sha256:')"
for tag in ":two" ":docker" "@$digest" ":two@$digest"; do
	same --creds anna:secret "$name$tag" v2
done
"$ovbd" check -q --creds anna:secret "$name:two"
"$ovbd" map --creds anna:secret "$name:two" | grep -q " data " || fail "map"
layer -O raw --creds anna:secret "$name:two" flat
cmp flat v2
cat j >>said
expect 69 "404" "$ovbd" info --creds anna:secret "$name:none"
expect 1 "is no name of an image" "$ovbd" info "docker://$registry/TEAM"
ok "docker://"

# --- a password is not in the list of processes
serve disk.img --creds anna:secret "$name:two"
tr '\0' ' ' <"/proc/$server/cmdline" >cmdline
grep -q -e '--creds xxxxxxxxxxx ' cmdline || fail "$(cat cmdline)"
kill -TERM "$server"
ended 0
ok "the command line shows no password"

# --- where credentials are kept
auth=$(printf anna:secret | base64)
printf '{"auths": {"%s": {"auth": "%s"}}}' "$registry" "$auth" >auth.json
printf '{"auths": {"%s/team": {"username": "anna", "password": "secret"}, "%s": {"auth": "eDp5"}}}' \
	"$registry" "$registry" >longest.json
printf '{"auths": {"%s": {"identitytoken": "anna-identity"}}}' "$registry" >identity.json
printf '{"auths": {"%s": {"identitytoken": "ZYYYZ"}}}' "$registry" >bad.json
printf '{"credHelpers": {"%s": "tests"}}' "$registry" >helper.json
printf '{"credsStore": "tests", "auths": {"%s": {}}}' "$registry" >store.json
mkdir bin .docker containers
cat >bin/docker-credential-tests <<'EOF2'
#!/bin/sh
[ "$1" = get ] || exit 2
read -r server || :
echo "$server" >>"$HOME/asked"
echo '{"ServerURL": "'"$server"'", "Username": "anna", "Secret": "secret"}'
EOF2
chmod +x bin/docker-credential-tests
export PATH="$tmp/bin:$PATH"
for file in auth longest identity helper store; do
	"$ovbd" info --authfile $file.json "$name:two" >/dev/null || fail "$file.json"
done
grep -qx "$registry" asked || fail "the helper was asked for $(cat asked)"
grep -q "^refresh anna tests repository:team/disk:pull token" tokens || fail "$(cat tokens)"
REGISTRY_AUTH_FILE=auth.json "$ovbd" info "$name:two" >/dev/null || fail "REGISTRY_AUTH_FILE"
cp auth.json containers/
XDG_RUNTIME_DIR=$tmp "$ovbd" info "$name:two" >/dev/null || fail "XDG_RUNTIME_DIR"
cp auth.json .docker/config.json
"$ovbd" info "$name:two" >/dev/null || fail ".docker/config.json"
echo '{"auths": {}}' >containers/auth.json
XDG_RUNTIME_DIR=$tmp "$ovbd" info "$name:two" >/dev/null || fail "the next file"
rm .docker/config.json
expect 77 "401" "$ovbd" info --authfile bad.json "$name:two" 2>>said
expect 69 "none.json: No such file" "$ovbd" info --authfile none.json "$name:two"
ok "files and programs of credentials"

# --- by the digest of a configuration
layers=$(python3 -c '
import json, sys
j = json.load(open("layout/blobs/sha256/" + sys.argv[1][7:]))
print(json.dumps([{"digest": l["digest"], "size": l["size"]} for l in j["layers"]]))' "$digest")
printf '{"repoBlobUrl": "%s", "lowers": %s}' "$repo" "$layers" >image.json
expect 77 "401" "$ovbd" info image.json
same --authfile auth.json image.json v2
"$ovbd" info --authfile helper.json image.json >/dev/null
ok "config.v1.json"

# --- a token ends in the middle: one more, and no more than that
: >tokens
serve disk.img --authfile auth.json "$name:two"
head -c 1000000 disk.img | cmp -n 1000000 - v2
sleep 4 # the tokens of before are good for three seconds
tail -c +1000001 disk.img >rest
tail -c +1000001 v2 | cmp - rest
before=$(wc -l <tokens)
[ "$before" -ge 2 ] || fail "no new token: $(cat tokens)"
[ "$before" -le 8 ] || fail "too many tokens: $(cat tokens)"
kill -TERM "$server"
ended 0
cat "$log" >>said
# who may no more gets an error, soon
serve disk.img --authfile auth.json "$name:two"
printf '{"auths": {"%s": {"username": "anna", "password": "wrong-ZYYYZ"}}}' "$registry" >auth.json
sleep 4
! cat disk.img >/dev/null 2>&1 || fail "read without leave"
kill -TERM "$server"
ended 0
grep -q "401" "$log" || fail "$(cat "$log")"
cat "$log" >>said
no_secrets said
ok "tokens that end"
