#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images that are damaged, incomplete or none: each is refused with a sentence and an exit status of its own, and
# the target has no name for it.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib

mkdir d
seq 1 5000 >d/file
tar -cf 1.tar --owner=0 --group=0 -C d .
gzip -n -k 1.tar
head -c 700 1.tar >short.tar
seq 1 500 >no.tar
image() {
	python3 "$lib/oci-image.py" "$@" >/dev/null
}
image good t 1.tar.gz

# blob_of FILE EXPRESSION: the path of the blob of a descriptor; m is the manifest
blob_of() {
	python3 -c '
import json, sys
i = json.load(open(sys.argv[1] + "/index.json"))
m = json.load(open(sys.argv[1] + "/blobs/" + i["manifests"][0]["digest"].replace(":", "/")))
print(sys.argv[1] + "/blobs/" + eval(sys.argv[2])["digest"].replace(":", "/"))' "$@"
}

# refused STATUS WORDS [OPTION...] SRC
refused() {
	r_status=$1 r_words=$2
	shift 2
	expect "$r_status" "$r_words" "$ovbd" convert "$@" oci:out:t
	[ ! -e out/index.json ] || fail "it has a name: $(cat out/index.json)"
	rm -rf out
}
copy() {
	rm -rf bad
	cp -r good bad
}

# --- blobs
copy
printf x | dd of="$(blob_of bad 'm["layers"][0]')" bs=1 seek=200 conv=notrunc status=none
refused 65 "linux/amd64: layer 1 of 1 (sha256:" oci:bad:t
copy
printf x | dd of="$(blob_of bad 'm["layers"][0]')" bs=1 seek=4 conv=notrunc status=none # the time in a gzip header
refused 65 "is damaged: its digest is sha256:" oci:bad:t
copy
truncate -s -1 "$(blob_of bad 'm["layers"][0]')"
refused 65 "bytes, not" oci:bad:t
copy
rm "$(blob_of bad 'm["layers"][0]')"
refused 69 "No such file or directory" oci:bad:t
copy
sed -i s/Env/Enw/ "$(blob_of bad 'm["config"]')"
refused 65 "is damaged: its digest is sha256:" oci:bad:t
copy
rm "$(blob_of bad 'm["config"]')"
refused 69 "No such file or directory" oci:bad:t
copy
sed -i s/true/null/ "$(blob_of bad 'i["manifests"][0]')"
refused 65 "is damaged: its digest is sha256:" oci:bad:t
rm -rf bad
image bad t --diff-id "sha256:$(printf %064d 7)" 1.tar.gz
refused 65 "as the config says" oci:bad:t
rm -rf bad
image bad t --diff-id "md5:7" 1.tar.gz
refused 65 "diff_ids[0] is no digest" oci:bad:t

# --- tars
rm -rf bad
image bad t short.tar
refused 65 "layer 1 of 1" oci:bad:t
rm -rf bad
image bad t no.tar
refused 65 "layer 1 of 1" oci:bad:t
head -c 2000000 /dev/urandom >d/noise
tar -cf noise.tar -C d .
rm -rf bad
image bad t noise.tar
refused 1 "layer 1 of 1" --fs-size 1M oci:bad:t

# --- documents
# change NAME: bad's manifest is changed by the Python statement, m being it, and named again
change() {
	copy
	python3 - "$1" <<'END'
import hashlib, json, os, sys
i = json.load(open("bad/index.json"))
d = i["manifests"][0]
m = json.load(open("bad/blobs/" + d["digest"].replace(":", "/")))
exec(sys.argv[1])
data = m if isinstance(m, bytes) else json.dumps(m).encode()
d["digest"] = "sha256:" + hashlib.sha256(data).hexdigest()
d["size"] = len(data)
open("bad/blobs/" + d["digest"].replace(":", "/"), "wb").write(data)
json.dump(i, open("bad/index.json", "w"))
END
}
change 'm = b"{\"layers\": [}"'
refused 65 "is no JSON: line 1" oci:bad:t
change 'm = b"[]"'
refused 65 "is no object" oci:bad:t
change 'm["manifests"] = []'
refused 65 "is both an index and an image" oci:bad:t
change 'del m["layers"]'
refused 65 "has no array layers" oci:bad:t
change 'm["layers"] = []'
refused 69 "the image has no layers" oci:bad:t
change 'm["layers"] *= 2'
refused 65 "the config has 1 diff_ids, the manifest 2 layers" oci:bad:t
change 'm["layers"] *= 256'
refused 1 "the image has 256 layers; a stack has at most 255" oci:bad:t
change 'm["layers"][0]["digest"] = "sha256:../../../../etc/passwd"'
refused 65 "layer 1 of 1: has no digest" oci:bad:t
change 'm["layers"][0]["size"] = -1'
refused 65 "layer 1 of 1: has no size, or a wrong one" oci:bad:t
change 'm["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"'
refused 69 "is no layer of files, but application/vnd.oci.image.layer.v1.tar+gzip+encrypted" oci:bad:t
change 'm["layers"][0]["mediaType"] = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"'
refused 69 "is no layer of files" oci:bad:t
change 'm["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"'
refused 69 "is no image of a container: its config is application/vnd.cncf.helm.config.v1+json" oci:bad:t
change 'm["schemaVersion"] = 1'
refused 69 "a manifest of version 1" oci:bad:t
change 'd["mediaType"] = "application/vnd.oci.image.index.v1+json"'
refused 65 "is neither an index nor an image, or not what its media type says" oci:bad:t
change 'd["mediaType"] = "text/plain"'
refused 69 "is no image, but text/plain" oci:bad:t
change 'm = {"schemaVersion": 2, "manifests": []}; d["mediaType"] = "application/vnd.oci.image.index.v1+json"'
refused 69 "there is no image in it" oci:bad:t

# --- layouts and names
refused 69 "is no OCI image layout" oci:none:t
refused 69 "is no OCI image layout" oci:1.tar:t
refused 69 "there is no such image; there are: t" oci:good:u
refused 69 "there is no such image" "oci:good@sha256:$(printf %064d 7)"
image good u 1.tar
refused 1 "there are 2 images: one must be named" oci:good
copy
echo '{"imageLayoutVersion": "2.0.0"}' >bad/oci-layout
refused 69 "its version is '2.0.0'" oci:bad:t
copy
echo '{"manifests": 7}' >bad/index.json
refused 65 "has no array manifests" oci:bad:t
expect 1 "is no digest" "$ovbd" convert "oci:good@sha256:7" oci:out
expect 1 "the tag is empty" "$ovbd" convert oci:good: oci:out
expect 1 "has both a tag and a digest" "$ovbd" convert "oci:good:t@sha256:$(printf %064d 7)" oci:out
expect 1 "the target has the digest that comes out" "$ovbd" convert oci:good:t "oci:out@sha256:$(printf %064d 7)"
expect 2 "SRC is the name of one, as oci:DIR[:TAG]" "$ovbd" convert 1.tar oci:out:t
expect 2 "DST is missing" "$ovbd" convert oci:out:t
expect 2 "an image takes -c" "$ovbd" convert --tar oci:good:t oci:out:t
expect 2 "an image takes -c" "$ovbd" convert -O raw oci:good:t oci:out:t
expect 2 "DST is the name of one, as oci:DIR[:TAG]" "$ovbd" convert --dry-run 1.tar out
expect 2 "it is KEY=VALUE" "$ovbd" convert --annotation x oci:good:t oci:out:t
expect 2 "it is a multiple of 4K" "$ovbd" convert --fs-size 7 oci:good:t oci:out:t
[ ! -e out ] || fail "something was made: $(find out)"

# --- targets
echo file >file
expect 1 "file" "$ovbd" convert oci:good:t oci:file:t
mkdir -p other
echo '{"imageLayoutVersion": "2.0.0"}' >other/oci-layout
expect 1 "its version is '2.0.0'" "$ovbd" convert oci:good:t oci:other:t
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=64k tmpfs full 2>/dev/null; then
	head -c 300000 /dev/urandom >d/noise
	tar -cf noise.tar -C d .
	image noise t noise.tar
	expect 1 "No space left on device" "$ovbd" convert oci:noise:t oci:full:t
	[ ! -e full/index.json ] || fail "a full disk: it has a name"
	[ -z "$(find full/blobs/sha256 -type f)" ] || fail "a full disk: $(find full)"
fi

# --- an interrupt leaves whole blobs, and no name
head -c 30000000 /dev/urandom >d/noise
tar -cf noise.tar -C d .
image big t 1.tar noise.tar
"$ovbd" convert -q oci:big:t oci:cut:t &
pid=$!
wait_for test -e cut/blobs/sha256
kill -TERM $pid || fail "it was done already"
s=0
wait $pid || s=$?
[ $s = 143 ] || fail "after the signal: $s"
find cut -name '.*' -mindepth 1 | grep . && fail "left behind"
for blob in cut/blobs/sha256/*; do
	[ ! -e "$blob" ] || echo "${blob##*/}  $blob" | sha256sum -c --quiet || fail "half a blob"
done
ok "an interrupt"
