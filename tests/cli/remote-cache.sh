#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What was fetched of URLs is kept in a directory, for all who name it, and verified.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

mkdir www
data 6000000 1 >v1
layer v1 www/l1
size=$(stat -c %s www/l1)
mkfifo hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port &
pids="$pids $!"
exec 3>hold
wait_for test -s port
url=http://127.0.0.1:$(cat port)/l1

# fetched_of ARGUMENT...: the bytes a comparison of the layer with v1 fetches
fetched_of() {
	exits 0 "$ovbd" compare -v "$@" "$url" v1 >said 2>err
	sed -n 's/.*l1: fetched .*(\([0-9]*\) bytes).*/\1/p; s/.*l1: fetched \([0-9]*\) bytes.*/\1/p' err
}

all=$(fetched_of --cache kept)
[ "$all" -ge "$size" ] || fail "$all bytes of $size were fetched: $(cat err)"
[ "$all" -le $((size + 4096 + 262144)) ] || fail "$all bytes of $size were fetched"
[ "$(fetched_of --cache kept)" = 4096 ] || fail "fetched again: $(cat err)"
grep -q "cache: .* came from it; 0 chunks" err || fail "$(cat err)"
[ "$(fetched_of --cache kept --cache-size 1G)" = 4096 ] || fail "$(cat err)"
exits 0 "$ovbd" convert -q --cache kept -O raw "$url" out
cmp out v1
ok "kept"

data=$(echo kept/ovbd-cache-1/*.data)
printf '\252\125\252' | dd of="$data" bs=1 seek=300000 conv=notrunc status=none
[ "$(fetched_of --cache kept)" = $((4096 + 262144)) ] || fail "$(cat err)"
grep -q "; 1 chunk in it were wrong" err || fail "$(cat err)"
truncate -s 0 kept/ovbd-cache-1/*.map
[ "$(fetched_of --cache kept)" = "$all" ] || fail "$(cat err)"
ok "damaged"

# another object under the same name is another blob
data 6000000 2 >v2
layer --force v2 www/l1
exits 1 "$ovbd" compare -q --cache kept "$url" v1
exits 0 "$ovbd" compare -q --cache kept "$url" v2
ok "another object"

touch kept/mine
[ "$(ls kept)" = "mine
ovbd-cache-1" ] || fail "$(ls kept)"
expect 2 "/dev/null: cannot open the cache's directory: Not a directory" \
	"$ovbd" compare --cache /dev/null "$url" v1
expect 2 "no/such: cannot make the cache's directory" "$ovbd" compare --cache no/such "$url" v1
expect 2 "cache-size 1K: it is a size, of 16M at least" "$ovbd" compare --cache-size 1K "$url" v1
ok "wrong directories"

# Known by digest and size, a layer is opened without its server; who claims a digest is believed of his own host only.
layer --force v1 www/l1
digest=sha256:$(sha256sum www/l1 | cut -d' ' -f1)
size=$(stat -c %s www/l1)
mkdir -p www/v2/x/blobs www/other
ln www/l1 "www/v2/x/blobs/$digest"
cp www/l1 "www/other/$digest"
configure() { # REPO SIZE
	echo "{\"repoBlobUrl\": \"http://$1\", \"lowers\": [{\"digest\": \"$digest\", \"size\": $2}]}"
}
host=127.0.0.1:$(cat port)
configure "$host/v2/x/blobs" "$size" >x.json
configure "$host/other" "$size" >other.json
configure "$host/v2/x/blobs" $((size + 1)) >wrong.json
configure "localhost:$(cat port)/v2/x/blobs" "$size" >localhost.json
asked() {
	exits 0 "$ovbd" compare -v --cache kept "$1" v1 >said 2>err
	sed -n 's/.*: fetched .*(\([0-9]*\) bytes).*/\1/p; s/.*: fetched \([0-9]*\) bytes.*/\1/p' err
}
[ "$(asked x.json)" -ge "$size" ] || fail "$(cat err)"
[ "$(asked x.json)" = 0 ] || fail "$(cat err)"
[ "$(asked other.json)" -ge "$size" ] || fail "another place of the host is taken for the registry: $(cat err)"
[ "$(asked localhost.json)" -ge "$size" ] || fail "another host is taken for the registry: $(cat err)"
expect 65 "is $size bytes, but the configuration says $((size + 1))" "$ovbd" compare -q --cache kept wrong.json v1
# Wrong once, wherever (after the first request, which a cache keeps nothing of): it is asked for again, and nothing wrong stays.
tag=0
for at in 10 150 257 700 1030 1281 1536 1550 1600 5000 700000 $((size - 1500)); do
	tag=$((tag + 1))
	configure "$host/~after=1,fliponce=$at,tag=$tag/v2/x/blobs" "$size" >lie.json
	exits 0 "$ovbd" compare -q --cache lies lie.json v1 2>err
	exits 0 "$ovbd" compare -q --cache lies lie.json v1 2>err
done
ok "lies"

exec 3>&-
for config in x other localhost; do
	[ "$(asked $config.json)" = 0 ] || fail "without a server: $(cat err)"
done
ok "no server"
