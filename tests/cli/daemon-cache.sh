#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One cache for all devices: what has been fetched is not fetched again, by another device or another daemon, and
# what is in it needs no server.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"
command -v python3 >/dev/null || skip "python3 is not installed"

random 3000000 v1
"$ovbd" convert -q --tar v1 l1
digest=sha256:$(sha256sum l1 | cut -d' ' -f1)
size=$(stat -c %s l1)
mkdir -p www/v2/a/blobs www/v2/b/blobs
cp l1 "www/v2/a/blobs/$digest"
cp l1 "www/v2/b/blobs/$digest"
mkfifo hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
web=$!
pids="$pids $web"
exec 7>hold
wait_for test -s port
url=http://127.0.0.1:$(cat port)
for repo in a b; do
	echo "{\"repoBlobUrl\": \"$url/v2/$repo/blobs\", \"lowers\": [{\"digest\": \"$digest\", \"size\": $size}]}" >$repo.json
done
bytes_sent() {
	curl -sS "$url/~stats" | python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes"])'
}
is_stored() { # by the thread that does it
	[ "$(du -sk kept/ovbd-cache-1 | cut -f1)" -ge $((size / 1024)) ]
}

start_daemon --cache "$tmp/kept" --cache-size 64M
cmp "$("$ovbd" attach --id a a.json)" v1 || fail "not the image"
sent=$(bytes_sent)
[ "$sent" -ge "$size" ] || fail "$sent bytes of $size"
[ "$sent" -le $((size + 4096)) ] || fail "$sent bytes of $size"
cmp "$("$ovbd" attach --id b b.json)" v1 || fail "not the image"
[ "$(bytes_sent)" = "$sent" ] || fail "another repository of the registry: $(bytes_sent), after $sent"
wait_for is_stored
api /metrics >metrics
"$OVBD_SOURCE/tests/lib/openmetrics.py" <metrics \
	'm("ovbd_layer_read_bytes_total", source="cache") > 0' \
	'm("ovbd_layer_read_bytes_total", source="remote") == m("ovbd_cache_stored_bytes_total")' \
	"m('ovbd_cache_stored_bytes_total') == $size" \
	'm("ovbd_layer_reads_in_flight") == 0' \
	'm("ovbd_layer_read_latency_seconds_count", source="remote") == m("ovbd_layer_reads_total", source="remote") > 0' \
	'm("ovbd_layer_read_latency_seconds_bucket", source="cache", le="+Inf") == m("ovbd_layer_reads_total", source="cache")' \
	'm("ovbd_http_answers_total", status="206") == m("ovbd_http_answers_total") > 0' \
	'm("ovbd_refetched_chunks_total") == m("ovbd_http_retries_total") == 0' \
	"$size <= m('ovbd_cache_used_bytes') < 67108864" || { [ $? = 77 ] || fail "metrics"; }
checked() { # RESULT NUMBER
	api /metrics | grep -qx "ovbd_cache_checked_blobs_total{result=\"$1\"} $2"
}
wait_for checked right 1
checked wrong 0 || fail "$(api /metrics)"
# an image that claims another digest of a URL; what others have of that URL is not touched
cp l1 www/plain
zeros=sha256:$(printf '%064d' 0)
for claim in "$digest" "$zeros"; do
	echo "{\"lowers\": [{\"url\": \"$url/plain\", \"digest\": \"$claim\"}]}" >c.json
	cmp "$("$ovbd" attach c.json)" v1 || fail "not the image"
done
wait_for checked right 2
wait_for checked wrong 1
said "$url/plain: all of it is in the cache, and its digest is $digest, not $zeros: it is dropped" || fail "$(cat "$log")"
"$ovbd" cache ls --cache kept --output json >out
python3 - "$zeros" <<'END' || fail "$(cat out)"
import json, sys
marks = sorted((b["digest"] == sys.argv[1], b["whole"]) for b in json.load(open("out"))["blobs"])
assert marks == [(False, True), (False, True), (True, False)], marks
END
stop_daemon TERM
ok "one cache"

mkdir full
if mount -t tmpfs -o size=1m none full 2>/dev/null; then
	start_daemon --cache "$tmp/full"
	cmp "$("$ovbd" attach --id a a.json)" v1 || fail "not the image, with a full disk"
	wait_for said "the cache cannot store: No space left on device; goes on without keeping (told once)"
	[ "$(grep -c "cannot store" "$log")" = 1 ] || fail "$(cat "$log")"
	stop_daemon TERM
	umount full
	ok "a full disk"
fi

exec 7>&-
wait_for not is_running "$web"
mkdir config
echo "{\"cache\": \"$tmp/kept\", \"cache-size\": 67108864, \"cache-high\": 95, \"cache-low\": 70}" >config/ovbdd.json
start_daemon --config config/ovbdd.json # attaches them again
cmp "$("$ovbd" attach --id a a.json)" v1 || fail "not the image, without its server"
cmp "$("$ovbd" attach --id c b.json)" v1 || fail "not the image, without its server"
for id in a b c; do
	"$ovbd" detach "$id"
done
stop_daemon TERM
ok "no server"

start_daemon --cache /dev/null
said "warning: /dev/null: cannot open the cache's directory: Not a directory; goes on without a cache" ||
	fail "$(cat "$log")"
cmp "$("$ovbd" attach --id v -f raw v1)" v1 || fail "not served"
"$ovbd" detach v
stop_daemon TERM
expect 2 "cache-marks 'x': must be HIGH,LOW" "$ovbdd" --cache-marks x
expect 2 "cache-marks: 80 and 90: must be percents, the lower one last" "$ovbdd" --cache-marks 80,90
expect 2 "cache-size '12x': must be a size" "$ovbdd" --cache-size 12x
expect 2 "cache-size 4096: must be 16 MiB at least" "$ovbdd" --cache-size 4096
ok "no cache"
