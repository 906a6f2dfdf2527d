#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a name of an image leads to: indexes and platforms, images that are not ours, and errors.
. "${OVBD_SOURCE:?}/tests/lib/registry.sh"

make_layers
start_registry ""
name=docker://$registry/team/disk
case $(uname -m) in
x86_64) here=linux/amd64 other=linux/arm64/v8 ;;
*) here=linux/arm64/v8 other=linux/amd64 ;;
esac
image many --platform "$here" l1 l2 --platform "$other" l1 >/dev/null
push team/disk:many many --all
image trace --trace v1 l1 >/dev/null
push team/disk:trace trace
image turbo --type application/vnd.oci.image.layer.v1.tar+gzip --plain l1 >/dev/null
echo hello >file
tar -czf files.tar.gz file
image files --plain --type application/vnd.oci.image.layer.v1.tar+gzip files.tar.gz >/dev/null
push team/disk:files files
tar -cf files.tar file
image tar --plain files.tar >/dev/null
push team/disk:tar tar
image bare --plain l1 l2 >/dev/null
push team/disk:bare bare

# --- of an index the one for this machine, or the one that is asked for
same "$name:many" v2
same --platform "$here" "$name:many" v2
same --platform "${other%/v8}" "$name:many" v1
expect 69 "has no image for linux/riscv64: there are $here, $other (--platform)" \
	"$ovbd" info --platform linux/riscv64 "$name:many"
expect 1 "must be OS/ARCH" "$ovbd" info --platform linux "$name:many"
ok "platforms"

# --- layers that are ours, and others
same "$name:bare" v2
same "$name:trace" v1
expect 69 "layer 1 of 1 is an ordinary one (application/vnd.oci.image.layer.v1.tar+gzip)" "$ovbd" info "$name:files"
expect 69 "is a tar, but what it begins with is no layer" "$ovbd" info "$name:tar"
layer -B "$name:bare" v2 none.ovbd
# shellcheck disable=SC2016 # for the inner shell
"$ovbd" serve -q --fuse disk.img --run 'cmp "$OVBD_FILE" v2' "$name:many" || fail "serve --run"
expect 69 "404" "$ovbd" info "docker://$registry/team/none"
expect 74 "docker://127.0.0.1:1/x" "$ovbd" info docker://127.0.0.1:1/x
expect 1 "is no name of an image" "$ovbd" info "docker://$registry/a b"
ok "layers"

# --- a registry that lies: a manifest with another digest
digest=$(python3 -c '
import json
j = json.load(open("layout/index.json"))
print([m["digest"] for m in j["manifests"] if m["annotations"]["org.opencontainers.image.ref.name"] == "bare"][0])')
same "$name@$digest" v2
where=blobs/docker/registry/v2/blobs/sha256/$(echo "${digest#sha256:}" | cut -c1-2)/${digest#sha256:}/data
sed -i 's/"schemaVersion": 2/"schemaVersion":  2/' "$where"
expect 65 "its digest is sha256:" "$ovbd" info "$name@$digest"
ok "digests"

# --- the deadline, of options and configurations
expect 2 "--deadline 0: it is a number of seconds" "$ovbd" info --deadline 0 x
mkfifo hold
exec 7<>hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" . <hold >port 2>/dev/null 7>&- &
pids="$pids $!"
wait_for test -s port
mute=http://127.0.0.1:$(cat port)/~mute/l1
start=$(date +%s)
expect 75 "the time was over" "$ovbd" info --deadline 2 "$mute"
[ $(($(date +%s) - start)) -lt 20 ] || fail "--deadline"
printf '{"deadline": 2, "lowers": [{"url": "%s"}]}' "$mute" >image.json
start=$(date +%s)
expect 75 "the time was over" "$ovbd" info image.json
[ $(($(date +%s) - start)) -lt 20 ] || fail "deadline of the configuration"
ok "deadlines"
