#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is served is what is in the image, however it is read.
. "${OVBD_SOURCE:?}/tests/lib/serve.sh"

random 9000001 image
serve 'a file' image
[ "$(stat -c %s 'a file')" = 9000001 ] || fail "size $(stat -c %s 'a file')"
[ "$(stat -c %A 'a file')" = -r-------- ] || fail "mode $(stat -c %A 'a file')"
cmp 'a file' image || fail "read"
ok "the whole"

for bs in 512 4096 65536 1048576 3000000; do
	dd if='a file' bs=$bs status=none iflag=fullblock | cmp - image || fail "in reads of $bs"
done
ok "in reads of every size"

dd if='a file' of=direct bs=1M iflag=direct status=none
cmp direct image || fail "O_DIRECT"
ok "past the page cache"

for skip in 0 1 17 2000 2196; do
	dd if='a file' bs=4096 skip=$skip count=1 status=none >page
	dd if=image bs=4096 skip=$skip count=1 status=none | cmp - page || fail "page $skip"
done
ok "pages"

if (: >>'a file') 2>/dev/null; then
	fail "it can be written to"
fi
ok "read-only"

# Four servers at once, each with its readers.
kill "$server"
ended 0
first=
for i in 1 2 3 4; do
	serve "file$i" -j $i image
	first="$first $server"
done
for i in 1 2 3 4; do
	cmp "file$i" image &
	readers="${readers-} $!"
done
for pid in $readers; do
	wait "$pid" || fail "a reader"
done
for pid in $first; do
	kill "$pid"
done
for server in $first; do
	ended 0
done
ok "several servers"
[ "$(ls)" = "$(printf 'direct\nimage\npage')" ] || fail "left behind: $(ls)"
