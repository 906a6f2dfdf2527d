#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sources over the network, and the exit statuses that tell a script what to do.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

mkdir www
data 2000000 1 >v1
cp v1 v2
put v2 700000 50000 2
layer --tar v1 www/l1
layer -B www/l1 v2 www/l2
head -c -5000 www/l2 >www/cut
cp www/l2 www/bad
printf '\252\125' | dd of=www/bad bs=1 seek=3000 conv=notrunc status=none

mkfifo hold
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port &
pids="$pids $!"
exec 3>hold
wait_for test -s port
base=http://127.0.0.1:$(cat port)

"$ovbd" info --output=json "$base/l1" "$base/l2" >j
holds j ovbd.info.v1 "[l['remote'] for l in j['layers']] == [True, True]"
"$ovbd" info -v "$base/l1" >j # its head, and its end
grep -q "fetched: .* 2 requests" j || fail "$(cat j)"
"$ovbd" check -q "$base/l1" "$base/l2"
same "$base/l1" "$base/l2" v2
"$ovbd" map "$base/l1" | grep -q " data "
layer -O raw "$base/l1" "$base/l2" flat
cmp flat v2
printf '{"lowers":[{"file":"www/l1"},{"url":"%s/l2"}]}' "$base" >image.json
same image.json v2
layer image.json squashed
same squashed v2
layer -B "$base/l1" v2 delta
cmp delta www/l2
"$ovbd" check -v "$base/l1" >said 2>err
grep -q "/l1: fetched .* requests*, 0 of them again" err || fail "$(cat err)"
ok "a stack of URLs"

expect 69 "404" "$ovbd" info "$base/none"
expect 69 "404" "$ovbd" convert -O raw "$base/none" out
expect 77 "403" "$ovbd" info "$base/~status=403/l1"
expect 77 "401" "$ovbd" check "$base/~status=401/l1"
expect 75 "503" "$ovbd" info "$base/~status=503,retryafter=0/l1"
expect 69 "" "$ovbd" info "$base/~ok200/l1"
expect 65 "" "$ovbd" convert -O raw "$base/bad" out
expect 65 "" "$ovbd" compare "$base/bad" v2
expect 75 "" "$ovbd" convert -O raw "$base/~after=3,etag=other/l1" out
expect 2 "" "$ovbd" check "$base/cut"
expect 2 "" "$ovbd" check "$base/bad"
[ ! -e out ] || fail "left behind"
printf '{"lowers":[{"url":"%s/none"}]}' "$base" >image.json
expect 69 "404" "$ovbd" info image.json
# what fails here is no failure of the network
expect 1 "No such file" "$ovbd" convert -O raw "$base/l1" no/such/dir/out
expect 1 "use --force" "$ovbd" convert -O raw "$base/l1" flat
