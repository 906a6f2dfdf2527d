#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A base and its update, as what dm-snapshot wants of them.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

python3 "$OVBD_SOURCE/tests/lib/cow_make.py" cows
random 1048576 base
random 4096 small
start_daemon

dev=$("$ovbd" attach -t fuse --id store --update dm-snapshot base cows/v2-gz)
[ "$(od -An -tx4 -N16 "$dev" | tr -d '\n')" = " 70416e53 00000001 00000001 00000008" ] ||
	fail "no header: $(od -tx4 -N16 "$dev")"
# the first exceptions are of what needs no base: block 5, a zero, then 7 and 8, in chunks 2, 3 and 4
[ "$(od -An -tu8 -j4096 -N48 -w48 "$dev" | tr -s ' ')" = " 5 2 7 3 8 4" ] ||
	fail "the list: $(od -An -tu8 -j4096 -N160 "$dev")"
python3 "$OVBD_SOURCE/tests/lib/cow_make.py" --want base v2-gz >want
dd if="$dev" bs=4096 skip=3 count=2 status=none >has
dd if=want bs=4096 skip=7 count=2 status=none | cmp - has || fail "the data of blocks 7 and 8"
api /v1/devices/store | tr -d ' ' | grep -q '"update":"dm-snapshot"' || fail "$(api /v1/devices/store)"
ok "a store"

expect 1 "id store in use" "$ovbd" attach -t fuse --id store base cows/v2-gz
stop_daemon KILL
start_daemon
[ "$("$ovbd" attach -t fuse --id store --update dm-snapshot base cows/v2-gz)" = "$dev" ] || fail "not the same"
[ "$(od -An -tx4 -N4 "$dev")" = " 70416e53" ] || fail "not the store again"
"$ovbd" detach store
ok "after a restart"

# the first version's order is the file's
dev=$("$ovbd" attach -t fuse --id first --update dm-snapshot-1 base cows/v1-s)
[ "$(od -An -tu8 -j4096 -N48 -w48 "$dev" | tr -s ' ')" = " 3 2 4 3 5 4" ] || fail "the file's order"
"$ovbd" detach first
ok "the order of the file"

# one that takes what the kernel writes back
uri=$("$ovbd" attach -t nbd-socket --id rw --update dm-snapshot --rw base cows/v1-d)
expect 1 "is in use by" "$ovbd" attach -t nbd-socket --id again --update dm-snapshot --rw base cows/v1-d
[ -n "$uri" ] || fail "no store to be merged"
"$ovbd" detach rw
ok "to be merged"

expect 1 "order of merging is not safe" "$ovbd" attach -t nbd-socket --update dm-snapshot --rw base cows/v2-scratch
expect 1 "partly merged" "$ovbd" attach -t fuse --update dm-snapshot-1 base cows/v1-d
expect 1 "needs two images" "$ovbd" attach -t fuse --update dm-snapshot base
expect 1 "'magic' is none" "$ovbd" attach -t fuse --update magic base cows/v2-gz
expect 1 "cannot be merged" "$ovbd" attach -t nbd-socket --rw --update dm-snapshot-1 base cows/v2-gz
expect 1 "beyond the base" "$ovbd" attach -t fuse --update dm-snapshot small cows/v2-gz
expect 1 "base: " "$ovbd" attach -t fuse --update dm-snapshot base base
ok "refused"

for words in "" "map" "map a b" "merge a b" "fold a"; do
	# shellcheck disable=SC2086 # words
	expect 2 "map" "$ovbd" snapshot $words
done
