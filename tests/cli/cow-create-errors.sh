#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What cannot become an update says why, and leaves nothing behind.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

data 1048576 1 >old.img
data 1048576 2 >new.img
head -c 1000000 new.img >odd.img
: >empty.img

expect 1 "none.img: No such file" "$ovbd" cow create --from none.img new.img out
expect 1 "none.img: No such file" "$ovbd" cow create none.img out
expect 1 "has 1000000 bytes, no multiple of 4096" "$ovbd" cow create --from old.img odd.img out
expect 1 "the new image is empty" "$ovbd" cow create empty.img out
expect 1 "nowhere/out: cannot create a file in nowhere: No such file" "$ovbd" cow create new.img nowhere/out
expect 1 ".: is a directory" "$ovbd" cow create new.img .
ok "images"

expect 2 "it is: cow create NEW OUT" "$ovbd" cow
expect 2 "'make' is none of: create" "$ovbd" cow make new.img out
expect 2 "NEW and OUT are missing" "$ovbd" cow create
expect 2 "OUT is missing" "$ovbd" cow create new.img
expect 2 "unexpected word 'x'" "$ovbd" cow create new.img out x
expect 2 "-O v4: it is v2 or v3" "$ovbd" cow create -O v4 new.img out
expect 2 "there are lz4, zstd, gz, brotli and none" "$ovbd" cow create -c lzma new.img out
expect 2 "the level of gz is 1 to 9, not 10" "$ovbd" cow create -c gz:10 new.img out
expect 2 "none has no levels" "$ovbd" cow create -c none:1 new.img out
expect 2 "comes a level, a number" "$ovbd" cow create -c zstd:x new.img out
expect 2 "comes a level, a number" "$ovbd" cow create -c zstd:0 new.img out
expect 2 "it is 4K, 8K" "$ovbd" cow create --max-block 512K new.img out
expect 2 "it is 4K, 8K" "$ovbd" cow create --max-block 5000 new.img out
expect 2 "v2 compresses each 4K alone" "$ovbd" cow create -O v2 --max-block 8K new.img out
expect 2 "it needs --from" "$ovbd" cow create --sequence new.img out
expect 2 "it is a number of operations" "$ovbd" cow create --label-every 0 new.img out
expect 2 "-j 0: it is 1 to 256" "$ovbd" cow create -j 0 new.img out
expect 2 "cannot write to a URL" "$ovbd" cow create new.img http://localhost/x
expect 2 "v3 cannot go to standard output" "$ovbd" cow create new.img -
expect 2 "both are standard output" "$ovbd" cow create -O v2 --output json new.img -
expect 2 "--tar is not for android-cow" "$ovbd" convert -O android-cow --tar new.img out
expect 2 "are kept in a layer, not in android-cow" "$ovbd" convert -O android-cow -m x new.img out
expect 2 "cannot go to standard output" "$ovbd" convert -O android-cow new.img -
expect 1 "no multiple of 4096" "$ovbd" convert -O android-cow -B old.img odd.img out
left_behind empty.img new.img odd.img old.img
ok "usage"

echo before >there
expect 1 "there: exists; use --force" "$ovbd" cow create --from old.img new.img there
[ "$(cat there)" = before ] || fail "overwritten"
exits 0 "$ovbd" cow create -q --force --from old.img new.img there
same old.img there new.img
# a failure does not take away what was there
expect 1 "no multiple" "$ovbd" cow create --force odd.img there
same old.img there new.img
rm there
ok "what is there"

# a damaged old image: what is read of it is checked
layer old.img old.ovbd
printf XXXXXXXX | dd of=old.ovbd bs=1 seek=20000 conv=notrunc status=none
expect 1 "old.ovbd: zfile block 5 at 17087: checksum" "$ovbd" cow create --from old.ovbd new.img out
rm old.ovbd
ok "damaged"

(
	ulimit -f 100 # of 1024 bytes, or of 512
	expect 1 "out: " "$ovbd" cow create --from old.img new.img out
	expect 1 "out: " "$ovbd" cow create -O v2 -c none --no-scratch new.img out
)
left_behind empty.img new.img odd.img old.img
ok "a limit of the size"

# catches PID: whether it has begun to catch SIGTERM
catches() {
	mask=$(sed -n 's/^SigCgt:[^0-9a-f]*//p' "/proc/$1/status")
	[ $((0x${mask:-0} >> 14 & 1)) = 1 ]
}

head -c 32M /dev/urandom >big.img
for _ in 1 2; do
	"$ovbd" cow create -j1 -c brotli big.img out 2>err &
	pid=$!
	wait_for catches $pid
	sleep 0.1 # into the work
	kill -TERM $pid
	s=0
	wait $pid || s=$?
	[ $s = 143 ] || fail "status $s after a signal: $(cat err)"
	grep -q interrupted err || fail "$(cat err)"
done
rm err
left_behind big.img empty.img new.img odd.img old.img
ok "interrupted"
