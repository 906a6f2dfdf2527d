#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --upload of overlaybd's tools: what was made is a blob of a registry that wants tokens, and it is said which.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"
. "$OVBD_SOURCE/tests/lib/dropin.sh"

committed="overlaybd-commit has committed files SUCCESSFULLY"
commit=$bin/overlaybd-commit
start_tokens --life 300
start_registry "auth:" "  token: {realm: $token_url, service: tests, issuer: tests, rootcertbundle: $tmp/signer.crt}"
printf '{"auths": {"%s/team": {"username": "anna", "password": "secret"}}}' "$registry" >cred.json
printf '{"auths": {"%s": {"auth": "%s"}}}' "$registry" "$(printf anna:wrong-ZYYYZ | base64)" >wrong.json
url=http://$registry/v2/team/disk/blobs/uploads/

head -c 5000000 /dev/urandom >noise
"$bin/overlaybd-create" d i 1 --mkfs >/dev/null
tar -cf noise.tar noise
mkdir up
mv d up/writable_data
mv i up/writable_index
config up.json "$tmp/up"
"$bin/overlaybd-apply" noise.tar up.json >/dev/null 2>&1
set -- up/writable_data up/writable_index

requests() {
	grep -c "\"$1 " registry.log || :
}

# in_registry FILE: it has the file as a blob
in_registry() {
	hex=$(sha256sum "$1" | cut -d' ' -f1)
	cmp "$1" "blobs/docker/registry/v2/blobs/sha256/$(echo "$hex" | cut -c1-2)/$hex/data" || fail "$1: another blob"
}

"$commit" "$@" plain -z >/dev/null 2>&1
digest=sha256:$(sha256sum plain | cut -d' ' -f1)
said "$committed" "$digest" "$commit" "$@" out -z --upload "$url" --cred_file_path cred.json --upload_bs 1024
cmp plain out || fail "what is uploaded is another layer"
in_registry out
[ "$(requests PATCH)" -ge 4 ] || fail "not in pieces of 1 MiB: $(requests PATCH)"
# once more: it is there
puts=$(requests PUT)
said "$committed" "$digest" "$commit" -f "$@" out -z --upload "$url" --cred_file_path cred.json
[ "$(requests PUT)" = "$puts" ] || fail "it was sent twice"
# with a tar, which the original refuses; a sealed one; all of an image
said "$committed" "sha256:$("$commit" "$@" t -z -t >/dev/null 2>&1 && sha256sum t | cut -d' ' -f1)" \
	"$commit" "$@" out.tar -z -t --upload "${url%/}" --cred_file_path cred.json
in_registry out.tar
"$bin/overlaybd-merge" up.json merged >/dev/null 2>&1
digest=sha256:$(sha256sum merged | cut -d' ' -f1)
said "" "$digest" "$bin/overlaybd-merge" up.json merged --upload "$url" --cred_file_path cred.json
in_registry merged
"$commit" --seal "$@"
"$commit" --commit_sealed up/writable_data s -z >/dev/null 2>&1
digest=sha256:$(sha256sum s | cut -d' ' -f1)
said "$committed" "$digest" "$commit" --commit_sealed up/writable_data sealed -z --upload "$url" --cred_file_path cred.json
in_registry sealed
ok "pushed"

# and read from there
digest=$(sha256sum out | cut -d' ' -f1)
printf '{"repoBlobUrl": "http://%s/v2/team/disk/blobs", "lowers": [{"digest": "sha256:%s", "size": %s}], "upper": {}}' \
	"$registry" "$digest" "$(stat -c %s out)" >remote.json
printf '{"credentialFilePath": "%s/cred.json", "registryCacheDir": "%s/cache", "registryCacheSizeGB": 1}' "$tmp" "$tmp" >service.json
said "" - "$bin/overlaybd-merge" remote.json fetched --service_config_path service.json
"$ovbd" compare -q fetched out || fail "fetched it is something else"
[ -d cache/ovbd-cache-1 ] || fail "nothing was kept: $(ls)"
# applied to, over the network
mkdir over
"$bin/overlaybd-create" over/writable_data over/writable_index 0 >/dev/null
sed 's|"upper": {}|"upper": {"data": "over/writable_data", "index": "over/writable_index"}|' remote.json >over.json
echo more >more.txt
tar -cf more.tar more.txt
said "overlaybd-apply done" - "$bin/overlaybd-apply" more.tar over.json --service_config_path service.json
"$commit" over/writable_data over/writable_index over.commit -z >/dev/null 2>&1
"$ovbd" convert -q -O raw out over.commit over.raw
e2fsck -fn over.raw >fsck 2>&1 || fail "$(cat fsck)"
debugfs -R 'cat /more.txt' over.raw 2>/dev/null | cmp - more.txt || fail "/more.txt"
ok "read from there"

refused 77 "401" "$commit" --commit_sealed up/writable_data no -z --upload "$url" --cred_file_path wrong.json
grep -qx "failed to commit or upload" .stderr || fail "$(cat .stderr)"
config one.json "" "$tmp/s"
refused 69 "nowhere.json: No such file or directory" "$bin/overlaybd-merge" one.json no --upload "$url" --cred_file_path nowhere.json
grep -qx "failed to upload" .stderr || fail "$(cat .stderr)"
for bad in "$registry/v2/team/disk/blobs/uploads/" "http://$registry/v2/blobs/uploads/" "http://a@b/v2/c/blobs/uploads/" \
	"http://$registry/v2/team/disk/blobs/uploads/?x=1" "ftp://$registry/v2/team/disk/blobs/uploads/" "http://$registry/v2/Team/blobs/uploads/"; do
	refused 1 "an upload goes to http[s]://HOST/v2/REPOSITORY/blobs/uploads/" "$commit" --commit_sealed up/writable_data no --upload "$bad"
done
[ ! -e no ] || fail "no was left"
refused 2 "--upload is missing" "$commit" --commit_sealed up/writable_data no --cred_file_path cred.json
refused 2 "--upload_bs 0" "$commit" --commit_sealed up/writable_data no --upload "$url" --upload_bs 0
refused 2 "go together" "$commit" --commit_sealed up/writable_data no --upload "$url" --tls_key_path key
kill -KILL "$registry_pid"
wait "$registry_pid" 2>/dev/null || :
refused 74 "$registry" "$commit" --commit_sealed up/writable_data no -z --upload "$url" --cred_file_path cred.json
[ ! -e no ] || fail "no was left"
cat .stderr .out >>said.txt
no_secrets said.txt
ok "refused"

# a registry that wants to know us by TLS
command -v openssl >/dev/null || skip "no openssl"
make_ca
make_cert server
make_cert client
mkdir certs
cp ca.crt certs/
start_registry "  tls: {certificate: $tmp/server.crt, key: $tmp/server.key, clientcas: [$tmp/ca.crt]}"
url=https://$registry/v2/team/disk/blobs/uploads/
refused 74 "certificate" "$commit" --commit_sealed up/writable_data no -z --upload "$url" --tls_key_path client.key --tls_cert_path client.crt
digest=sha256:$(sha256sum s | cut -d' ' -f1)
said "$committed" "$digest" "$commit" --commit_sealed up/writable_data tls -z --upload "$url" --cert-dir certs \
	--tls_key_path client.key --tls_cert_path client.crt
in_registry tls
said "$committed" "$digest" "$commit" --commit_sealed -f up/writable_data tls -z --upload "$url" --tls-verify=false \
	--tls_key_path client.key --tls_cert_path client.crt
refused 74 "wants one" "$commit" --commit_sealed up/writable_data no -z --upload "$url" --cert-dir certs # who are we?
ok "by TLS"
