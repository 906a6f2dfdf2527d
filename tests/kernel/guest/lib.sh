# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts in a guest: ok, fail, wait_for; the log of the server, where there is one, is shown
# after a failure.
set -eu

log=/tmp/log
: >$log

guest_end() {
	status=$?
	[ $status = 0 ] || { sed 's/^/log: /' $log && dmesg | tail -n 30 | sed 's/^/kernel: /'; }
}
trap guest_end EXIT

ok() {
	echo "ok: $*"
}

fail() {
	echo "FAILED: $*"
	exit 1
}

# wait_for CONDITION...: until the command succeeds; a minute at most.
wait_for() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 3000 ] || fail "waited in vain for: $*"
		usleep 20000
	done
}

# now_ms: of a clock that only goes on
now_ms() {
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}0"
}

not() {
	! "$@"
}

# check_tree DIR: every file is as it was when the image was made.
check_tree() {
	(cd "$1" && sha256sum -c SHA256SUMS >/tmp/sums) || { cat /tmp/sums && fail "files differ"; }
	ok "$(wc -l <"$1/SHA256SUMS") files are as they should be"
}
