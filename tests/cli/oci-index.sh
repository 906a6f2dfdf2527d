#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Indexes: all platforms or some, nested ones, attestations; what would be done; names in the target; several at once.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib

# Small layers
for n in 1 2 3; do
	mkdir "d$n"
	seq "$n" 3000 >"d$n/file$n"
	tar -cf "$n.tar" --owner=0 --group=0 --mtime=@1500000000 -C "d$n" .
done
gzip -n -k 2.tar
python3 "$lib/oci-image.py" in many --attest --platform linux/amd64 1.tar 2.tar.gz --platform linux/arm64/v8 1.tar \
	--platform linux/arm/v7 1.tar 3.tar >/dev/null
python3 "$lib/oci-image.py" in nested --nest --index --attest --platform linux/amd64 1.tar >/dev/null
python3 "$lib/oci-image.py" in single --platform linux/s390x 3.tar >/dev/null

# What is true of the index: read NAME TAG EXPRESSION, of which j is the index
index_is() {
	python3 "$lib/oci_read.py" "$1" "$2" >got || fail "$1:$2"
	python3 -c '
import json, sys
j = json.load(open("got"))["index"]
platforms = ["/".join(m["platform"].values()) for m in j["manifests"]]
assert eval(sys.argv[1]), j' "$3" || fail "$1:$2: $3"
}

# --- platforms, and what two images share
"$ovbd" convert oci:in:many oci:out:many 2>said
grep -q "3 attestations of the source are not in the target (--attestations)" said || fail "$(cat said)"
grep -q "3 images, 2 of 5 layers were there" said || fail "$(cat said)"
index_is out many 'platforms == ["amd64/linux", "arm64/linux/v8", "arm/linux/v7"] and j["annotations"] == {"org.example.index": "yes"}'
"$ovbd" convert -q --platform linux/arm64 --platform linux/amd64 oci:in:many oci:some:t
index_is some t 'platforms == ["amd64/linux", "arm64/linux/v8"]'
[ "$(find some/blobs/sha256 -type f | wc -l)" = 7 ] || fail "blobs: $(ls -l some/blobs/sha256)"
"$ovbd" convert -q --platform linux/arm/v7 --platform linux/s390x oci:in:single oci:some:single
expect 69 "the image is for linux/s390x (--platform)" "$ovbd" convert --platform linux/amd64 oci:in:single oci:some:x
expect 69 "for the platforms that are asked for" "$ovbd" convert --platform linux/riscv64 oci:in:many oci:some:x
expect 1 "must be OS/ARCH" "$ovbd" convert --platform linux oci:in:many oci:some:x
"$ovbd" convert -q oci:in:nested oci:out:nested
index_is out nested 'platforms == ["amd64/linux"]'
ok "platforms"

# --- attestations: kept, and found by the digests of what the images have become
"$ovbd" convert --attestations oci:in:many oci:kept:t 2>said
grep -q "3 attestations are kept" said || fail "$(cat said)"
index_is kept t 'len(j["manifests"]) == 6 and [m["annotations"]["vnd.docker.reference.digest"] for m in j["manifests"][3:]] == [m["digest"] for m in j["manifests"][:3]]'
python3 - <<'END' || fail "the attestation itself"
import json
j = json.load(open("got"))["index"]
m = json.load(open("kept/blobs/" + j["manifests"][3]["digest"].replace(":", "/")))
for d in [m["config"], *m["layers"]]:
    name = d["digest"].replace(":", "/")
    assert open("kept/blobs/" + name).read() == open("in/blobs/" + name).read()
END
"$ovbd" convert --attestations --platform linux/amd64 oci:in:many oci:kept:one 2>said
grep -q "2 attestations of the source are not in the target" said || fail "$(cat said)"
index_is kept one 'len(j["manifests"]) == 2'
ok "attestations"

# --- what would be done
"$ovbd" convert --dry-run oci:in:many oci:none:t >said 2>/dev/null
[ ! -e none ] || fail "--dry-run makes something"
grep -q "^linux/arm/v7: layer 2 of 2: sha256:.*: would be converted" said || fail "$(cat said)"
grep -q "^oci:none:t: 3 images; 2 of 5 layers are there" said || fail "$(cat said)"
find out -type f -exec stat -c '%n %Y %s' {} + | sort >before
"$ovbd" convert --dry-run --output=json oci:in:many oci:out:t >said
python3 -c '
import json
j = json.load(open("said"))
assert j["schema"] == "ovbd.convert-image.v1" and j["dry-run"] and j["layers"] == j["layers-there"] == 5
assert [i["platform"] for i in j["images"]] == ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"]
assert all(l["there"] for i in j["images"] for l in i["layers"])' || fail "$(cat said)"
find out -type f -exec stat -c '%n %Y %s' {} + | sort | cmp - before || fail "--dry-run writes"
"$ovbd" convert -q --output=json oci:in:single oci:out:single >said
python3 -c '
import json
j = json.load(open("said"))
names = json.load(open("out/index.json"))["manifests"]
assert j["digest"] in [m["digest"] for m in names] and not j["dry-run"]' || fail "$(cat said)"
ok "--dry-run and --output=json"

# --- names: a tag moves, in its place; others stay
"$ovbd" convert -q oci:in:single oci:names:a
"$ovbd" convert -q oci:in:single oci:names:b
"$ovbd" convert -q oci:in:many oci:names:a
"$ovbd" convert -q oci:in:single oci:names
"$ovbd" convert -q oci:in:single oci:names
python3 - <<'END' || fail "names: $(cat names/index.json)"
import json
names = json.load(open("names/index.json"))["manifests"]
assert [m.get("annotations", {}).get("org.opencontainers.image.ref.name") for m in names] == ["a", "b", None], names
assert names[1]["digest"] == names[2]["digest"] != names[0]["digest"]
END
digest=$(grep -o 'sha256:[0-9a-f]*' names/index.json | tail -n 1)
"$ovbd" check -q "oci:names@$digest" || fail "by its digest"
python3 "$lib/oci-image.py" only x 1.tar >/dev/null
"$ovbd" convert -q oci:only oci:names:only || fail "the only image of a layout"
ok "names"

# --- several at once, to one layout
for n in 1 2 3 4 5 6; do
	"$ovbd" convert -q oci:in:many "oci:once:t$n" &
	pids="$pids $!"
done
for pid in $pids; do
	wait "$pid" || fail "one of several at once"
done
pids=
for n in 1 2 3 4 5 6; do
	python3 "$lib/oci_read.py" once "t$n" >got || fail "t$n"
done
[ -z "$(find once -name '.*')" ] || fail "left behind: $(find once)"
ok "several at once"
