#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A writable layer is put over other layers, and goes on to show what it showed.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

command -v qemu-io >/dev/null || skip "no qemu-io"

# what lay beneath, and what shall: blocks differ, one has holes or ends where the other has data
python3 - <<'PY'
import random
random.seed(3)
B = 4096
def save(name, blocks):
    with open(name, "wb") as f:
        f.write(b"".join(blocks))
data = lambda n: [random.randbytes(B) for _ in range(n)]
old = data(400)
for first, n in ((50, 30), (200, 60), (390, 5)):
    old[first:first + n] = [bytes(B)] * n
save("old.raw", old)
save("delta.raw", old[:100] + data(7) + old[107:])
new = old[:40] + data(20) + old[60:210] + data(20) + old[230:300]
save("smaller.raw", new)
save("larger.raw", new + data(90) + [bytes(B)] * 60 + data(120))
PY
"$ovbd" convert -q --uuid 00000000-0000-4000-8000-00000000000a old.raw old.ovbd
"$ovbd" convert -q --uuid 00000000-0000-4000-8000-00000000000b -B old.ovbd delta.raw delta.ovbd
"$ovbd" convert -q --uuid 00000000-0000-4000-8000-00000000000c smaller.raw smaller.ovbd
"$ovbd" convert -q --uuid 00000000-0000-4000-8000-00000000000d larger.raw larger.ovbd

# image FORMAT: a fresh layer over old.ovbd and delta.ovbd, in image.json, which has been written to;
# its files are $files, what it shows is want.raw
image() {
	rm -f u.*
	files=u.data names='"file": "u.data"' sparse=
	[ "$1" = rw ] || files="u.data u.index" names='"index": "u.index", "data": "u.data"'
	[ "$1" != sparse ] || sparse=--sparse
	# shellcheck disable=SC2086 # names
	"$ovbd" create $sparse 1800K $files
	printf '{"repoBlobUrl": "", "lowers": [{"file": "old.ovbd"}, {"file": "delta.ovbd"}], "upper": {%s}}' "$names" >image.json
	# over data of both, over a hole of the old one, beyond its end; parts of blocks
	# shellcheck disable=SC2016 # the URI is that of --run
	"$ovbd" serve -q --nbd u.sock --rw image.json --run 'qemu-io -f raw -c "write -P 7 100k 50k" \
		-c "write -P 8 1000 1500" -c "write -z 180k 20k" -c "discard 860k 40k" -c "discard 1M 64k" \
		-c "write -P 9 1700k 5k" -c "write -P 3 513k 512" -c flush "$OVBD_URI" >said 2>&1 || exit 1' || fail "$(cat said)"
	! grep -qiE "failed|error" said || fail "$(cat said)"
	"$ovbd" convert -q -O raw --force image.json want.raw
}

# shows NAME...: what it showed
shows() {
	"$ovbd" convert -q -O raw --force "$@" got.raw
	cmp got.raw want.raw || fail "$format: over $*: it shows something else"
}

for format in rw append sparse; do
	for base in smaller larger; do
		image $format
		"$ovbd" rebase -q -B $base.ovbd image.json
		grep -q "\"file\": \"$PWD/$base.ovbd\"" image.json || fail "$(cat image.json)"
		! grep -q old image.json || fail "$(cat image.json)"
		shows image.json
		# shellcheck disable=SC2086 # names
		"$ovbd" commit -q $files --force u.ovbd
		"$ovbd" check -q u.ovbd
		shows $base.ovbd u.ovbd
		"$ovbd" info u.ovbd | grep -q "parent UUID: *00000000-0000-4000-8000-00000000000[CD]" || fail "parent: $("$ovbd" info u.ovbd)"
		# back, by the names of the files: nothing is to be written but what differs
		# shellcheck disable=SC2086 # names
		"$ovbd" rebase --from $base.ovbd -B old.ovbd -B delta.ovbd $files 2>said
		grep -q "written, where what lies beneath differs" said || fail "$(cat said)"
		# shellcheck disable=SC2086 # names
		"$ovbd" commit -q $files --force u.ovbd
		shows old.ovbd delta.ovbd u.ovbd
	done
	# onto nothing; and from nothing
	image $format
	"$ovbd" rebase -q --flatten image.json
	shows image.json
	# shellcheck disable=SC2086 # names
	"$ovbd" commit -q $files --force u.ovbd
	shows u.ovbd
	# shellcheck disable=SC2086 # names
	"$ovbd" rebase -q --whole -B larger.ovbd $files
	# shellcheck disable=SC2086 # names
	"$ovbd" commit -q $files --force u.ovbd
	shows larger.ovbd u.ovbd
	ok "$format"
done

# only what differs is written
image rw
"$ovbd" convert -q old.ovbd delta.ovbd both.ovbd
"$ovbd" rebase -B both.ovbd image.json 2>said
grep -q "image.json: 0 bytes written" said || fail "$(cat said)"
shows image.json

# -u: the record alone, also where the old layers are gone
image rw
cp u.data before.data
mv old.ovbd gone.ovbd
"$ovbd" rebase -u -B both.ovbd image.json
mv gone.ovbd old.ovbd
shows image.json
[ "$(cmp -l before.data u.data | wc -l)" -lt 300 ] || fail "-u has written data"
"$ovbd" rebase -u -B smaller.ovbd u.data
"$ovbd" commit -q u.data --force u.ovbd
"$ovbd" info u.ovbd | grep -q "parent UUID: *00000000-0000-4000-8000-00000000000C" || fail "parent"
ok "-u"

expect 2 "DATA is missing" "$ovbd" rebase -B old.ovbd
expect 2 "-B is missing" "$ovbd" rebase u.data
expect 2 "--flatten: then nothing lies beneath" "$ovbd" rebase --flatten -B old.ovbd u.data
expect 2 "it is not -u" "$ovbd" rebase --flatten -u u.data
expect 2 "--whole: --from is for what lies beneath" "$ovbd" rebase --whole --from old.ovbd -B old.ovbd u.data
expect 1 "u.data: what lies beneath it now is not known" "$ovbd" rebase -B old.ovbd u.data
expect 1 "a configuration says itself what lies beneath" "$ovbd" rebase --from old.ovbd -B old.ovbd image.json
echo '{"lowers": [{"file": "old.ovbd"}]}' >old.json
expect 1 "old.json is a configuration: name its layers" "$ovbd" rebase -B old.json image.json
"$ovbd" rebase -q --from both.ovbd -B old.json u.data
