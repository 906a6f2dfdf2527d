#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Archives and directories of images that are damaged, hostile or none: each is refused with a sentence, and nothing is
# left behind; nor is it where there is no room, and after an interrupt.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib

for n in 1 2; do
	mkdir "d$n"
	seq "$n" 4000 >"d$n/file$n"
	tar -cf "$n.tar" --owner=0 --group=0 --mtime=@1500000000 -C "d$n" .
done
gzip -nk 2.tar
python3 "$lib/oci-image.py" in two --platform linux/amd64 1.tar 2.tar.gz >/dev/null
python3 "$lib/oci-image.py" in many --index --platform linux/amd64 1.tar --platform linux/arm64 2.tar.gz >/dev/null
tar -cf in.tar -C in .
python3 "$lib/docker_archive.py" new.tar --name x/y:1 1.tar 2.tar
digest=$(grep -o 'sha256:[0-9a-f]*' in/index.json | head -n 1)

# --- what is wrong
# refused STATUS WORDS SRC
refused() {
	expect "$1" "$2" "$ovbd" convert "$3" oci:none:t
	[ ! -e none/index.json ] || fail "it has a name"
	rm -rf none
}
size=$(stat -c %s in.tar)
for cut in 0 1 511 512 700 $((size / 2)) $((size / 2 + 512)) $((size - 10240)); do
	head -c "$cut" in.tar >cut.tar
	s=$(status_of "$ovbd" convert -q oci-archive:cut.tar:two oci:none:t 2>said)
	case $s in
	65 | 69) ;;
	*) fail "cut at $cut: $s: $(cat said)" ;;
	esac
	[ "$(wc -l <said)" = 1 ] || fail "cut at $cut: $(cat said)"
done
head -c 60000 new.tar >cut.tar
refused 65 "cut.tar: the tar ends in the middle" docker-archive:cut.tar
refused 69 "no.tar" oci-archive:no.tar:t
: >empty.tar
refused 65 "empty.tar: is empty" oci-archive:empty.tar
gzip -k in.tar
refused 69 "in.tar.gz: is compressed (gzip), and an archive is read in place: unpack it to a tar first" oci-archive:in.tar.gz
mkfifo pipe
exec 9<>pipe
refused 69 "pipe: neither a regular file nor a block device" oci-archive:pipe:t
refused 69 "pipe: neither a regular file nor a block device" docker-archive:pipe
exec 9>&-
refused 69 "2.tar: has no image in OCI's layout: oci-layout is not in it" oci-archive:2.tar
refused 69 "2.tar: has no image as docker saves them: manifest.json is not in it" docker-archive:2.tar
refused 69 "there is no such image; there are: two, many" oci-archive:in.tar:three
refused 1 "there are 2 images: one must be named" oci-archive:in.tar
refused 1 "is no name of an image: oci-archive:FILE" oci-archive::t
refused 1 "the tag is empty" oci-archive:in.tar:
refused 1 "the image's name is empty" docker-archive:new.tar:
refused 1 "@x is no number of an image" docker-archive:new.tar:@x
refused 1 "is no name of an image: docker-archive:FILE" docker-archive::t
refused 1 "is no name of an image: dir:DIR" dir:
refused 69 "nothing/manifest.json" dir:nothing
expect 1 "the target has the digest that comes out" "$ovbd" convert oci:in:two "oci-archive:x.tar@$digest"
# hostile STATUS WORDS STATEMENT [OPTION...]
hostile() {
	h_status=$1 h_words=$2 h_change=$3
	shift 3
	python3 "$lib/docker_archive.py" bad.tar --change "$h_change" "$@" 1.tar 2.tar
	refused "$h_status" "$h_words" docker-archive:bad.tar
}
hostile 65 "../../../../etc/passwd: is no name within an archive" 'x["manifest"][0]["Layers"][0] = "../../../../etc/passwd"'
hostile 69 "/etc/passwd: is not in the archive" 'x["manifest"][0]["Config"] = "/etc/passwd"'
hostile 65 "is a link out of the archive: ../../../etc/passwd" 'x["links"]["a/b"] = "../../../etc/passwd"; x["manifest"][0]["Layers"][0] = "a/b"'
hostile 65 "is a link out of the archive: /etc/passwd" 'x["links"]["a"] = "/etc/passwd"; x["manifest"][0]["Layers"][0] = "a"'
hostile 65 "is a link in a circle" 'x["links"].update({"a": "b", "b": "c", "c": "a"}); x["manifest"][0]["Layers"][0] = "a"'
hostile 65 "is a link to nothing, which is not in the archive" 'x["links"]["a"] = "nothing"; x["manifest"][0]["Config"] = "a"'
hostile 65 "is in the archive more than once" 'n = x["manifest"][0]["Config"]; x["files"][n] = [x["files"][n], b"{}"]'
hostile 65 "the config has 2 diff_ids, manifest.json 1 layers" 'del x["manifest"][0]["Layers"][0]'
hostile 65 "an image has no array Layers" 'del x["manifest"][0]["Layers"]'
hostile 65 "an image has no Config" 'del x["manifest"][0]["Config"]'
hostile 65 "layer 1 has no name" 'x["manifest"][0]["Layers"][0] = 7'
hostile 65 "manifest.json: is no array of images" 'x["manifest"] = {}'
hostile 65 "manifest.json: is no JSON: line 1" 'x["manifest"] = None; x["files"]["manifest.json"] = b"[}"'
hostile 69 "there is no such image; there are: none with a name" 'x["manifest"] = []'
hostile 65 "the config's diff_ids[0] is no digest" 'n = x["manifest"][0]["Config"]; x["files"][n] = x["files"][n].replace(b"sha256:", b"?")'
hostile 65 "layer 1 of 2" 'n = x["manifest"][0]["Layers"]; x["files"][n[0]] = x["files"][n[1]]'
mkdir other
echo mine >other/file
expect 1 "is neither empty nor the directory of an image" "$ovbd" convert oci:in:two dir:other
[ "$(cat other/file)" = mine ] || fail "another directory was touched"
expect 1 "other: is no regular file" "$ovbd" convert oci:in:two oci-archive:other:t
expect 1 "no/x.tar" "$ovbd" convert oci:in:two oci-archive:no/x.tar:t
ok "what is wrong"

# --- no room, and an interrupt: what was there stays, nothing is left
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=128k tmpfs full 2>/dev/null; then
	head -c 300000 /dev/urandom >d1/noise
	tar -cf noise.tar -C d1 .
	python3 "$lib/oci-image.py" noise t noise.tar >/dev/null
	echo old >full/old.tar
	expect 1 "No space left on device" "$ovbd" convert oci:noise:t oci-archive:full/old.tar:t
	[ "$(cat full/old.tar) $(ls -A full)" = "old old.tar" ] || fail "a full disk: $(ls -lA full)"
	expect 1 "No space left on device" "$ovbd" convert oci:noise:t dir:full/d
	[ "$(ls -A full/d)" = version ] || fail "a full disk: $(ls -lA full/d)"
fi
seq 1 3000000 >d1/noise
tar -cf noise.tar -C d1 .
python3 "$lib/oci-image.py" big t noise.tar >/dev/null
mkdir cut
echo old >cut/old.tar
"$ovbd" convert --progress=json -j 1 -c zstd:19 oci:big:t oci-archive:cut/old.tar:t 2>said &
pid=$!
pids=$pid
wait_for grep -q layer-begin said
kill -TERM $pid || fail "it was done already"
s=0
wait $pid || s=$?
pids=
[ $s = 143 ] || fail "after the signal: $s"
[ "$(cat cut/old.tar) $(ls -A cut)" = "old old.tar" ] || fail "left behind: $(ls -lA cut)"
ok "no room, an interrupt"
