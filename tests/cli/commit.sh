#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A writable layer is made, and what was written to it becomes a layer.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

"$ovbd" create 1M empty.rw
"$ovbd" create --sparse 64K s.data s.index
"$ovbd" create --uuid 12345678-0000-4000-8000-00000000abcd -m hello 1M a.data a.index
"$ovbd" commit empty.rw empty.ovbd
"$ovbd" check empty.ovbd
"$ovbd" commit -O lsmt a.data a.index a.lsmt
"$ovbd" info a.lsmt >said
grep -q 12345678-0000-4000-8000-00000000ABCD said || fail "uuid: $(cat said)"
grep -q hello said || fail "message: $(cat said)"
"$ovbd" commit --whole s.data s.index s.ovbd
"$ovbd" check s.ovbd
ok "empty ones"

# what was written, in each format; those with nothing beneath read as they did
n=0
seed=0
while [ $n -lt 4 ] && [ $seed -lt 200 ]; do
	for format in 0 1 3; do
		mkdir "$format"
		"$OVBD_BUILD/tests/prop/test_prop_lsmt_rw" $format $seed "$format" >out 2>&1 || fail "$(cat out)"
		if [ ! -e "$format/lower" ]; then
			case $format in
			3) set -- "$format/rw" ;;
			*) set -- "$format/data" "$format/index" ;;
			esac
			"$ovbd" commit -j1 "$@" one.ovbd
			"$ovbd" commit -j4 "$@" four.ovbd
			cmp one.ovbd four.ovbd || fail "format $format, seed $seed: other bytes with other threads"
			"$ovbd" check one.ovbd
			"$ovbd" convert -O raw --force one.ovbd one.raw
			cmp one.raw "$format/raw" || fail "format $format, seed $seed: reads as something else"
			rm one.ovbd four.ovbd one.raw
			n=$((n + 1))
		fi
		rm -r "$format"
	done
	seed=$((seed + 1))
done
[ $n -ge 4 ] || fail "only $n had nothing beneath"
ok "written ones"

# what layers beneath have beyond the end of the device does not come back under a larger layer
truncate -s 4M old
head -c 1M /dev/urandom | dd of=old bs=1M seek=2 conv=notrunc status=none
"$ovbd" convert -q old large
truncate -s 4M zeros
"$ovbd" convert -q zeros larger
"$ovbd" create 1M small.rw
"$ovbd" commit -B large small.rw small
"$ovbd" convert -q -O raw large small larger now
cmp now zeros || fail "bytes from beneath the smaller device are back"
# nor what a smaller device in between has hidden already, under a larger upper
"$ovbd" commit small.rw blind
"$ovbd" create 4M top.rw
"$ovbd" commit -B large -B blind top.rw top
"$ovbd" convert -q -O raw large blind top now --force
cmp now zeros || fail "bytes from beneath the smaller device are back"
expect 2 "--whole says that nothing lies beneath" "$ovbd" commit --whole -B large small.rw x
expect 1 "none: No such file" "$ovbd" commit -B none small.rw x
[ ! -e x ] || fail "x was made"
ok "what is hidden stays hidden"

# what does not compress, too, is within what overlaybd reads
"$ovbd" create 1M random.rw
head -c 1M /dev/urandom >random.raw
"$ovbd" rebase -q --whole -B random.raw random.rw
"$ovbd" rebase -q --from random.raw --flatten random.rw
"$ovbd" commit random.rw random.ovbd
"$ovbd" info random.ovbd >said
! grep -q "cannot read" said || fail "$(cat said)"
ok "what does not compress"

expect 1 "empty.rw: File exists" "$ovbd" create 1M empty.rw
expect 2 "SIZE 1000: a size of whole sectors" "$ovbd" create 1000 x.rw
expect 2 "INDEX is missing" "$ovbd" create -s 1M x.rw
expect 2 "DATA is missing" "$ovbd" create 1M
expect 1 "is not a UUID" "$ovbd" create --uuid 7 1M x.rw
[ ! -e x.rw ] || fail "x.rw was left"
expect 2 "OUT is missing" "$ovbd" commit empty.rw
expect 2 "it is ovbd or lsmt" "$ovbd" commit -O raw empty.rw x.ovbd
expect 2 "a number from 1 to 256" "$ovbd" commit -j 0 empty.rw x.ovbd
expect 1 "a.data: is no ovbd-rw" "$ovbd" commit a.data x.ovbd
expect 1 "is an ovbd-rw, which has no index file" "$ovbd" commit empty.rw a.index x.ovbd
expect 1 "empty.ovbd" "$ovbd" commit empty.rw empty.ovbd
expect 1 "is that of layer" "$ovbd" commit s.data a.index x.ovbd
[ ! -e x.ovbd ] || fail "x.ovbd was left"
ok "refused"
