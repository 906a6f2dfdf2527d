# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For scripts that convert: cli.sh, and
#
#   data SIZE SEED        SIZE bytes on standard output, some of which compress, some are zeros; the
#                         same for the same SEED
#   put FILE OFFSET SIZE SEED     writes such bytes into FILE
#   layer SRC... DST      ovbd convert, quietly
#   same A... B           ovbd compare says that they are the same
#   holds FILE SCHEMA EXPRESSION...   FILE is JSON of that schema, of which, called j, each Python
#                         EXPRESSION is true
#   exits STATUS COMMAND...       it ends with STATUS; what it prints goes where it is sent
#   left_behind           nothing but what is named on its command line is in the directory
. "${OVBD_SOURCE:?set OVBD_SOURCE to the source directory}/tests/lib/cli.sh"

data() {
	python3 -c '
import random, sys
size, r = int(sys.argv[1]), random.Random(int(sys.argv[2]))
while size > 0:
    kind = r.randrange(4)
    n = min(size, r.choice((512, 4096, 4096, 5000, 65536)))
    if kind == 0:
        piece = bytes(n)
    elif kind == 1:
        piece = r.randbytes(n)
    else:
        word = r.randbytes(r.randrange(3, 200))
        piece = (word * (n // len(word) + 1))[:n]
    sys.stdout.buffer.write(piece)
    size -= n
' "$1" "$2"
}

put() {
	data "$3" "$4" | dd of="$1" bs=64K seek="$2" oflag=seek_bytes conv=notrunc status=none
}

layer() {
	"$ovbd" convert -q "$@"
}

same() {
	"$ovbd" compare -q "$@" || fail "not the same: $*"
}

holds() {
	python3 -c '
import json, sys
j = json.load(open(sys.argv[1]))
bad = [e for e in sys.argv[3:] if not eval(e)]
if j.get("schema") != sys.argv[2] or bad:
    sys.exit(f"{bad} of {json.dumps(j, indent=1)}")' "$@" || fail "JSON in $1"
}

exits() {
	s_want=$1
	shift
	s=0
	"$@" || s=$?
	[ $s = "$s_want" ] || fail "status $s, not $s_want: $*"
}

# What is in the directory, dot files too, but for the tests' own.
left_behind() {
	s_now=$(find . -mindepth 1 -maxdepth 1 ! -name .stderr -printf '%f\n' | sort)
	s_want=$(printf '%s\n' "$@" | sort)
	[ "$s_now" = "$s_want" ] || fail "there is: $s_now"
}
