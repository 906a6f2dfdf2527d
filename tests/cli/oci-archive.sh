#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Images in archives and directories: oci-archive: and dir: read and written, docker-archive: read; skopeo takes what
# is written, and what it writes is taken.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib

for n in 1 2; do
	mkdir "d$n"
	seq "$n" 4000 >"d$n/file$n"
	tar -cf "$n.tar" --owner=0 --group=0 --mtime=@1500000000 -C "d$n" .
done
gzip -nk 2.tar
zstd -qk 1.tar
python3 "$lib/oci-image.py" in two --platform linux/amd64 1.tar 2.tar.gz >/dev/null
python3 "$lib/oci-image.py" in many --index --platform linux/amd64 1.tar --platform linux/arm64 2.tar.gz >/dev/null
"$ovbd" convert -q --digestfile want oci:in:two oci:out:two
"$ovbd" convert -q --digestfile want-many oci:in:many oci:out:many

# converts SRC DST DIGESTFILE: with the digest that oci: gives
converts() {
	"$ovbd" convert -q --digestfile made "$1" "$2" || fail "$1 $2"
	cmp made "$3" || fail "$1 $2: $(cat made), not $(cat "$3")"
}
# same NAME TAG...: what a tag of the layout NAME holds is what oci: gives
same() {
	python3 "$lib/oci_read.py" "$1" "$2" >got || fail "oci:$1:$2"
	"$ovbd" compare -q "oci:$1:$2" oci:out:two || fail "oci:$1:$2 is another image"
}

# --- oci-archive:, made by tar (as docker buildx and others do), in any order and with directories
tar -cf in.tar -C in .
converts oci-archive:in.tar:two oci:a:two want
converts oci-archive:in.tar:many oci:a:many want-many
converts "oci-archive:in.tar@$(grep -o 'sha256:[0-9a-f]*' in/index.json | head -n 1)" oci:a:by-digest want
converts oci:in:two oci-archive:made.tar:two want
converts oci-archive:in.tar:two oci-archive:again.tar:two want
cmp made.tar again.tar || fail "the same image is another archive"
converts oci:in:many oci-archive:many.tar:many want-many
for name in made:two many:many; do
	mkdir "x-$name"
	tar -xf "${name%:*}.tar" -C "x-$name"
	python3 "$lib/oci_read.py" "x-$name" "${name#*:}" linux/amd64 >got || fail "$name"
done
"$ovbd" convert -q --digestfile made oci:in:many oci-archive:made.tar:other
[ "$(tar -tf made.tar | grep -c blobs/)" = 7 ] || fail "what is left of the one before: $(tar -tf made.tar)"
"$ovbd" convert -q --dry-run oci:in:two oci-archive:dry.tar:two >/dev/null
[ ! -e dry.tar ] || fail "--dry-run writes an archive"
ok "oci-archive:"

# --- dir:
converts oci:in:two dir:o want
[ "$(cat o/version)" = "Directory Transport Version: 1.1" ] || fail "$(cat o/version)"
converts oci:in:many dir:om want-many
[ "$(find om -name '*.manifest.json' | wc -l)" = 2 ] || fail "$(ls om)"
"$ovbd" convert oci:in:two dir:o 2>said
grep -q "2 of 2 layers were there" said || fail "$(cat said)"
cp -r o damaged
for blob in damaged/*; do
	[ "$(stat -c %s "$blob")" -gt 20000 ] && printf x | dd of="$blob" bs=1 seek=9000 conv=notrunc status=none
done
"$ovbd" convert oci:in:two dir:damaged 2>said
grep -q "it is made again" said || fail "$(cat said)"
diff -r o damaged || fail "a damaged layer is not made again"
ok "dir:"

# --- docker-archive:, as docker writes it now and as it did
python3 "$lib/docker_archive.py" new.tar --name x/y:1 1.tar 2.tar
python3 "$lib/docker_archive.py" old.tar --old --name debian:latest --name other:2 1.tar 2.tar
python3 "$lib/docker_archive.py" packed.tar 1.tar.zst 2.tar.gz
python3 "$lib/docker_archive.py" links.tar --old --links 1.tar 1.tar 2.tar
for name in new.tar new.tar:x/y:1 new.tar:docker.io/x/y:1 new.tar:@0 old.tar:debian old.tar:docker.io/library/debian:latest \
	old.tar:other:2 packed.tar; do
	rm -rf dk
	"$ovbd" convert -q "docker-archive:$name" oci:dk:t || fail "$name"
	same dk t
done
"$ovbd" convert -q docker-archive:links.tar oci:dk:links || fail "links"
python3 "$lib/oci_read.py" dk links >got || fail "links"
python3 - <<'END'
import io, json, tarfile
with tarfile.open("both.tar", "w") as out: # docker save of two images
    images = []
    for name in ("new.tar", "old.tar"):
        with tarfile.open(name) as t:
            for m in t.getmembers():
                data = t.extractfile(m).read()
                if m.name == "manifest.json":
                    images += json.loads(data)
                else:
                    out.addfile(m, io.BytesIO(data))
    m = tarfile.TarInfo("manifest.json")
    data = json.dumps(images).encode()
    m.size = len(data)
    out.addfile(m, io.BytesIO(data))
END
expect 1 "there are 2 images: one must be named, by :NAME or :@INDEX; there are: x/y:1, debian:latest, other:2" \
	"$ovbd" convert docker-archive:both.tar oci:none:t
expect 69 "there is no such image; there are: x/y:1, debian:latest, other:2" \
	"$ovbd" convert docker-archive:both.tar:x/y:2 oci:none:t
expect 69 "there is no such image" "$ovbd" convert docker-archive:both.tar:@2 oci:none:t
converts docker-archive:both.tar:@1 oci:dk:one made
expect 1 "docker's archives have no annotations, by which layers of blocks are known: write an oci-archive:" \
	"$ovbd" convert oci:in:two docker-archive:none.tar:t
ok "docker-archive:"

# --- the second opinion
if ! command -v skopeo >/dev/null; then
	echo "skopeo is not installed: not asked"
	exit 0
fi
skopeo copy -q oci:in:two oci-archive:sk.tar:two
"$ovbd" convert -q oci-archive:sk.tar:two oci:sk:archive
skopeo copy -q oci:in:two docker-archive:sk-docker.tar:x/y:1
"$ovbd" convert -q docker-archive:sk-docker.tar:x/y:1 oci:sk:docker
skopeo copy -q oci:in:two dir:sk-dir
"$ovbd" convert -q dir:sk-dir oci:sk:dir
skopeo copy -q --all oci:in:many dir:sk-many
"$ovbd" convert -q dir:sk-many oci:sk:many
for tag in archive docker dir; do
	same sk $tag
done
python3 "$lib/oci_read.py" sk many linux/arm64 >got || fail "dir: of an index"
# as it is: skopeo would compress the layers
keep="skopeo copy -q --preserve-digests"
"$ovbd" convert -q oci:in:two oci-archive:to.tar:two
$keep oci-archive:to.tar:two oci:back:archive || fail "skopeo: oci-archive:"
$keep dir:o oci:back:dir || fail "skopeo: dir:"
$keep --all dir:om oci:back:many || fail "skopeo: dir: of an index"
same back archive
same back dir
grep -q "$(cat want-many)" back/index.json || fail "skopeo: dir: of an index: $(cat back/index.json)"
ok "skopeo"
