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
