# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts that call ovbd as a user would: ". tests/lib/cli.sh" gives them
#
#   $ovbd      the program
#   $tmp       an empty directory, the working directory; at the end it is gone, with all that is
#              mounted in it, the processes $pids and the loop devices $loops
#   ok, fail, skip, wait_for, status_of, expect
set -eu

# shellcheck disable=SC2034 # for the scripts
ovbd=${OVBD_BUILD:?set OVBD_BUILD to the build directory}/tools/ovbd
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ovbd-cli-XXXXXX")
pids=
loops=
cd "$tmp"

cli_cleanup() {
	status=$?
	trap - EXIT INT TERM HUP
	for pid in $pids; do
		kill -KILL "$pid" 2>/dev/null || :
	done
	awk '{ print $5 }' /proc/self/mountinfo | grep -F "$tmp/" | sort -r | while read -r place; do
		umount -l "$(printf '%b' "$place")" 2>/dev/null || :
	done
	for loop in $loops; do
		losetup -d "$loop" 2>/dev/null || :
	done
	cd /
	rm -rf "$tmp"
	exit $status
}
trap cli_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

ok() {
	echo "ok: $*"
}

skip() {
	echo "skipped: $*"
	exit 77
}

# wait_for CONDITION...: until the command succeeds; 20 seconds at most.
wait_for() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 400 ] || fail "waited in vain for: $*"
		sleep 0.05
	done
}

not() {
	! "$@"
}

# status_of COMMAND...: its exit status, printed.
status_of() {
	s=0
	"$@" || s=$?
	echo $s
}

# expect STATUS WORDS COMMAND...: COMMAND ends with STATUS and says WORDS on standard error.
expect() {
	want=$1 words=$2
	shift 2
	s=0
	"$@" 2>"$tmp/.stderr" || s=$?
	[ $s = "$want" ] || fail "status $s, not $want: $*: $(cat "$tmp/.stderr")"
	grep -qF -e "$words" "$tmp/.stderr" || fail "no '$words' in: $(cat "$tmp/.stderr")"
	ok "$words"
}
