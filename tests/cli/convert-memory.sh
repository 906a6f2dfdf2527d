#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A short file that claims many segments costs no more memory than twice its size plus 64 MiB: it is
# refused. What the limit lets through can be copied within it too.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

# make N: a layer of N segments, N.lsmt
make() {
	python3 "$OVBD_SOURCE/tests/lib/many_segments.py" "$1" >"$1.lsmt"
}

# compress N: the same as a ZFile, N.ovbd
compress() {
	"$ovbd" convert -q -f raw -O zfile -c zstd:9 --block-size 64K "$1.lsmt" "$1.ovbd"
}

# within FILE COMMAND...: its exit status; fails if its peak of memory is above twice the file's size
# plus 64 MiB
within() {
	file=$1
	shift
	set +e
	python3 -c '
import os, resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=open("peak", "w"))
sys.exit(status)' "$@" >said 2>&1
	status=$?
	set -e
	at_most=$(($(stat -c %s "$file") / 512 + 65536))
	case $OVBD_BUILD in
	*asan* | *tsan*) ;; # their own memory is not ours
	*) [ "$(cat peak)" -le $at_most ] || fail "$*: $(cat peak) KiB, more than $at_most" ;;
	esac
	return $status
}

refused() {
	within 6000000.ovbd "$ovbd" "$@" && fail "$*: takes 6,000,000 segments"
	grep -q "6000000.ovbd: an index of more than [0-9]* segments would take more than" said ||
		fail "$*: $(cat said)"
}

make 6000000
compress 6000000
rm 6000000.lsmt
many=6000000.ovbd
refused info $many
refused check $many
refused map $many
refused compare $many $many
refused convert $many out.ovbd
[ ! -e out.ovbd ] || fail "a refused layer has left an output"

# what is let through: as many as always, and nearly as many as this size may have
for n in 1000000 1420000; do
	make $n
	compress $n
	for verb in info check map; do
		within $n.ovbd "$ovbd" $verb $n.ovbd || fail "$n segments: $verb: $(cat said)"
	done
	within $n.ovbd "$ovbd" convert -q $n.ovbd $n.again || fail "$n segments: convert: $(cat said)"
	"$ovbd" compare -q $n.again $n.lsmt || fail "$n segments: other bytes"
	rm $n.*
done

# uncompressed there is more stored, and more is read
make 3000000
within 3000000.lsmt "$ovbd" info 3000000.lsmt || fail "3000000 segments: $(cat said)"
compress 3000000
"$ovbd" info 3000000.ovbd >said 2>&1 && fail "takes 3,000,000 segments in a short file"
# a configuration too
python3 -c "n = 1 << 19; print('{\"x\": [' + '{},' * (n // 3 - 20) + '1], \"lowers\": []}')" >c.json
within c.json "$ovbd" info c.json && fail "takes a configuration of nothing"
grep -q "c.json: lowers names no layer" said || fail "c.json: $(cat said)"
ok "memory of many segments"
