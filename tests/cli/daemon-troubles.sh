#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every message in docs/troubleshooting.md is really said, and no failure made here is missing there.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

command -v python3 >/dev/null || skip "python3 is not installed"
command -v openssl >/dev/null || skip "openssl is not installed"
command -v setpriv >/dev/null || skip "setpriv is not installed"

# fails COMMAND...: it fails, and what it says goes into "said". Nothing may hang.
fails() {
	s=0
	timeout 60 "$@" >out 2>err || s=$?
	[ $s != 0 ] || fail "no failure: $*"
	[ $s != 124 ] || fail "hangs: $*"
	cat err >>said
}
# cannot WHY WORDS: this host cannot produce the row that has WORDS.
cannot() {
	echo "not produced here ($1): $2"
	echo "$2" >>cannot
}
: >cannot
attach_fails() {
	fails "$ovbd" attach "$@"
}
chmod 755 "$tmp"
cp "$ovbd" . # the build may be where only root can go
random 1000000 image
"$ovbd" convert -q image layer
head -c 2000 layer >short
cp layer damaged
printf XXXX | dd of=damaged bs=1 seek=20000 conv=notrunc 2>/dev/null
truncate -s 1M blocks
: >empty
mkdir www
cp image layer www/
mkfifo hold
exec 7<>hold # the web server ends when nobody has it open
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
pids="$pids $!"
wait_for test -s port
port=$(cat port)
url=http://127.0.0.1:$port

# --- the daemon
fails "$ovbd" list
fails "$ovbdd" --state-dir "$tmp/none/x"
echo '{"workers": 0}' >config
fails "$ovbdd" --config config
echo '{"workers": 1,}' >config
fails "$ovbdd" --config config
echo '{"worker": 1}' >config
fails "$ovbdd" --config config
fails "$ovbdd" --config
fails "$ovbdd" --tapes
fails "$ovbdd" --state-dir "$tmp/other" --socket "$tmp/image"
fails "$ovbdd" --state-dir "$tmp/other" --metrics 9863
fails "$ovbdd" --state-dir "$tmp/other" --metrics nowhere.invalid:9863
echo '{"auths": {"127.0.0.1:'"$port"'": {"auth": "?"}}}' >cred.json
echo "{\"log-file\": \"$tmp/none/log\", \"credentials\": \"$tmp/cred.json\",
	\"registry-config\": \"$tmp/certs.d\", \"cert-dir\": \"$tmp/certs\", \"cache\": \"$tmp/image\"}" >config
mkdir certs
start_daemon --config "$tmp/config" --metrics "127.0.0.1:$port"
sed -n 's/^[^ ]* ovbdd: [a-z]*: \(.*; goes on without \(it\|a cache\)\)$/\1/p' "$log" >>said
sed -n 's/^[^ ]* ovbdd: info: \(TCMU disks made by others.*\)$/\1/p' "$log" >>said
[ ! -e /sys/module/target_core_user ] || cannot "the module is loaded" 'modprobe target_core_user'
fails "$ovbdd" --state-dir "$tmp/state"
fails "$ovbdd" --state-dir "$tmp/other" --socket "$OVBD_SOCKET"
chmod 600 "$OVBD_SOCKET"
fails setpriv --reuid 65534 --regid 65534 --clear-groups ./ovbd list

# --- attaching
attach_fails nothing
"$ovbd" attach --id a --path "$tmp/a" image >/dev/null
attach_fails --id a layer
attach_fails --id ../x image
attach_fails --path "$tmp/image" image
attach_fails --path "$tmp/www" image
attach_fails --path "$tmp/none/x" image
attach_fails -t tape image
attach_fails -t nbd image
attach_fails -t nbd empty
attach_fails -t nbd --path "$tmp/x" image
attach_fails --rw image layer
"$ovbd" doctor --output=json >doctor.json
if grep -q '"nbd": true' doctor.json; then
	cannot "the module is loaded" 'modprobe nbd'
else
	attach_fails -t nbd blocks
fi

# --- images
printf '{ "lowers": [\n {"file": "x"\n} }' >bad.json
attach_fails -f image bad.json
echo '{ "lowers": [ {"file": 3 } ] }' >bad.json
attach_fails -f image bad.json
image_fails() { # JSON
	echo "$1" >bad.json
	attach_fails -f image bad.json
}
digest=sha256:$(sha256sum <layer | cut -d' ' -f1)
image_fails '{"lowers": [{"file": "/nowhere/layer"}]}'
image_fails '{"lowers": [{"dir": "/nowhere"}]}'
image_fails '{"lowers": [{}]}'
image_fails '{"lowers": [{"digest": "sha256:1"}], "repoBlobUrl": "http://127.0.0.1:1"}'
image_fails "{\"lowers\": [{\"digest\": \"$digest\"}]}"
image_fails "{\"lowers\": [{\"file\": \"$tmp/layer\"}], \"upper\": {\"file\": \"f\", \"index\": \"i\", \"data\": \"d\"}}"
image_fails "{\"lowers\": [{\"dir\": \"$tmp\", \"targetDigest\": \"$digest\"}]}"

# --- who we are, and what images of registries are called
basic=$url/~basic=u:p/image
attach_fails "$basic"
echo '{"auths": ' >cred.json
attach_fails "$basic"
echo '{"credsStore": "x"}' >cred.json
attach_fails "$basic"
echo '{"auths": {"127.0.0.1:'"$port"'": {"username": "u", "password": "x"}}}' >cred.json
attach_fails "$basic"
attach_fails "$url/~bearer,user=u:p/image"
attach_fails "$url/~never,bearer,user=u:x/image"
rm cred.json
attach_fails "$url/~to=ftp:%2F%2Fx/image"
# a registry by TLS whose token server is not
openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.crt -days 2 -subj /CN=127.0.0.1 \
	-addext subjectAltName=IP:127.0.0.1 2>/dev/null
cp tls.crt certs/
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www --tls tls.crt tls.key <hold >tls_port 2>/dev/null &
pids="$pids $!"
wait_for test -s tls_port
attach_fails "https://127.0.0.1:$(cat tls_port)/~never,bearer,challenge=Bearer%20realm=%22http:%2F%2Fx%2F%22/image"
attach_fails docker://r.example/x
attach_fails "docker://UPPER@$digest"
manifests=www/v2/x/manifests
mkdir -p $manifests
printf '{"layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "%s", "size": 1}]}' \
	"$digest" >files
printf '{"manifests": [{"digest": "%s", "size": 1, "platform": {"os": "plan9", "architecture": "x"}}]}' \
	"$digest" >index
for file in files index; do
	manifest=sha256:$(sha256sum <$file | cut -d' ' -f1)
	cp $file "$manifests/$manifest"
	attach_fails "docker://127.0.0.1:$port/x@$manifest"
done
mkdir -p "certs.d/broken.example"
echo '[host' >certs.d/broken.example/hosts.toml
attach_fails "docker://broken.example/x@$digest"
attach_fails short
path=$("$ovbd" attach --id damaged damaged)
! cat "$path" >/dev/null 2>&1 || fail "damage that nobody sees"
"$ovbd" status damaged | sed -n 's/^error  *//p' >>said
fails "$ovbd" check damaged
printf '{"lowers": [{"file": "%s", "digest": "sha256:%064d"}]}' "$tmp/layer" 7 >wrong.json
fails "$ovbd" check wrong.json
cp layer "www/$digest"
echo "{\"repoBlobUrl\": \"$url\", \"lowers\": [{\"digest\": \"$digest\", \"size\": 5}]}" >bad.json
attach_fails -f image bad.json
attach_fails http://127.0.0.1:1/x
attach_fails http://nowhere.invalid/x
attach_fails "$url/none"
for status in 401 403 429 503; do
	attach_fails "$url/~status=$status/image"
done
attach_fails "$url/~norange/image"
"$ovbd" attach "$url/~mute/image" 2>mute_said &
mute=$!
"$ovbd" attach -f raw --id slow "$url/~mute/image" 2>err2 &
waiting=$!
wait_for is_in_state slow opening
"$ovbd" detach slow
wait $waiting && fail "attached though it was detached"
cat err2 >>said

# --- backup on write
attach_fails -t fuse --bow blocks
"$ovbd" attach --id bow -t nbd-socket --bow blocks >/dev/null
attach_fails -t nbd-socket --bow blocks
fails "$ovbd" bow checkpoint --id bow
fails "$ovbd" bow abort --id bow
fails "$ovbd" bow commit --id a
fails "$ovbd" bow free --id a
"$ovbd" bow commit --id bow >/dev/null
fails "$ovbd" bow commit --id bow
"$ovbd" detach bow
fails "$ovbd" bow commit blocks
left() { # LAYOUT FILE
	"$OVBD_SOURCE/tests/lib/bow_facts.py" make "$1" 4096 4 "$2" undone live >/dev/null
}
left early left
fails "$ovbd" bow commit left
left 1.0 left
"$ovbd" bow restore -q --limit 1 left 2>/dev/null || :
fails "$ovbd" bow commit left
left 1.0 left
python3 - <<'EOF'
import struct
with open("left", "r+b") as f:
    count = struct.unpack("<I", f.read(16)[12:])[0]
    f.seek(28 + 24 * (count - 1))
    source, dest, size, checksum = struct.unpack("<QQII", f.read(24))
    f.seek(dest * 512 + 17)
    f.write(b"spoilt")
EOF
fails "$ovbd" bow check left
left 1.0 left
printf '\377\377' | dd of=left bs=1 seek=12 conv=notrunc 2>/dev/null
fails "$ovbd" bow status left
if loop=$(losetup --find --show blocks 2>/dev/null) && mkfs.ext4 -q "$loop" 2>/dev/null && mount "$loop" certs; then
	fails "$ovbd" bow status "$loop"
	umount certs
else
	cannot "no loop devices" "is mounted, or part of another device"
fi
[ -z "$loop" ] || losetup -d "$loop"

# --- detaching
exec 5<a
fails "$ovbd" detach a
exec 5<&-
fails "$ovbd" detach x
loop=$(losetup -f --show -r blocks 2>/dev/null) && losetup -d "$loop"
if [ -n "$loop" ]; then
	mkfs.ext4 -q -F blocks 2>/dev/null
	mkdir mnt
	"$ovbd" attach -t fuse --id mounted --path "$tmp/mounted" blocks >/dev/null
	mount -o loop,ro,noload mounted mnt
	fails "$ovbd" detach mounted
	umount mnt
else
	cannot "no loop devices" 'in use by /dev/loop'
fi

# --- serving
fails "$ovbd" serve --nbd "127.0.0.1:$port" image
"$ovbd" attach -t nbd-socket --id n image >/dev/null
fails "$ovbd" serve --nbd state/n.nbd image
fails "$ovbd" serve --fuse a image
fails "$ovbd" serve --fuse

# --- what has ended, or does not answer
wait $mute && fail "attached to a mute server"
cat mute_said >>said
kill -STOP "$daemon"
"$ovbd" doctor | sed -n 's/^fail  daemon *//p' >>said
"$ovbd" list 2>>said &
waiting=$!
sleep 0.3
kill -KILL "$daemon"
wait $waiting && fail "an answer of the dead"
wait_for not is_running "$daemon"

# --- what runs out
mkdir full
mount -t tmpfs -o size=64k,nr_inodes=64 none full
"$ovbdd" --state-dir "$tmp/full" --cache "$tmp/full/cache" 2>full.log &
pids="$pids $!"
wait_for grep -q ready: full.log
dd if=/dev/zero of=full/fill bs=4k 2>/dev/null || :
OVBD_SOCKET=full/ovbdd.sock attach_fails image
OVBD_SOCKET=full/ovbdd.sock "$ovbd" attach "$url/layer" >/dev/null 2>>said || :
is_told() { grep -q "goes on without keeping" full.log; }
wait_for is_told
sed -n 's/^[^ ]* ovbdd: [a-z]*: \(.*; goes on without keeping (told once)\)$/\1/p' full.log >>said
# shellcheck disable=SC2016 # the inner shell's own
unshare -m sh -c 'mount -t tmpfs none /dev && exec "$0" --state-dir "$1" 2>bare.log' "$ovbdd" "$tmp/bare" &
pids="$pids $!"
wait_for grep -q ready: bare.log
OVBD_SOCKET=bare/ovbdd.sock attach_fails --path "$tmp/x" image
prlimit --nofile=24 "$ovbdd" --state-dir "$tmp/few" 2>few.log &
pids="$pids $!"
wait_for grep -q ready: few.log
for i in 1 2 3 4 5 6 7 8; do
	OVBD_SOCKET=few/ovbdd.sock "$ovbd" attach --id "f$i" image >/dev/null 2>>said || :
done

python3 - "$OVBD_SOURCE" said <<'EOF' || fail "docs/troubleshooting.md and what is said differ"
import re, sys
source, said = sys.argv[1:]
lines = [re.sub(r"^(ovbd: \w+: |\S+ ovbdd: error: )", "", l.rstrip("\n")) for l in open(said)]
# the doctor's are produced by the unit test's hosts, from the same sentences
doctor = "".join(open(f"{source}/tools/{name}").read() for name in
                 ("doctor.c", "doctor_host.c", "doctor_transports.c"))
doctor = re.sub(r'"\s*\n\s*"', "", doctor)
cannot = [line.rstrip("\n") for line in open("cannot")]
rows = re.findall(r"^\| `(.+?)` \|", open(f"{source}/docs/troubleshooting.md").read(), re.M)
assert len(rows) > 40, len(rows)
matched, bad = set(), 0
for row in rows:
    parts = [re.escape(p) for p in row.split("…")]
    found = [l for l in lines if re.search("^" + ".*".join(parts) + "$", l)]
    matched.update(found)
    if not found and not re.search(".*".join(parts), doctor) and not any(w in row for w in cannot):
        print("nothing says:", row)
        bad += 1
for line in lines:
    if line and line not in matched and not line.startswith("Try 'ovbd"):
        print("not in the table:", line)
        bad += 1
print(f"ok: {len(rows)} rows, {len(set(lines))} different messages")
sys.exit(bad > 0)
EOF
