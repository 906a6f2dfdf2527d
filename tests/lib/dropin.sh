# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For stories of overlaybd's tools: tests/lib/cli.sh, and
#
#   $bin                   the tools, by their names
#   said OUT ERR TOOL...   TOOL succeeds, and says exactly the lines OUT and ERR ("-": one empty line) on
#                          standard output and error
#   config FILE DIR LOWER...  a config.v1.json as the snapshotter writes it: the upper in DIR ("": none), over LOWERs
#   refused STATUS WORDS TOOL...  as expect, and nothing is on standard output but what overlaybd-zfile begins with
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

bin=$tmp/bin
mkdir "$bin"
for tool in overlaybd-apply overlaybd-commit overlaybd-create overlaybd-merge overlaybd-resize overlaybd-zfile turboOCI-apply; do
	ln -s "$ovbd" "$bin/$tool"
done

# the configuration of a daemon of this machine is no matter of tests
[ ! -e /etc/overlaybd/overlaybd.json ] || skip "/etc/overlaybd/overlaybd.json would be read"

said() {
	out=$1 err=$2
	shift 2
	"$@" >"$tmp/.out" 2>"$tmp/.err" || fail "status $?: $*: $(cat "$tmp/.err")"
	[ "$(cat "$tmp/.out")" = "$out" ] || fail "said '$(cat "$tmp/.out")', not '$out': $*"
	case $err in
	-) printf '\n' | cmp - "$tmp/.err" || fail "no empty line, but '$(cat "$tmp/.err")': $*" ;;
	*) [ "$(cat "$tmp/.err")" = "$err" ] || fail "complained '$(cat "$tmp/.err")', not '$err': $*" ;;
	esac
}

config() {
	file=$1 upper=$2
	shift 2
	{
		printf '{"repoBlobUrl":"","lowers":['
		comma=
		for lower in "$@"; do
			if [ -d "$lower" ]; then
				printf '%s{"dir":"%s"}' "$comma" "$lower"
			else
				printf '%s{"file":"%s"}' "$comma" "$lower"
			fi
			comma=,
		done
		printf '],"upper":{'
		[ -z "$upper" ] ||
			printf '"index":"%s/writable_index","data":"%s/writable_data"' "$upper" "$upper"
		printf '},"resultFile":""}'
	} >"$file"
}

refused() {
	want=$1 words=$2
	shift 2
	expect "$want" "$words" "$@" >"$tmp/.out"
	! grep -v -e '^ok: ' -e ' file .* as ' -e 'is not a valid zfile' "$tmp/.out" || fail "$*: said on standard output"
	ok "$words"
}
