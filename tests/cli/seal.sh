#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A writable layer of each format becomes a read-only one where it is.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

alone=0
over=0
for seed in 3 5; do # with nothing beneath, and with layers
	for format in 0 1 3; do
		mkdir d
		"$OVBD_BUILD/tests/prop/test_prop_lsmt_rw" $format $seed d >out 2>&1 || fail "$(cat out)"
		case $format in
		3) set -- d/rw ;;
		*) set -- d/data d/index ;;
		esac
		[ ! -e d/map ] || mv d/map d/data.zeros
		"$ovbd" commit -q "$@" committed.ovbd
		"$ovbd" seal "$@"
		[ "$(echo d/index* d/data.*)" = "d/index* d/data.*" ] || fail "index or map was left"
		"$ovbd" check -q "$1"
		if [ -e d/lower ]; then
			"$ovbd" convert -q -O raw d/lower "$1" raw
			"$ovbd" convert -q -O raw d/lower committed.ovbd other
			over=$((over + 1))
		else
			"$ovbd" convert -q -O raw "$1" raw
			"$ovbd" convert -q -O raw committed.ovbd other
			alone=$((alone + 1))
		fi
		cmp raw d/raw || fail "format $format, seed $seed: sealed it reads as something else"
		cmp other d/raw || fail "format $format, seed $seed: committed it reads as something else"
		"$ovbd" info "$1" | grep -q 12345678-0000-4000-8000-00000000ABCD || fail "uuid"
		"$ovbd" info "$1" | grep -q "a message" || fail "message"
		[ $format != 3 ] || "$ovbd" seal "$1" # nothing changes
		"$ovbd" check -q "$1"
		rm -r d raw other committed.ovbd
	done
done
[ "$alone $over" = "3 3" ] || fail "$alone alone, $over over something"
ok "$alone alone, $over over something"

# empty ones; the index kept
"$ovbd" create 1M empty.rw
"$ovbd" create 1M a.data a.index
"$ovbd" create --sparse 1M s.data s.index
"$ovbd" seal empty.rw
"$ovbd" seal --keep-index a.data a.index
"$ovbd" seal s.data s.index
[ "$(echo ?.index)" = a.index ] || fail "--keep-index"
for f in empty.rw a.data s.data; do
	"$ovbd" check -q $f
	"$ovbd" map $f | grep -qx " *0 *1048576  hole .*" || fail "$f is not empty: $("$ovbd" map $f)"
done
ok "empty ones"

# overlaybd makes layers that are as large as what is beneath: none of it is lost
"$ovbd" create 1M z.data z.index
echo '{"lowers": [], "upper": {"data": "z.data", "index": "z.index"}}' >z.json
head -c 1M /dev/urandom >z.raw
"$ovbd" serve -q --nbd z.sock --rw z.json --run "qemu-img convert -n -f raw -O raw z.raw \$OVBD_URI" || fail serve
for f in z.data z.index; do
	head -c 8 /dev/zero | dd of=$f bs=1 seek=48 conv=notrunc status=none
done
head -c 1M /dev/zero >below.raw
"$ovbd" commit -q z.data z.index z.ovbd
"$ovbd" convert -q -O raw below.raw z.ovbd copy
cmp copy z.raw || fail "a layer without a size: committed it is something else"
"$ovbd" seal z.data z.index
"$ovbd" convert -q --force -O raw below.raw z.data copy
cmp copy z.raw || fail "a layer without a size: sealed it is something else"
ok "without a size"

expect 2 "DATA is missing" "$ovbd" seal
expect 1 "none: No such file" "$ovbd" seal none
"$ovbd" seal a.data
"$ovbd" create 1M b.data b.index
expect 1 "b.data: is no ovbd-rw" "$ovbd" seal b.data
