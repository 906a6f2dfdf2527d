#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A stack read by NBD's usual clients: whole, by holes, over TCP, two at once.
. "${OVBD_SOURCE:?}/tests/lib/nbd.sh"

head -c 6000000 /dev/urandom >base.raw
truncate -s 32M base.raw
cp base.raw top.raw
head -c 100000 /dev/urandom | dd of=top.raw bs=4096 seek=3000 conv=notrunc status=none
head -c 8192 /dev/zero | dd of=top.raw bs=4096 seek=10 conv=notrunc status=none
"$ovbd" convert -q base.raw base.ovbd
"$ovbd" convert -q -B base.ovbd top.raw top.ovbd
set -- base.ovbd top.ovbd

serve_nbd "$@"
nbdinfo --size "$uri" | grep -qx 33554432 || fail "size: $(nbdinfo --size "$uri")"
nbdinfo "$uri" >info
grep -q "is_read_only: true" info || fail "not read-only: $(cat info)"
grep -q "base:allocation" info || fail "no base:allocation: $(cat info)"
nbdinfo --list "$uri" | grep -q 'export=""' || fail "--list"
{ nbdcopy "$uri" copy && cmp copy top.raw; } || fail "nbdcopy"
nbdcopy --synchronous "$uri" - | cmp - top.raw || fail "nbdcopy --synchronous"
ok "libnbd"

qemu-img info "$uri" | grep -q "33554432 bytes" || fail "qemu-img info"
{ qemu-img convert -O raw "$uri" copy && cmp copy top.raw; } || fail "qemu-img convert"
qemu-img compare -q "$uri" top.raw || fail "qemu-img compare"
ok "qemu-img"

# The map: zeros where the image has none or zeros, all else data, to the byte.
qemu-img map --output=json "$uri" >map.json
python3 - map.json top.raw <<'END' || fail "the map: $(cat map.json)"
import json, sys
raw, end, zeros = open(sys.argv[2], "rb").read(), 0, 0
for e in json.load(open(sys.argv[1])):
    assert e["start"] == end
    end += e["length"]
    if e["zero"]:
        zeros += e["length"]
        assert not any(raw[e["start"]:end]), e
assert end == len(raw) and zeros > 20 << 20, (end, zeros)
END
ok "the map"

nbdcopy "$uri" one &
first=$!
nbdcopy "$uri" two
wait $first
{ cmp one top.raw && cmp two top.raw; } || fail "two at once"
qemu-io -r -f raw -c "read -P 0 32M 4096" "$uri" >io 2>&1 && fail "read beyond the end: $(cat io)"
if qemu-io -f raw -c "write 0 4096" "$uri" >io 2>&1; then
	fail "wrote to a read-only export: $(cat io)"
fi
ok "two at once"

kill "$server"
ended 0
[ ! -e disk.sock ] || fail "the socket is still there"

# shellcheck disable=SC2016 # for the inner shell
run='nbdcopy "$OVBD_URI" copy && cmp copy top.raw && nbdinfo "$OVBD_URI" | grep -q "export=\"a b\""'
for address in 127.0.0.1:0 "[::1]:0" :0 ./name:1; do
	case $address in
	*::1*) grep -qs ' lo$' /proc/net/if_inet6 || continue ;;
	esac
	rm -f copy
	"$ovbd" serve -q --nbd "$address" --export "a b" --run "$run" "$@" || fail "$address"
	ok "$address"
done
