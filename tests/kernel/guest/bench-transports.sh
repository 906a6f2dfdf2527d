#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# For bench/transports.
. /ovbdd-lib.sh

read -r seconds </seconds

# Jiffies that the processor was at work.
busy() {
	awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat
}

# measure DISK DEPTH: sets $n, the requests, and $ticks of 10 ms
measure() {
	ticks=$(busy)
	fio --name=x --filename="$1" --readonly --rw=randread --bs=4k --direct=1 --ioengine=libaio \
		--iodepth="$2" --thread --time_based --runtime="$seconds" --eta=never --minimal \
		--output=/tmp/fio.out || fail "fio: $(cat /tmp/fio.out)"
	ticks=$(($(busy) - ticks))
	n=$(($(cut -d';' -f6 /tmp/fio.out) / 4)) # KiB
}

# row NAME DISK
row() {
	measure "$2" 1
	one=$((seconds * 1000000 / n))
	measure "$2" 32
	printf '%-24s %8d us %8d us\n' "$1" $one $((ticks * 10000 / n))
}

start_daemon
printf '%-24s %11s %11s\n' '4 KiB, random' 'one alone' 'cpu of 32'
ovbd convert -q -O raw /image.ovbd /image
/bin/losetup --direct-io=on /dev/loop7 /image
row 'loop on the raw file' /dev/loop7
for transport in ublk tcmu nbd; do
	row $transport "$(ovbd attach -t $transport --id $transport /image.ovbd)"
	ovbd detach $transport
done
/bin/losetup -r --direct-io=on /dev/loop6 "$(ovbd attach -t fuse --id f /image.ovbd)"
row 'fuse and loop' /dev/loop6
/bin/losetup -d /dev/loop6
