#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An image of tars (plain, gzip, zstd) becomes one of blocks: each stack of its layers is the tree that GNU tar
# makes, all else of the image stays; what is there already is not made again; skopeo takes it.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"
need_root

python3 "$lib/tar_torture.py" .
gzip -k 1.tar
zstd -q -k 2.tar
python3 "$lib/oci-image.py" in three 0.tar 1.tar.gz 2.tar.zst >digest
python3 "$lib/oci-image.py" in two 0.tar 1.tar.gz >/dev/null

"$ovbd" convert --digestfile made --annotation org.example.by=us --annotation a=b=c oci:in:three oci:out:three 2>said
grep -q "oci:out:three: sha256:.*; 1 image, 0 of 3 layers were there" said || fail "$(cat said)"
"$ovbd" check -q oci:out:three || fail "check"
python3 "$lib/oci_read.py" out three >got || fail "what is written"
python3 - "$(cat made)" <<'END' || fail "what is written"
import hashlib, json, sys
now = json.load(open("got"))
index = json.load(open("in/index.json"))["manifests"]
blob = lambda d: json.load(open("in/blobs/" + d["digest"].replace(":", "/")))
was = blob(index[0])
old, new = blob(was["config"]), now["config"]
assert now["entry"]["digest"] == sys.argv[1], sys.argv
assert list(old) == list(new)
assert {**old, "rootfs": 0} == {**new, "rootfs": 0}
m = now["manifest"]
assert m["annotations"] == {"org.example.image": "amd64", "org.example.by": "us", "a": "b=c"}
assert m["x-unknown"] is True and list(m) == list(was)
chain = None
for i, (a, b) in enumerate(zip(was["layers"], m["layers"])):
    assert b["x-unknown"] == a["x-unknown"]
    notes = b["annotations"]
    assert notes["org.example.layer"] == a["annotations"]["org.example.layer"]
    assert not any("stargz" in k for k in notes), notes
    diff = old["rootfs"]["diff_ids"][i]
    chain = "sha256:" + hashlib.sha256(f"{chain} {diff}".encode()).hexdigest() if chain else diff
    assert notes["io.ovbd.convert.chain-id"] == chain
    print(b["digest"][7:], chain[7:].upper(), file=open("layers", "a"))
END
ok "documents"

# Its layers, one by one
set --
mkdir want
while read -r digest chain; do
	n=$#
	set -- "$@" "out/blobs/sha256/$digest"
	parent=${uuid:-00000000-0000-0000-0000-000000000000}
	uuid=$(echo "$chain" | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/')
	info=$("$ovbd" info "out/blobs/sha256/$digest")
	echo "$info" | grep -q "^UUID: *$uuid$" || fail "UUID of layer $n: $info"
	echo "$info" | grep -q "^parent UUID: *$parent$" || fail "parent UUID of layer $n: $info"
	python3 "$lib/tar_over.py" "$n.tar" want 2>tar.err || fail "tar: $(cat tar.err)"
	mounted have "$@"
	python3 "$lib/tree_walk.py" want named >want.txt
	python3 "$lib/tree_walk.py" have named >have.txt
	umount have
	cmp want.txt have.txt || fail "layer $n is another tree: $(diff want.txt have.txt | cut -c1-200 | head -n 20)"
	ok "layer $n"
done <layers
"$ovbd" compare -q "$@" oci:out:three || fail "the image as a name"
tar -xOf "$1" overlaybd.commit >inner
"$ovbd" check -q inner || fail "what is in the tar"

# --- what is there is not made again
"$ovbd" convert oci:in:three oci:out:again 2>said
grep -q "3 of 3 layers were there" said || fail "$(cat said)"
"$ovbd" convert oci:in:two oci:two:t 2>said
"$ovbd" convert -v oci:in:three oci:two:t 2>said
grep -q "2 of 3 layers were there" said || fail "$(cat said)"
[ "$(python3 "$lib/oci_read.py" two t | python3 -c 'import json, sys; print([l["digest"] for l in json.load(sys.stdin)["manifest"]["layers"]])')" = \
	"$(python3 -c 'import json; print([l["digest"] for l in json.load(open("got"))["manifest"]["layers"]])')" ] ||
	fail "another image over layers that were there"
"$ovbd" convert --fs-size 1G oci:in:three oci:out:small 2>said
grep -q "0 of 3 layers were there" said || fail "$(cat said)"
"$ovbd" info oci:out:small | grep -q "1 GiB" || fail "--fs-size"
"$ovbd" convert -c zstd --block-size 32K oci:in:three oci:out:zstd 2>said
grep -q "0 of 3 layers were there" said || fail "$(cat said)"
"$ovbd" compare -q oci:out:three oci:out:zstd || fail "zstd"
"$ovbd" convert -q -c none oci:in:three oci:out:none
"$ovbd" compare -q oci:out:three oci:out:none || fail "none"
cp -r out damaged
printf x | dd of="damaged/${2#out/}" bs=1 seek=9000 conv=notrunc status=none
"$ovbd" convert oci:in:three oci:damaged:three 2>said
grep -q "it is made again" said || fail "$(cat said)"
grep -q "1 of 3 layers were there" said || fail "$(cat said)"
cmp "damaged/${2#out/}" "$2" || fail "it is not made again"
ok "layers that are there"

if command -v skopeo >/dev/null; then
	skopeo inspect oci:out:three >inspected
	grep -q "$(sed -n '1s/ .*//p' layers)" inspected || fail "skopeo inspect: $(cat inspected)"
	skopeo copy -q oci:out:three dir:copied || fail "skopeo copy"
	cmp "copied/$(sed -n '3s/ .*//p' layers)" "$3" || fail "skopeo copy"
	ok "skopeo"
else
	echo "skopeo is not installed: not asked"
fi
