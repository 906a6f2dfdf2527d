# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts that serve what is far away and in trouble; after serve.sh or daemon.sh.
#
#   $url              where the files of www are, through a proxy that can spoil all of it
#   proxy COMMAND     a command of tests/lib/fault_proxy.c; returns when it is obeyed
#   lies LIE,...      range-server.py's, from now on; none: honest
#   reads FILE EXPECTED N [right|wrong]   N reads at random, which are right or EIO; all must be
#                     right, or some must fail
#   heals FILE EXPECTED                   soon all is right again
command -v python3 >/dev/null || skip "python3 is not installed"
command -v curl >/dev/null || skip "curl is not installed"

mkdir www
mkfifo hold orders
exec 7<>hold # the web server ends when nobody has it open
python3 "$OVBD_SOURCE/tests/lib/range-server.py" www <hold >port 2>/dev/null &
pids="$pids $!"
wait_for test -s port
"$OVBD_BUILD/tests/fault_proxy" "$(cat port)" <orders >answers &
pids="$pids $!"
exec 8>orders
wait_for test -s answers
web=http://127.0.0.1:$(cat port)
# shellcheck disable=SC2034 # for the scripts
url=http://127.0.0.1:$(cat answers)/~as=faults
norders=1

is_obeyed() {
	[ "$(wc -l <answers)" -gt "$norders" ]
}

proxy() {
	echo "$*" >&8
	wait_for is_obeyed
	norders=$((norders + 1))
	[ "$(tail -n 1 answers)" = ok ] || fail "the proxy says: $(tail -n 1 answers)"
}

# shellcheck disable=SC2120 # without an argument: honest
lies() {
	curl -sSf --noproxy '*' "$web/~set/faults/${1-}" || fail "the web server does not answer"
}

seed=0
reads() {
	seed=$((seed + 1))
	"$OVBD_SOURCE/tests/lib/read_under_faults.py" "$1" "$2" "$3" $seed ${4+"$4"} >counted ||
		fail "reads of $1: $(cat counted)"
}

is_right_again() {
	cmp -s "$1" "$2" 2>/dev/null
}

heals() {
	proxy ok
	lies
	wait_for is_right_again "$1" "$2"
	reads "$1" "$2" 20 right
}
