#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# An update is merged into its base, in place: looked at first, refused, interrupted, killed again and
# again. OVBD_KILLS is how often it is killed at least (6); by hand, hundreds.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

lib=$OVBD_SOURCE/tests/lib
kills=${OVBD_KILLS:-6}
mkdir new
python3 "$lib/cow_shift.py" new 6000 2097152

fresh() {
	cp new/base.img new/update.cow .
}

# ---- as it should be ----
fresh
"$ovbd" merge-ota -n base.img update.cow >said
grep -q '^can be merged: .* operations, .* to write, in .* steps, of them .* by way of the scratch' said ||
	fail "$(cat said)"
cmp base.img new/base.img || fail "a check has changed the base"
cmp update.cow new/update.cow || fail "a check has changed the update"
"$ovbd" info update.cow | grep -q '^mergeable: *yes, in ' || fail "info does not say so"
"$ovbd" merge-ota base.img update.cow >said
grep -q '^merged: [0-9]* operations$' said || fail "$(cat said)"
cmp base.img new/want.img || fail "wrong bytes"
"$ovbd" compare -q base.img update.cow new/want.img || fail "the two together"
"$ovbd" merge-ota -n base.img update.cow | grep -q '^nothing to do' || fail "it is not finished"
"$ovbd" merge-ota --output=json base.img update.cow >said
python3 - <<'PYTHON' || fail "JSON: $(cat said)"
import json
o = json.load(open("said"))
assert o["schema"] == "ovbd.merge-ota.v1" and o["result"] == "merged"
assert o["merged"] == o["operations"] > 4000 and o["steps"] == 0
PYTHON
fresh
"$ovbd" merge-ota -p base.img update.cow 2>said >&2
grep -q '100 %' said || fail "progress: $(cat said)"
ok "merged"

# ---- what is refused, and nothing is written ----
python3 "$lib/cow_make.py" cows
head -c 1048576 new/base.img >small.img
mkdir without
python3 "$lib/cow_shift.py" without 200 0
cp without/base.img without.img
fresh
expect 1 "update.cow: cow: writes block " "$ovbd" merge-ota small.img update.cow
head -c 1048577 new/base.img >odd.img
expect 1 "not whole blocks of 4096" "$ovbd" merge-ota odd.img cows/v3
expect 1 "no footer" "$ovbd" merge-ota small.img cows/v2-unfinished
expect 1 "does not begin with the magic" "$ovbd" merge-ota update.cow base.img
expect 1 "is BASE and COW" "$ovbd" merge-ota ./base.img base.img
expect 1 "only in small groups" "$ovbd" merge-ota without.img without/update.cow
expect 1 "only in small groups" "$ovbd" merge-ota -n without.img without/update.cow
expect 2 "COW is missing" "$ovbd" merge-ota base.img
"$ovbd" info without/update.cow | grep -q '^mergeable: *no: .*it has no scratch area' || fail "info"
"$ovbd" info --output=json without/update.cow | grep -q '"mergeable": false' || fail "info, JSON"
cmp base.img new/base.img || fail "the base was written"
cmp without.img without/base.img || fail "the base was written"
for file in base.img update.cow; do
	python3 -c 'import fcntl, sys, time
f = open(sys.argv[1])
fcntl.flock(f, fcntl.LOCK_EX)
open("locked", "w")
time.sleep(60)' $file &
	pids=$!
	wait_for test -e locked
	expect 1 "$file: is in use by process $pids (python3)" "$ovbd" merge-ota base.img update.cow
	kill "$pids"
	wait "$pids" || :
	rm locked
done
pids=
"$ovbd" merge-ota -q --small-groups without.img without/update.cow
cmp without.img without/want.img || fail "in small groups"
ok "refused"

# ---- stopped in every way, and gone on with ----
# merge_until SIGNAL: merges in the background and sends SIGNAL after some milliseconds.
merge_until() {
	"$ovbd" merge-ota base.img update.cow >said 2>&1 &
	pid=$!
	sleep "0.0$(($(od -An -N2 -tu2 /dev/urandom) % 60 + 10))"
	kill "-$1" $pid 2>/dev/null || :
	wait $pid
}

fresh
done=0 stopped=0 runs=0
while [ $stopped -lt "$kills" ]; do
	runs=$((runs + 1))
	[ $runs -lt $((40 * kills)) ] || fail "it is never killed in time"
	s=0
	merge_until KILL || s=$?
	"$ovbd" compare -q base.img update.cow new/want.img || fail "wrong after a kill"
	case $s in
	0) done=$((done + 1)) && fresh ;;
	137) stopped=$((stopped + 1)) ;;
	*) fail "status $s: $(cat said)" ;;
	esac
done
"$ovbd" merge-ota -q base.img update.cow
cmp base.img new/want.img || fail "wrong at last"
ok "killed $stopped times"

runs=0
while :; do
	runs=$((runs + 1))
	[ $runs -lt 200 ] || fail "it is never interrupted in time"
	fresh
	s=0
	merge_until TERM || s=$?
	[ $s = 0 ] && continue
	[ $s = 143 ] || fail "status $s: $(cat said)"
	grep -q 'the same command goes on from there' said && break
done
"$ovbd" compare -q base.img update.cow new/want.img || fail "wrong after an interrupt"
"$ovbd" merge-ota -q base.img update.cow
cmp base.img new/want.img || fail "wrong after an interrupt, at last"
ok "interrupted"

# ---- what we make ourselves ----
# two images of which much has moved, some of it has changed a little, and some is new
python3 - <<'PYTHON'
import random
rand = random.Random(5)
old = bytearray(rand.randbytes(6 << 20))
new = bytearray(old)
new[4096 * 7:] = old[:-4096 * 7]                           # moved up
new[3 << 20:4 << 20] = old[4 << 20:5 << 20]                # down
new[1 << 20:2 << 20], new[5 << 20:6 << 20] = old[5 << 20:6 << 20], old[1 << 20:2 << 20]  # a cycle
for _ in range(300):
    new[rand.randrange(len(new))] ^= 1                     # a little
new[2 << 20:(2 << 20) + 300000] = rand.randbytes(300000)   # new
new[4096 * 900:4096 * 950] = bytes(4096 * 50)
open("old", "wb").write(old)
open("new.img", "wb").write(new)
PYTHON
for how in "-O v3" "-O v3 --sequence -c zstd" "-O v3 --no-scratch" "-O v2" "-O v2 -c gz --sequence" \
	"-O v2 --no-scratch --no-xor"; do
	cp old part
	# shellcheck disable=SC2086 # words
	"$ovbd" cow -q --force $how --from old create new.img made.cow
	"$ovbd" merge-ota -q part made.cow
	cmp part new.img || fail "an update of our own: $how"
done
ok "updates of our own"

# ---- a block device ----
[ "$(id -u)" = 0 ] && loop=$(losetup -f --show new/base.img 2>/dev/null) || loop=
if [ -n "$loop" ]; then
	loops=$loop
	fresh
	# as what is mounted has it
	python3 -c 'import os, sys, time
os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
open("locked", "w")
time.sleep(60)' "$loop" &
	pids=$!
	wait_for test -e locked
	expect 1 "$loop: is mounted, or part of another device" "$ovbd" merge-ota "$loop" update.cow
	kill "$pids"
	wait "$pids" || :
	pids=
	"$ovbd" merge-ota -q "$loop" update.cow
	cmp "$loop" new/want.img || fail "a block device: wrong bytes"
	ok "a block device"
else
	echo "no block device: not root, or no loop devices"
fi
