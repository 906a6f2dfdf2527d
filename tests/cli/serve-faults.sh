#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A remote image while its network and its server are in trouble: reads are right, or errors; and right again when
# the trouble is over, without a restart.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"
. "$OVBD_SOURCE/tests/lib/faults.sh"

random 3000000 v1
cp v1 v2
head -c 100000 /dev/urandom | dd of=v2 bs=4096 seek=100 conv=notrunc status=none
"$ovbd" convert -q --tar v1 www/l1
"$ovbd" convert -q -B www/l1 v2 www/l2

serve device "$url/l1" "$url/l2"
reads device v2 5 right

for fault in status=404 status=403 status=401 ok200 start encoding=gzip longchunked=9 etag=%22x%22 size=7 badstatus; do
	lies "$fault"
	reads device v2 2 wrong
	lies
	reads device v2 3 right
	ok "$fault, and when it is over"
done
grep -q "$url/l[12]: bytes [0-9]*-[0-9]*: the answer was 404 Not Found" "$log" || fail "not told: $(cat "$log")"
proxy "flip=500 at=body+0"
reads device v2 2 wrong
heals device v2
ok "wrong bytes"

# what passes is not even an error
for fault in close "reset at=body+100" "reset at=head+30" "end at=body+100" "end at=head+50" "half at=body+10" \
	"extra=50 at=end"; do
	proxy "$fault times=3"
	reads device v2 3 right
	ok "$fault, three times"
done
lies status=503,times=3
reads device v2 3 right
lies status=429,retryafter=1,times=1
reads device v2 3 right
ok "come back later"

# the server goes away while it is read, and comes back
read_on() {
	reads device v2 200 right
}
read_on &
reader=$!
pids="$pids $reader"
for _ in 1 2 3; do
	sleep 0.2
	proxy refuse
	proxy cut
	sleep 0.4
	proxy ok
done
proxy freeze
wait $reader || fail "reads failed while the server was away"
heals device v2
kill "$server"
ended 0
ok "away and back"

# wrong bytes that a cache has kept
serve device --cache kept "$url/l1" "$url/l2"
proxy "flip=1000 at=body+3000 times=4"
reads device v2 10
heals device v2
kill "$server"
ended 0
serve device --cache kept "$url/l1" "$url/l2"
proxy refuse
proxy cut
cmp device v2 || fail "not all is in the cache"
kill "$server"
ended 0
ok "a cache that was told wrong bytes has the right ones, and needs no server"
