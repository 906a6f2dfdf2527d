#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An image goes the whole way: pushed to a registry, converted by nobody into another repository, attached by ovbdd
# from there over HTTP, mounted; the tree is the one that umoci unpacks. By hand of any image: registry-walk.sh DIR TAG
# (bench/convert-images does that with Debians).
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"
. "$OVBD_SOURCE/tests/lib/daemon.sh"
lib=$OVBD_SOURCE/tests/lib
command -v umoci >/dev/null || skip "umoci is not installed"
[ -e /dev/fuse ] || skip "/dev/fuse is not there"

if [ $# = 0 ]; then
	python3 "$lib/tar_torture.py" .
	gzip -k 1.tar
	# the third has overlayfs's whiteouts, which umoci does not know
	python3 "$lib/oci-image.py" source t 0.tar 1.tar.gz 3.tar 4.tar >/dev/null
	set -- source t
fi
cp -r "$1" image
chmod -R a+rX image .

start_registry ""
from=docker://$registry/source/image:t to=docker://$registry/made
skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false "oci:image:$2" "$from" || fail "push"

# --- by nobody, who has nothing but a place for temporary files; from registry to registry, and from directory to
# directory
mkdir -m 777 made
cp "$ovbd" made/ovbd
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs env -i TMPDIR="$tmp/made" "$@"
}
as_nobody made/ovbd convert -q -j2 --digestfile made/digest "$from" "$to/1:t" || fail "convert $from"
as_nobody made/ovbd convert -q -j1 --digestfile made/digest2 "oci:image:$2" oci:made/2:t || fail "convert image"
cmp made/digest made/digest2 || fail "another image, the second time"
digest=$(cat made/digest)
rm -r made
ok "converted, twice the same: $digest"

start_daemon
path=$("$ovbd" attach --id walk "$to/1@$digest") || fail "attach"
mkdir have
mount -o loop,ro "$path" have
umoci unpack --image "image:$2" bundle >umoci.log 2>&1 || fail "umoci: $(tail -n 3 umoci.log)"
# directories that no layer describes have a time of whoever makes them
python3 - image "$2" >named <<'END'
import json, sys, tarfile
root = sys.argv[1]
blob = lambda d: f"{root}/blobs/" + d["digest"].replace(":", "/")
d = next(d for d in json.load(open(f"{root}/index.json"))["manifests"]
         if d["annotations"]["org.opencontainers.image.ref.name"] == sys.argv[2])
for layer in json.load(open(blob(d)))["layers"]:
    with tarfile.open(blob(layer)) as tar:
        print("".join(e.name + "\n" for e in tar if e.isdir() and e.name not in (".", "./")), end="")
END
# what umoci gets wrong: empty attributes go, and times that do not fit into 64 bits of nanoseconds
known='^\./(times/far|odd/empty-attribute|x/many) '
python3 "$lib/tree_walk.py" bundle/rootfs named | grep -avE "$known" >want.txt
python3 "$lib/tree_walk.py" have named | grep -avE "$known" >have.txt
cmp want.txt have.txt || {
	diff want.txt have.txt | cut -c1-200 | head -n 40
	fail "another tree"
}
umount have
"$ovbd" detach walk
stop_daemon TERM
ok "the tree of umoci: $(wc -l <have.txt) names, all over HTTP"
