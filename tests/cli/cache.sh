#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A cache is listed, verified, mended, emptied, filled ahead, and partly kept for ever.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

json() { # EXPRESSION: of the JSON in "out" as d
	python3 -c "import json; d = json.load(open('out')); print($1)"
}

mkdir -p www/v2/a/blobs
for i in 1 2; do
	data 3000000 $i >v$i
	layer v$i l$i
	digest=sha256:$(sha256sum l$i | cut -d' ' -f1)
	mv l$i "www/v2/a/blobs/$digest"
	eval "digest$i=$digest"
done
cp "www/v2/a/blobs/${digest1:?}" www/plain
size1=$(stat -c %s www/plain)
mkfifo hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port &
pids="$pids $!"
exec 3>hold
wait_for test -s port
url=http://127.0.0.1:$(cat port)
for i in 1 2; do
	eval "digest=\$digest$i"
	echo "{\"repoBlobUrl\": \"$url/v2/a/blobs\", \"lowers\": [{\"digest\": \"$digest\",
		\"size\": $(stat -c %s "www/v2/a/blobs/$digest")}]}" >$i.json
done
sent() {
	python3 -c "import json, sys, urllib.request as u; print(json.load(u.urlopen('$url/~stats'))['bytes'])"
}

expect 2 "say what: ls, verify" "$ovbd" cache
expect 2 "'lx': there are ls" "$ovbd" cache lx
expect 2 "cache DIR is missing" "$ovbd" cache ls
expect 1 "kept: cannot open the cache's directory: No such file" "$ovbd" cache ls --cache kept
[ ! -e kept ] || fail "made by who only looks"

cache() {
	verb=$1
	shift
	"$ovbd" cache "$verb" --cache kept "$@"
}
cache prefetch 1.json >said
grep -q "KiB\|MiB" said || fail "$(cat said)"
before=$(sent)
cache prefetch --output json 1.json >out
[ "$(json 'd["size"]')" = "$size1" ] || fail "$(cat out)"
[ "$(json 'd["fetched"]')" = 0 ] || fail "$(cat out)"
[ "$(sent)" = "$before" ] || fail "fetched again"
cache prefetch -q 2.json
secret="http://user:secret@127.0.0.1:$(cat port)/plain?token=secret"
cache prefetch -q "$secret"
ok "prefetch"

cache ls >said
grep -q "${digest1:?} http://127.0.0.1:$(cat port)$" said || fail "$(cat said)"
grep -q " http://127.0.0.1:$(cat port)/plain?…$" said || fail "$(cat said)"
! grep -q secret said || fail "shown: $(cat said)"
! grep -rq user:secret kept || fail "written down"
grep -q "^3 blobs, " said || fail "$(cat said)"
cache ls --output json >out
[ "$(json 'd["schema"]')" = ovbd.cache-ls.v1 ] || fail "$(cat out)"
[ "$(json 'len(d["blobs"])')" = 3 ] || fail "$(cat out)"
[ "$(json 'all(b["present"] == b["size"] and not b["pinned"] and not b["in-use"] for b in d["blobs"])')" = True ] ||
	fail "$(cat out)"
[ "$(json 'all(abs(b["last-used"] - __import__("time").time()) < 600 for b in d["blobs"])')" = True ] || fail "$(cat out)"
ok "ls"

marked() { # as JSON: those that were found to have their digests
	cache ls --output json >out
	json 'sorted(b.get("digest", "") for b in d["blobs"] if b["whole"])'
}
exits 0 cache verify >said
grep -q "^3 blobs, .*: good$" said || fail "$(cat said)"
[ "$(marked)" = "$(python3 -c "print(sorted(['$digest1', '${digest2:?}']))")" ] || fail "$(cat out)"
cache ls >said
[ "$(grep -c -e " --W .*sha256" said)" = 2 ] || fail "$(cat said)"
name=$(cache ls --output json >out && json "[b['name'] for b in d['blobs'] if b.get('digest') == '$digest1'][0]")
in=kept/ovbd-cache-1
printf '\252\125\252' | dd of="$in/$name.data" bs=1 seek=300000 conv=notrunc status=none
expect 2 "chunk 1 at 262144: its bytes are not those of its checksum" cache verify
exits 2 cache verify --output json >out
[ "$(json '(d["result"], [b["wrong-chunks"] for b in d["blobs"] if b["result"] == "corrupt"])')" = "('corrupt', [1])" ] ||
	fail "$(cat out)"
exits 0 cache verify --repair >said 2>&1
grep -q "; repaired" said || fail "$(cat said)"
exits 0 cache verify >said
[ "$(marked)" = "['$digest2']" ] || fail "$(cat out)"
for size in 0 4000 4096 4100; do
	truncate -s $size "$in/$name.map"
	exits 2 cache verify 2>said
	exits 0 cache verify --repair 2>said
	exits 0 cache verify
	cache prefetch -q 1.json
done
truncate -s 1000000 "$in/$name.data"
expect 2 "the data file has 1000000 bytes, not $size1" cache verify
exits 0 cache verify --repair 2>said
exits 0 cache verify
rm "$in/$name.data"
expect 2 "the data file cannot be opened" cache verify
exits 0 cache verify --repair 2>said
cache prefetch -q 1.json
exits 0 cache verify
[ "$(marked)" = "$(python3 -c "print(sorted(['$digest1', '$digest2']))")" ] || fail "$(cat out)"
ok "verify"

# a server that has something else under a digest
zeros=sha256:$(printf '%064d' 0)
cp www/plain "www/v2/a/blobs/$zeros"
cache prefetch -q "$url/v2/a/blobs/$zeros"
# who filled it may have found that already, in the background, and taken it out again
if cache verify 2>said; then
	ok "found while it was filled"
else
	grep -qF "its digest is $digest1, not $zeros" said || fail "$(cat said)"
	exits 0 cache verify --repair >said 2>&1
fi
exits 0 cache verify
cache ls --output json >out
[ "$(json "[b['present'] for b in d['blobs'] if b.get('digest') == '$zeros']")" = "[0]" ] || fail "$(cat out)"
ok "another digest"

expect 1 "nonsense: nothing in the cache is called so" cache pin nonsense
cache pin "$digest1"
cache ls >said
grep -q " P-. .*$digest1" said || fail "$(cat said)"
cache gc --size 0 2>said
grep -q "pinned" said || fail "$(cat said)"
cache ls --output json >out
[ "$(json '[(b["digest"], b["present"] == b["size"]) for b in d["blobs"]]')" = "[('$digest1', True)]" ] || fail "$(cat out)"
exits 0 cache verify
cache unpin "$(echo "$digest1" | cut -c8-20)"
cache gc --size 0
cache ls --output json >out
[ "$(json 'd["blobs"]')" = "[]" ] || fail "$(cat out)"
touch "$in/$name.data" "$in/$name.part" "$in/mine" kept/mine
cache gc -q
[ "$(ls $in)" = "lock
mine" ] || fail "$(ls $in)"
ok "pin, gc"

exec 3>&-
exits 74 cache prefetch 1.json 2>said
ok "no server"
