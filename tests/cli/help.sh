#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Help and hints; and that --help and the man pages speak of the same options.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

"$ovbd" --help >all
"$ovbd" -h | cmp - all || fail "-h"
"$ovbd" help | cmp - all || fail "help"
verbs=$(awk '/^Verbs:/ { on = 1; next } on && NF == 0 { exit } on { print $1 }' all)
[ "$(echo "$verbs" | wc -l)" -ge 6 ] || fail "verbs: $verbs"
[ "$(awk '{ if (length > n) n = length } END { print n }' all)" -le 80 ] || fail "wider than 80"

# The long options a text speaks of, at the beginning of a line.
options_of_help() {
	sed -nE 's/^ +(-.,)? ?--([a-zA-Z0-9_-]+).*/\2/p' "$1" | sort -u
}
options_of_page() {
	sed -nE 's/^(\*-.\*, )?\*--([a-zA-Z0-9_-]+)\*.*/\2/p' "$1" | sort -u
}
for verb in $verbs; do
	"$ovbd" "$verb" --help >help
	"$ovbd" help "$verb" | cmp - help || fail "help $verb"
	grep -q "^Usage: ovbd $verb " help || fail "no usage: $verb"
	[ "$(awk '{ if (length > n) n = length } END { print n }' help)" -le 80 ] || fail "$verb: wider than 80"
	page=$OVBD_SOURCE/docs/man/ovbd-$verb.1.scd
	[ -e "$page" ] || fail "no man page: $verb"
	options_of_help help >a
	options_of_page "$page" >b
	[ "$(wc -l <a)" -ge 4 ] || fail "options of $verb: $(cat a)"
	diff a b || fail "$verb: --help (<) and the man page (>) differ"
	grep -q "^\*$verb\*$" "$OVBD_SOURCE/docs/man/ovbd.1.scd" || fail "ovbd(1) does not speak of $verb"
	if command -v scdoc >/dev/null; then
		scdoc <"$page" >/dev/null || fail "$page"
	fi
	ok "$verb"
done

# overlaybd's tools
for page in "$OVBD_SOURCE"/docs/man/overlaybd-*.1.scd "$OVBD_SOURCE"/docs/man/turboOCI-*.1.scd; do
	tool=$(basename "$page" .1.scd)
	ln -s "$ovbd" "$tool"
	"./$tool" --help >help
	grep -q "^Usage: $tool " help || fail "$tool: $(cat help)"
	grep -q "^More: man $tool\$" help || fail "$tool: $(cat help)"
	[ "$(awk '{ if (length > n) n = length } END { print n }' help)" -le 80 ] || fail "$tool: wider than 80"
	options_of_help help >a
	options_of_page "$page" >b
	[ "$(wc -l <a)" -ge 4 ] || fail "options of $tool: $(cat a)"
	diff a b || fail "$tool: --help (<) and the man page (>) differ"
	expect 2 "Try '$tool --help'" "./$tool" --nonsense
done

version=$("$ovbd" --version)
echo "$version" | grep -qx "ovbd [0-9.]*" || fail "$version"
[ "$("$ovbd" info --version)" = "$version" ] || fail "info --version"
for way in "--version -v" "-v --version" "-Vv" "info -V -v" "info --verbose --version"; do
	[ "$way" = -Vv ] && continue
	# shellcheck disable=SC2086 # words
	"$ovbd" $way | grep -q "^zstd [0-9]" || fail "$way"
done
ok "version"

expect 2 "no verb" "$ovbd" -v
expect 2 "Try 'ovbd --help'" "$ovbd"
expect 2 "did you mean 'convert'?" "$ovbd" convetr
expect 2 "unknown verb 'frobnicate'" "$ovbd" frobnicate
expect 2 "unknown verb 'x'" "$ovbd" help x
expect 2 "a verb comes first" "$ovbd" --output=json info x
expect 2 "did you mean --output?" "$ovbd" info --outptu=json x
expect 2 "could mean several" "$ovbd" convert --ver x y
expect 2 "ovbd: info: SRC is missing" "$ovbd" info

# By another name
ln -s "$ovbd" ovbd-convert
ln -s "$ovbd" ovbd-check
echo words >raw
./ovbd-convert raw out 2>err || fail "$(cat err)"
grep -q "^ovbd-convert: out: " err || fail "$(cat err)"
./ovbd-check out >/dev/null
expect 2 "ovbd-convert: DST is missing" ./ovbd-convert raw
"$ovbd" info -- raw >/dev/null
"$ovbd" info raw --output json >/dev/null # options after operands
touch -- -dash
"$ovbd" convert -q -- -dash dash.ovbd
"$ovbd" info dash.ovbd >/dev/null
ok "names and dashes"

# What is said on success, and what is not
rm out
"$ovbd" convert raw out 2>err
[ "$(wc -l <err)" -le 2 ] || fail "$(cat err)"
grep -q "out: 6 B device" err || fail "$(cat err)"
grep -q "warning: .*no multiple of 512" err || fail "$(cat err)"
rm out
"$ovbd" convert -q raw out 2>err
[ ! -s err ] || fail "-q: $(cat err)"
rm out
head -c 5000000 /dev/urandom >raw
"$ovbd" convert -p raw out 2>err
[ "$(grep -c '%  ' err)" -ge 5 ] || fail "progress: $(cat err)"
grep -q "^ovbd: convert: 100 %  4.77 MiB of 4.77 MiB  " err || fail "$(cat err)"
"$ovbd" convert raw out2 2>err
! grep -q '%  ' err || fail "progress without -p: $(cat err)"
rm out
head -c 262144 /dev/urandom >raw
"$ovbd" convert -c zstd --block-size 64K raw out 2>err
grep -q "warning: out: . blocks* grew beyond 64 KiB .* --block-size 32K" err || fail "$(cat err)"
"$ovbd" info out | grep -q "warning: .*overlaybd cannot read . of its blocks" || fail "info does not warn"
"$ovbd" info --output=json out | grep -q '"overlaybd cannot read' || fail "info does not warn in JSON"
rm out
"$ovbd" convert -c zstd --block-size 32K raw out 2>err
! grep -q warning err || fail "$(cat err)"
ok "what is said"
