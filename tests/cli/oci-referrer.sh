#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --referrer: what is made names what it was made of, and is found by its digest: by the tag that layouts have for it.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib

for n in 1 2; do
	mkdir "d$n"
	seq "$n" 3000 >"d$n/file$n"
	tar -cf "$n.tar" --owner=0 --group=0 --mtime=@1500000000 -C "d$n" .
done
python3 "$lib/oci-image.py" in many --index --attest --platform linux/amd64 1.tar 2.tar --platform linux/arm64 1.tar >/dev/null
python3 "$lib/oci-image.py" in one 1.tar >/dev/null

"$ovbd" convert -q --referrer --attestations --annotation org.example=x oci:in:many oci:out:many
cat >walk.py <<'END'
# what refers to each of the source's manifests, in the layout; and that it is so, and no more
import json, sys
def blob(root, d):
    return json.load(open(f"{root}/blobs/" + d["digest"].replace(":", "/")))
tags = {d.get("annotations", {}).get("org.opencontainers.image.ref.name"): d for d in json.load(open("out/index.json"))["manifests"]}
src = {d["annotations"]["org.opencontainers.image.ref.name"]: d for d in json.load(open("in/index.json"))["manifests"]}["many"]
def check(was):
    now = blob("out", tags["sha256-" + was["digest"][7:]])
    assert now["mediaType"] == "application/vnd.oci.image.index.v1+json" and now["schemaVersion"] == 2
    found = [d for d in now["manifests"] if d["artifactType"] == "application/vnd.containerd.overlaybd.native.v1+json"]
    for d in found:
        doc = blob("out", d)
        assert doc["subject"] == {k: was[k] for k in ("mediaType", "digest", "size")}, doc["subject"]
        assert doc["artifactType"] == d["artifactType"] and doc["mediaType"] == d["mediaType"]
        assert d.get("annotations") == doc.get("annotations"), d
    return [d["digest"] for d in found], now["manifests"]
top, all = check(src)
assert tags["many"]["digest"] in top
assert all[0]["annotations"]["org.example"] == "x"
images = [m for m in blob("in", src)["manifests"] if "annotations" not in m]
assert len(images) == 2
named = [m["digest"] for m in blob("out", tags["many"])["manifests"]]
for m in images:
    digests, _ = check(m)
    assert set(digests) & set(named), (digests, named)
print(len(top), sum(len(check(m)[0]) for m in images), len(tags))
END
[ "$(python3 walk.py)" = "1 2 4" ] || fail "what refers: $(python3 walk.py)"
ok "what refers to what"

# --- another conversion is added; the same is not added twice; what others have said stays
"$ovbd" convert -q --referrer --attestations --annotation org.example=x oci:in:many oci:out:many
[ "$(python3 walk.py)" = "1 2 4" ] || fail "the same twice: $(python3 walk.py)"
python3 - <<'END'
import hashlib, json
index = json.load(open("out/index.json"))
for d in index["manifests"]:
    if d["annotations"]["org.opencontainers.image.ref.name"].startswith("sha256-"):
        doc = json.load(open("out/blobs/" + d["digest"].replace(":", "/")))
        doc["manifests"].append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 7, "artifactType": "sbom",
                                 "digest": "sha256:" + "7" * 64})
        data = json.dumps(doc).encode()
        d["digest"], d["size"] = "sha256:" + hashlib.sha256(data).hexdigest(), len(data)
        open("out/blobs/" + d["digest"].replace(":", "/"), "wb").write(data)
json.dump(index, open("out/index.json", "w"))
END
"$ovbd" convert -q --referrer --attestations -c zstd --annotation org.example=x oci:in:many oci:out:zstd
python3 - <<'END' || fail "what others have said is gone: $(cat out/index.json)"
import json
tags = [d for d in json.load(open("out/index.json"))["manifests"] if d["annotations"]["org.opencontainers.image.ref.name"].startswith("sha256-")]
assert len(tags) == 3
for d in tags:
    doc = json.load(open("out/blobs/" + d["digest"].replace(":", "/")))
    assert [m["artifactType"] == "sbom" for m in doc["manifests"]] == [False, True, False], doc
END
ok "several refer to one"

# --- images are found by that, if no other name has them; and such tags are no images of their own
python3 - <<'END'
import json
index = json.load(open("out/index.json"))
index["manifests"] = [d for d in index["manifests"] if d["annotations"]["org.opencontainers.image.ref.name"].startswith("sha256-")]
json.dump(index, open("out/index.json", "w"))
END
"$ovbd" convert oci:in:many oci:out:plain 2>said
grep -q "3 of 3 layers were there" said || fail "found by what they refer to: $(cat said)"
"$ovbd" check -q --platform linux/amd64 oci:out || fail "the only image"
expect 69 "there is no such image; there are: plain" "$ovbd" check oci:out:x
for n in 1 2 3 4 5 6; do
	"$ovbd" convert -q --referrer --annotation "n=$n" oci:in:one "oci:once:t$n" &
	pids="$pids $!"
done
for pid in $pids; do
	wait "$pid" || fail "one of several at once"
done
pids=
python3 - <<'END' || fail "several at once: $(cat once/index.json)"
import json
tags = {d["annotations"]["org.opencontainers.image.ref.name"]: d for d in json.load(open("once/index.json"))["manifests"]}
assert len(tags) == 7
one, = [d for tag, d in tags.items() if tag.startswith("sha256-")]
assert len(json.load(open("once/blobs/" + one["digest"].replace(":", "/")))["manifests"]) == 6
END
ok "found by what they refer to"

"$ovbd" convert -q --referrer oci:in:one oci:skip:t
"$ovbd" convert --skip-existing --referrer oci:in:one oci:skip:t 2>said
grep -q "nothing is done" said || fail "--skip-existing: $(cat said)"
"$ovbd" convert --skip-existing oci:in:one oci:skip:t 2>said
! grep -q "nothing is done" said || fail "--skip-existing, without --referrer: $(cat said)"
"$ovbd" convert -q --referrer --dry-run oci:in:one oci:dry:t >/dev/null
[ ! -e dry ] || fail "--dry-run"
expect 1 "dir:d: has no place for what refers to another image (--referrer)" "$ovbd" convert --referrer oci:in:one dir:d
expect 1 "has no place for what refers to another image" "$ovbd" convert --referrer oci:in:one oci-archive:a.tar:t
[ ! -e a.tar ] || fail "an archive was made"
[ ! -e d ] || fail "a directory was made"
expect 2 "--referrer" "$ovbd" convert --referrer 1.tar out.ovbd
ok "with others"
