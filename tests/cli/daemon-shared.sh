#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# 200 devices of 10 layers each, out of 40: at most 3 MiB of private memory a device, a thread or two
# each, and no work while nobody reads.
. "${OVBD_SOURCE:?}/tests/lib/daemon.sh"

python3 - <<'PYTHON'
import random
r = random.Random(1)
for n in range(40):
    with open(f"{n}.raw", "wb") as f:
        f.truncate(64 << 20)
        for i in range(100):
            f.seek(r.randrange(16384) * 4096)
            f.write(r.randbytes(2048) * 2)
PYTHON
for n in $(seq 0 39); do
	"$ovbd" convert -q -f raw "$n.raw" "$n.ovbd"
	rm "$n.raw"
done

# layers_of DEVICE: bottom first
layers_of() {
	for k in $(seq 0 9); do
		echo "$tmp/$((($1 * 7 + k * 3) % 40)).ovbd"
	done
}

private_kib() {
	awk '/^Private_/ { sum += $2 } END { print sum }' "/proc/$daemon/smaps_rollup"
}

cpu_ticks() {
	awk '{ print $14 + $15 }' "/proc/$daemon/stat"
}

start_daemon
start=$(private_kib)
for i in $(seq 200); do
	# shellcheck disable=SC2046 # the names have no spaces
	"$ovbd" attach --id "d$i" $(layers_of "$i") >/dev/null
done
threads=$(find "/proc/$daemon/task" -mindepth 1 -maxdepth 1 | wc -l)
fds=$(find "/proc/$daemon/fd" -mindepth 1 -maxdepth 1 | wc -l)
[ "$threads" -le 420 ] || fail "$threads threads for 200 devices"
before=$(cpu_ticks)
sleep 3
idle=$(($(cpu_ticks) - before))
[ $idle -le 6 ] || fail "$idle ticks of CPU in 3 idle seconds"

for i in $(seq 200); do
	head -c 4194304 "state/d$i.raw" >/dev/null
done
each=$((($(private_kib) - start) / 200))
case $OVBD_BUILD in
*asan* | *tsan*) ;; # their own memory is not ours
*) [ $each -le 3072 ] || fail "$each KiB of private memory a device" ;;
esac
for i in 1 77 200; do
	# shellcheck disable=SC2046
	"$ovbd" convert -q -O raw --force $(layers_of $i) want
	cmp "state/d$i.raw" want || fail "d$i: wrong bytes"
done
"$ovbd" drain >/dev/null || fail "drain"
stop_daemon TERM
ok "200 devices: $each KiB of memory each, $threads threads, $fds descriptors, $idle ticks in 3 s"
