# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# /snapshot says by which transport, for how many seconds, how many snapshots of each format are made meanwhile,
# how many milliseconds writes may wait, and which formats. fio writes and verifies one part of the disk, two writers others.
. /ovbdd-lib.sh
. /fio-verify.sh

read -r transport seconds count limit formats </snapshot
mkdir /s
mount -t tmpfs -o size=80% none /s
cd /s
start_daemon

# make FORMAT: an image with an empty writable layer
make() {
	mkdir "$1"
	case $1 in
	rw) ovbd create 16M rw/data && upper='"file": "data"' ;;
	append) ovbd create 16M append/data append/index && upper='"data": "data", "index": "index"' ;;
	sparse) ovbd create --sparse 16M sparse/data sparse/index && upper='"data": "data", "index": "index"' ;;
	esac
	echo "{\"lowers\": [{\"file\": \"/s/base.ovbd\"}], \"upper\": {$upper}}" >"$1/config.json"
}

fio_until() {
	end=$(($(date +%s) + $2)) round=0
	while [ "$(date +%s)" -lt $end ]; do
		round=$((round + 1))
		fio_run "round $round" "$1" --randseed=$round --rw=randwrite --verify_backlog=100 --fsync=50 \
			--name=x --bsrange=512-16k --size=4M --offset=0 || return
	done
	echo "fio: $round rounds"
}

# waited FILE: the longest that a snapshot says, in us
waited() {
	sort -n "$1" | tail -n 1
}

# check_layers FORMAT N: the base and N snapshots above it
check_layers() {
	layers=/s/base.ovbd
	sed -n 's/.*"layer": "\(.*\)".*/\1/p' "$1/said" | head -n "$2" >"$1/layers"
	while read -r layer; do
		layers="$layers $layer"
	done <"$1/layers"
	# shellcheck disable=SC2086 # paths
	ovbd convert -q --force -O raw $layers "$1/copy"
	snapshot_writer check "$1/copy" 8388608 "$1/log1" 12582912 "$1/log2" >"$1/have" || fail "$1: snapshot $2 is no moment"
}

under_load() {
	make "$1"
	disk=$(ovbd attach -t "$transport" --id "$1" --rw "$1/config.json")
	(fio_until "$disk" "$seconds" && : >"$1/fio.ok") >"$1/fio.said" 2>&1 &
	fio=$!
	snapshot_writer write "$disk" 8388608 "$seconds" "$1/log1" >"$1/writer1" &
	one=$!
	snapshot_writer write "$disk" 12582912 "$seconds" "$1/log2" >"$1/writer2" &
	two=$!
	wait_for test -s "$1/log2"
	n=0
	begin=$(now_ms)
	: >"$1/said"
	while [ $n -lt "$count" ]; do
		until [ $(($(now_ms) - begin)) -ge $((n * seconds * 900 / count)) ]; do
			usleep 20000
		done
		ovbd snapshot create --output json "$1" >>"$1/said" || fail "$1: snapshot $n"
		n=$((n + 1))
	done
	took=$(($(now_ms) - begin))
	wait $one || fail "$1: a writer"
	wait $two || fail "$1: a writer"
	wait $fio || { cat "$1/fio.said" && fail "$1: fio"; }
	sed -n 's/.*"pause-us": \([0-9]*\).*/\1/p' "$1/said" >"$1/pauses"
	[ "$(wc -l <"$1/pauses")" = "$count" ] || fail "$1: $(cat "$1/said")"
	us=$(waited "$1/pauses")
	ok "$1 by $transport: $count snapshots in $took ms; writes waited $us us at most, the longest write took $(cut -d' ' -f1 "$1/writer1") us of $(cut -d' ' -f2 "$1/writer1"); $(cat "$1/fio.said")"
	[ "$us" -le $((limit * 1000)) ] || fail "$1: writes waited $us us"
	n=1
	while [ $n -le "$count" ]; do
		check_layers "$1" $n
		n=$((n + 1))
	done
	ok "$1: each is one moment"
	cat "$disk" >"$1/now"
	kill_daemon KILL
	start_daemon
	cmp "$disk" "$1/now" || fail "$1: something else after SIGKILL"
	ovbd detach "$1"
	rm -r "$1"
}

truncate -s 16M base
ovbd convert -q base base.ovbd
for format in $formats; do
	under_load "$format"
done
! dmesg | grep -E 'I/O error|BUG:|WARNING:|blocked for more' || fail "the kernel noticed"
kill_daemon TERM
