#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In registries: what is made refers to what it was made of, by the registry's account or by a tag, and is found by
# that; layers that a database knows are mounted from other repositories.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"
lib=$OVBD_SOURCE/tests/lib

for n in 1 2; do
	mkdir "d$n"
	seq "$n" 3000 >"d$n/file$n"
	tar -cf "$n.tar" --owner=0 --group=0 --mtime=@1500000000 -C "d$n" .
done
python3 "$lib/oci-image.py" in many --index --platform linux/amd64 1.tar 2.tar --platform linux/arm64 1.tar >/dev/null
python3 "$lib/oci-image.py" in two 1.tar 2.tar >/dev/null
python3 -c '
import json
index = json.load(open("in/index.json"))["manifests"][0]
top = json.load(open("in/blobs/" + index["digest"].replace(":", "/")))
print(index["digest"], *[m["digest"] for m in top["manifests"]])' >digests
read -r many amd64 arm64 <digests
type=application/vnd.containerd.overlaybd.native.v1+json
plain=--plain-http

get() {
	curl -sS "http://$1" -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
}
# refers HOST/REPOSITORY LIST DIGEST...: each of these has in that list an image of ours that names it
refers() {
	at=$1 list=$2
	shift 2
	for digest in "$@"; do
		case $list in
		tag) get "$at/manifests/sha256-${digest#sha256:}" >listed ;;
		account) get "$at/referrers/$digest" >listed ;;
		esac
		made=$(python3 -c '
import json, sys
print(*[m["digest"] for m in json.load(open("listed"))["manifests"] if m["artifactType"] == sys.argv[1]])' "$type") || fail "$at: $(cat listed)"
		[ -n "$made" ] || fail "$at: nothing refers to $digest: $(cat listed)"
		for image in $made; do
			get "$at/manifests/$image" >doc
			python3 -c '
import json, sys
assert json.load(open("doc"))["subject"]["digest"] == sys.argv[1]' "$digest" || fail "$at: $(cat doc)"
		done
	done
}

# --- Debian's registry keeps no account
start_registry ''
"$ovbd" convert -q $plain --referrer oci:in:many "docker://$registry/a:made"
refers "$registry/v2/a" tag "$many" "$amd64" "$arm64"
"$ovbd" convert -q $plain --referrer -c zstd oci:in:many "docker://$registry/a:zstd"
for digest in $many $amd64 $arm64; do
	get "$registry/v2/a/manifests/sha256-${digest#sha256:}" | grep -o '"artifactType"' | wc -l | grep -qx 2 || fail "one took the other's place"
done
: >registry.log
"$ovbd" convert -q $plain --referrer -c zstd oci:in:many "docker://$registry/a:zstd"
! grep '"PUT ' registry.log || fail "the same is put twice"
"$ovbd" convert $plain --skip-existing --referrer -c zstd oci:in:many "docker://$registry/a:zstd" 2>said
grep -q "nothing is done" said || fail "--skip-existing: $(cat said)"
# another tag, which says nothing: found by what they refer to
: >registry.log
"$ovbd" convert $plain oci:in:many "docker://$registry/a:plain" 2>said
grep -q "3 of 3 layers were there" said || fail "found by the tag: $(cat said)"
! grep '"PATCH ' registry.log || fail "layers are pushed again"
ok "a registry that keeps no account"

# --- one that does
mkfifo hold
exec 7<>hold
: >asked
python3 "$lib/referrers-registry.py" asked <hold >port 7>&- &
pids="$pids $!"
wait_for test -s port
host=127.0.0.1:$(cat port)
"$ovbd" convert -q $plain --referrer oci:in:many "docker://$host/a:made"
refers "$host/v2/a" account "$many" "$amd64" "$arm64"
! grep "PUT /v2/a/manifests/sha256-" asked || fail "a tag besides the account"
: >asked
"$ovbd" convert $plain oci:in:many "docker://$host/a:plain" 2>said
grep -q "3 of 3 layers were there" said || fail "found by the account: $(cat said)"
! grep PATCH asked || fail "layers are pushed again"
"$ovbd" convert -q $plain --referrer oci:in:many "docker://$host/forgetful:made"
refers "$host/v2/forgetful" tag "$many" "$amd64" "$arm64"
ok "a registry that keeps account"

# --- a database: the layers are in another repository of the registry, and mounted
if ! "$ovbd" convert -q --dry-run --dedup-db "sqlite:$tmp/db" oci:in:two oci:x:t >said 2>&1; then
	grep -q "built without SQLite" said || fail "$(cat said)"
	echo "this build has no SQLite"
	exit 0
fi
for at in "$host" "$registry"; do
	rm -f db*
	"$ovbd" convert -q $plain --dedup-db "sqlite:$tmp/db" oci:in:many "docker://$at/from:t"
	: >asked
	: >registry.log
	"$ovbd" convert $plain --dedup-db "sqlite:$tmp/db" --digestfile mounted oci:in:two "docker://$at/to:t" 2>said
	grep -q "2 of 2 layers were there" said || fail "$at: $(cat said)"
	[ "$(cat asked registry.log | grep -c 'POST /v2/to/blobs/uploads/.*mount=.* 201')" = 2 ] || fail "$at: not mounted: $(cat asked registry.log)"
	"$ovbd" check -q --plain-http "docker://$at/to:t" || fail "$at: what was mounted"
	"$ovbd" convert -q --digestfile wanted oci:in:two oci:alone:t
	cmp mounted wanted || fail "another digest"
done
# from a registry's repository nothing can be had for a layout, nor the other way; from a layout it is pushed
"$ovbd" convert --dedup-db "sqlite:$tmp/db" oci:in:two oci:layout:t 2>said
grep -q "0 of 2 layers were there" said || fail "$(cat said)"
"$ovbd" convert $plain --dedup-db "sqlite:$tmp/db" oci:in:two "docker://$host/pushed:t" 2>said
grep -q "2 of 2 layers were there" said || fail "from a layout: $(cat said)"
"$ovbd" check -q --plain-http "docker://$host/pushed:t" || fail "what was pushed from a layout"
ok "a database"
