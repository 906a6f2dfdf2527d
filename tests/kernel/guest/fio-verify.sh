# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest that has fio (tests/kernel/lib.sh: $with_fio), after lib.sh:
#
#   fio_verify DISK SECONDS   writes the whole disk in random order and reads it again, until the
#                             seconds have passed, and the round that is being made; 0: one round;
#                             a file instead of a number: until there is one of that name
#   fio_write FILE            fills a file with sectors that say what they should be,
#   fio_read DISK SECONDS     and verifies them, in the same way, without writing
#
# Two jobs, 32 requests of each in flight, past the page cache: one of 512 B to 1 MiB, one of 512 B
# to 16 KiB, each on half of the disk; flushes in between. fio ends at the first request that fails
# and at the first byte that is wrong; then its words are printed. A round is one process, with a
# seed of its own: what was written in an earlier one is none of its business.

# fio_run WHAT FILE OPTION...
fio_run() {
	fio_what=$1 fio_file=$2
	shift 2
	fio --eta=never --filename="$fio_file" --direct=1 --ioengine=libaio --iodepth=32 --thread \
		--verify=crc32c --verify_fatal=1 --verify_dump=0 --output="fio.${fio_file##*/}.out" "$@" || {
		cat "fio.${fio_file##*/}.out"
		echo "FAILED: fio: $fio_what"
		return 1
	}
}

# fio_is_over UNTIL: a time, or a file
fio_is_over() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) [ "$(date +%s)" -ge "$1" ] ;;
	esac
}

# fio_rounds FILE SECONDS OPTION...
fio_rounds() {
	fio_disk=$1 fio_until=$2 fio_round=0
	case $2 in
	/*) ;;
	*) fio_until=$(($(date +%s) + $2)) ;;
	esac
	shift 2
	while :; do
		fio_round=$((fio_round + 1))
		fio_run "round $fio_round on $fio_disk" "$fio_disk" --randseed=$fio_round "$@" \
			--name=large --bsrange=512-1M --size=50% --offset=0 \
			--name=small --bsrange=512-16k --size=50% --offset=50% || return
		! fio_is_over "$fio_until" || break
	done
	echo "ok: fio: $fio_round rounds on $fio_disk"
}

fio_verify() { # DISK SECONDS OPTION...
	fio_verified=$1 fio_seconds=$2
	shift 2
	fio_rounds "$fio_verified" "$fio_seconds" --rw=randwrite --verify_backlog=100 --fsync=50 "$@"
}

fio_write() {
	fio_run "filling $1" "$1" --direct=0 --name=fill --rw=write --bs=64k --verify_interval=512 --do_verify=0
}

fio_read() {
	fio_rounds "$1" "$2" --rw=randread --verify_interval=512
}
