#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images converted from one repository of a registry to another, which wants tokens: by whom, what is sent, what is
# not sent a second time, what others make of it, and what becomes of it when something is wrong.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"
lib=$OVBD_SOURCE/tests/lib

start_tokens --life 300
start_registry "auth:" "  token: {realm: $token_url, service: tests, issuer: tests, rootcertbundle: $tmp/signer.crt}"
at=docker://$registry
auth=--creds=anna:secret
printf '{"auths": {"%s": {"auth": "%s"}}}' "$registry" "$(printf anna:secret | base64)" >auth.json

mkdir d
seq 1 20000 >d/file
tar -cf 1.tar --owner=0 --group=0 -C d .
gzip -n 1.tar
head -c 12000000 /dev/urandom >d/noise
tar -c --owner=0 --group=0 -C d . | gzip -n1 >2.tar.gz
python3 "$lib/oci-image.py" src t 1.tar.gz 2.tar.gz >/dev/null
skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false --dest-creds anna:secret oci:src:t "$at/a/src:t"

# requests METHOD: how many there were, since the log was emptied
requests() {
	grep -c "\"$1 " registry.log || :
}

# --- registry to registry, and the same as by layouts
"$ovbd" convert -q oci:src:t oci:out:t
wanted=$(python3 -c 'import json; print(json.load(open("out/index.json"))["manifests"][0]["digest"])')
mkdir spool
TMPDIR=$tmp/spool "$ovbd" convert -q "$auth" --digestfile digest "$at/a/src:t" "$at/a/dst:t"
[ "$(cat digest)" = "$wanted" ] || fail "$(cat digest), not $wanted"
skopeo inspect --raw --tls-verify=false "$auth" "$at/a/dst:t" | sha256sum | grep -q "^${wanted#sha256:} " ||
	fail "skopeo reads another manifest"
skopeo --insecure-policy copy -q --preserve-digests --src-tls-verify=false --src-creds anna:secret "$at/a/dst:t" oci:copy:t
for blob in copy/blobs/sha256/*; do
	cmp "$blob" "out/blobs/sha256/${blob##*/}"
done
"$ovbd" compare -q "$auth" "$at/a/dst:t" oci:out:t
grep -q "^basic anna tests repository:a/dst:pull,push token" tokens || fail "scopes: $(cat tokens)"
[ -z "$(find spool -mindepth 1)" ] || fail "left behind: $(find spool)"
ok "registry to registry"

# --- once more: nothing is sent
: >registry.log
"$ovbd" convert --authfile auth.json --output=json "$at/a/src:t" "$at/a/dst:t" >j
holds j ovbd.convert-image.v1 "j['layers-there'] == 2" "j['digest'] == '$wanted'"
[ "$(requests POST)$(requests PATCH)$(requests PUT)" = 000 ] || fail "sent again: $(cat registry.log)"
! grep "GET /v2/a/src/blobs/" registry.log | grep -v " 200 \| 401 " || fail "read again: $(cat registry.log)"
# as another tag of the same repository: the layers are there
: >registry.log
"$ovbd" convert -q "$auth" "$at/a/src:t" "$at/a/dst:u"
[ "$(requests PATCH)" = 0 ] || fail "sent again: $(cat registry.log)"
[ "$(skopeo inspect --raw --tls-verify=false "$auth" "$at/a/dst:u" | sha256sum)" = "${wanted#sha256:}  -" ] || fail "tag u"
ok "a second run"

# --- registries and layouts
"$ovbd" convert -q "$auth" "$at/a/src:t" oci:fromreg:t
grep -q "$wanted" fromreg/index.json || fail "registry to layout: $(cat fromreg/index.json)"
"$ovbd" convert -q "$auth" oci:src:t "$at/b/dst:t"
[ "$(skopeo inspect --raw --tls-verify=false "$auth" "$at/b/dst:t" | sha256sum)" = "${wanted#sha256:}  -" ] || fail "b/dst"
digest=$(skopeo inspect --raw --tls-verify=false "$auth" "$at/a/src:t" | sha256sum | cut -c1-64)
"$ovbd" convert -q "$auth" "$at/a/src@sha256:$digest" oci:fromdigest:t
grep -q "$wanted" fromdigest/index.json || fail "by digest: $(cat fromdigest/index.json)"
ok "registries and layouts"

# --- by nobody, who has nothing but a tmpfs
if [ "$(id -u)" = 0 ]; then
	chmod 755 .
	cp "$ovbd" for-all # where it was built may be closed to others
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m sh -c '
		set -e
		mount --bind / /mnt
		mkdir -p "/mnt$3"
		mount --bind "$3" "/mnt$3"
		mount -o remount,bind,ro "/mnt$3"
		mount -t tmpfs -o mode=1777 tmpfs "/mnt$3/spool"
		mount -t proc proc /mnt/proc
		for d in etc var run home root; do
			mount -t tmpfs -o ro tmpfs /mnt/$d
		done
		mount -o remount,bind,ro /mnt
		chroot /mnt setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
			env -i TMPDIR="$3/spool" "$1" convert -q --creds anna:secret "$2/a/src:t" "$2/nobody/dst:t"
		[ -z "$(find "/mnt$3/spool" -mindepth 1)" ]
		' sh "$tmp/for-all" "$at" "$tmp" || fail "as nobody"
	[ "$(skopeo inspect --raw --tls-verify=false "$auth" "$at/nobody/dst:t" | sha256sum)" = "${wanted#sha256:}  -" ] || fail "nobody/dst"
	ok "by nobody"
fi

# --- dry run
: >registry.log
"$ovbd" convert "$auth" --dry-run "$at/a/src:t" "$at/c/dst:t" >said
grep -q "1 image; 0 of 2 layers are there" said || fail "$(cat said)"
"$ovbd" convert "$auth" --dry-run "$at/a/src:t" "$at/a/dst:t" >said
grep -q "1 image; 2 of 2 layers are there" said || fail "$(cat said)"
[ "$(requests POST)$(requests PATCH)$(requests PUT)" = 000 ] || fail "sent: $(cat registry.log)"
ok "dry run"

# --- who may not
expect 77 "401" "$ovbd" convert "$at/a/src:t" "$at/a/none:t"
expect 77 "401" "$ovbd" convert --src-creds anna:secret --dest-creds anna:wrong-ZYYYZ "$at/a/src:t" "$at/a/none:t"
expect 77 "401" "$ovbd" convert --src-creds anna:wrong-ZYYYZ --dest-creds anna:secret "$at/a/src:t" "$at/a/none:t"
"$ovbd" convert -q --src-creds anna:secret --dest-authfile auth.json "$at/a/src:t" "$at/a/dst:t"
"$ovbd" convert -q --dest-creds anna:secret oci:src:t "$at/a/dst:t"
expect 77 "401" "$ovbd" convert --src-creds anna:secret oci:src:t "$at/a/none:t" --dest-creds otto:ZYYYZ
expect 2 "it is USER or USER:PASSWORD" "$ovbd" convert --dest-creds : oci:src:t "$at/a/none:t"
expect 2 "are for images" "$ovbd" convert --src-creds x:y d/file out.ovbd
no_secrets said
ok "who may not"

# --- what is not there
expect 69 "404" "$ovbd" convert "$auth" "$at/a/src:none" "$at/a/none:t"
expect 69 "404" "$ovbd" convert "$auth" "$at/none:t" "$at/a/none:t"
expect 1 "the target has the digest that comes out" "$ovbd" convert "$auth" "$at/a/src:t" "$at/a/dst@$wanted"
expect 1 "is no name of an image" "$ovbd" convert "$auth" "$at/a/src:t" docker://A
expect 74 "Connection refused" "$ovbd" convert -q oci:src:t docker://127.0.0.1:1/x:t
: >registry.log
expect 69 "a temporary file in" env TMPDIR="$tmp/none" "$ovbd" convert "$auth" "$at/a/src:t" "$at/c/dst:t"
[ "$(requests PUT)" = 0 ] || fail "put: $(cat registry.log)"
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=4m tmpfs full 2>/dev/null; then
	expect 1 "No space left on device" env TMPDIR="$tmp/full" "$ovbd" convert "$auth" "$at/a/src:t" "$at/c/dst:t"
	[ -z "$(find full -mindepth 1)" ] || fail "a full disk: $(find full)"
	umount full
fi
expect 69 "404" "$ovbd" info "$auth" "$at/c/dst:t"
ok "what is not there"

# --- an interrupt, and a death, in the middle
for signal in term kill; do
	: >registry.log
	mkdir -p spool
	TMPDIR=$tmp/spool "$ovbd" convert -q "$auth" -j1 -c zstd:19 "$at/a/src:t" "$at/$signal/dst:t" &
	pid=$!
	wait_for grep -q "PUT /v2/$signal/.* 201 " registry.log # the first layer is there
	kill -s $signal $pid || fail "it was done already"
	s=0
	wait $pid || s=$?
	[ $s = 143 ] || [ $s = 137 ] || fail "after $signal: $s"
	! grep "PUT /v2/$signal/.*/manifests" registry.log || fail "it has a name"
	[ -z "$(find spool -mindepth 1)" ] || fail "left behind: $(find spool)"
done
"$ovbd" convert -q "$auth" -c zstd:19 "$at/a/src:t" "$at/kill/dst:t"
[ "$(grep -c "PUT /v2/kill/dst/blobs/.* 201 " registry.log)" = 3 ] || fail "the first layer twice: $(cat registry.log)"
"$ovbd" check -q "$auth" "$at/kill/dst:t"
ok "an interrupt and a death"
