#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is zeros costs nothing: holes are not read, nor stored, and come back as holes.
. "${OVBD_SOURCE:?}/tests/lib/convert.sh"

allocated() {
	echo $(($(stat -c %b "$1") * 512))
}

# Bytes that COMMAND... has read through read calls: a shell is charged with those of its children.
bytes_read() {
	# shellcheck disable=SC2016 # for the inner shell
	sh -ec '"$@" >&2; sed -n "s/^rchar: //p" /proc/$$/io' sh "$@"
}

truncate -s 1G sparse
for i in $(seq 0 15); do
	put sparse $((i * 67108864 + i * 4096)) 65536 "$i"
done
layer sparse one.ovbd
layer -O raw one.ovbd back
[ "$(stat -c %s back)" = 1073741824 ] || fail "size"
for i in $(seq 0 15); do
	at=$((i * 67108864 + i * 4096))
	cmp -n 65536 -i $at:$at sparse back
done
same sparse back # the rest are holes; comparing a GiB of them byte by byte takes seconds
[ "$(allocated back)" -le 2000000 ] || fail "not sparse: $(allocated back)"
[ "$(stat -c %s one.ovbd)" -le 2000000 ] || fail "too large"
same sparse one.ovbd
ok "1 GiB with 1 MiB of data"

truncate -s 10G zero
layer zero zero.ovbd
[ "$(stat -c %s zero.ovbd)" -le 20000 ] || fail "10 GiB of zeros are $(stat -c %s zero.ovbd) bytes"
layer -O raw zero.ovbd zero.back
[ "$(stat -c %s zero.back)" = 10737418240 ] || fail "size"
[ "$(allocated zero.back)" = 0 ] || fail "not sparse"
same zero zero.ovbd
same zero.ovbd zero.back
ok "10 GiB of zeros"

# Zeros that are no holes are found by reading them.
head -c 20000000 /dev/zero >written
layer written written.ovbd
[ "$(stat -c %s written.ovbd)" -le 20000 ] || fail "zeros were stored"
layer -O raw written.ovbd written.back
[ "$(allocated written.back)" = 0 ] || fail "zeros came back as data"
ok "zeros that are no holes"

# The same from layers: -O raw keeps holes as well from a stack.
layer one.ovbd zero.ovbd wider.ovbd
"$ovbd" info wider.ovbd | grep -q "virtual size: *10 GiB" || fail "squash"

truncate -s 7000T huge 2>/dev/null || truncate -s 15T huge # ext4 ends at 16T
put huge 5000000000000 4096 7
layer huge huge.ovbd
same huge huge.ovbd
[ "$(stat -c %s huge.ovbd)" -le 20000 ] || fail "terabytes of holes"
ok "beyond 2 TiB"

[ -r /proc/self/io ] || skip "/proc/self/io cannot be read: bytes read were not counted"
rm -f zero.ovbd
n=$(bytes_read "$ovbd" convert -q zero zero.ovbd)
[ "$n" -lt 1000000 ] || fail "$n bytes were read of 10 GiB of holes"
n=$(bytes_read "$ovbd" convert -q --force sparse one.ovbd)
[ "$n" -gt 1000000 ] || fail "$n bytes are less than there are: the count is wrong"
[ "$n" -lt 3000000 ] || fail "$n bytes were read of a GiB with one MiB of data"
ok "holes are not read"
