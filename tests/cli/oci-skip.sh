#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# --skip-existing: nothing is done if the target's name means this conversion of this source already, and only then.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib

for n in 1 2; do
	mkdir "d$n"
	seq "$n" 3000 >"d$n/file$n"
	tar -cf "$n.tar" --owner=0 --group=0 --mtime=@1500000000 -C "d$n" .
done
python3 "$lib/oci-image.py" in many --attest --platform linux/amd64 1.tar 2.tar --platform linux/arm64 1.tar >/dev/null
python3 "$lib/oci-image.py" in one 1.tar >/dev/null

state() {
	find "$1" -exec stat -c '%n %Y %Z %i %s' {} + | sort
}
# skips DST OPTION...: and leaves all as it is
skips() {
	dst=$1
	shift
	"$ovbd" convert -q --digestfile want "$@" oci:in:many "$dst:t"
	state "${dst#*:}" >before
	"$ovbd" convert --skip-existing --digestfile got "$@" oci:in:many "$dst:t" 2>said || fail "$dst $*"
	grep -q "^ovbd: convert: $dst:t: sha256:.*: is made of oci:in:many like this already: nothing is done" said || fail "$dst $*: $(cat said)"
	state "${dst#*:}" | cmp - before || fail "$dst $*: something is done"
	cmp want got || fail "$dst $*: another digest"
}
# makes WHAT OPTION... SRC DST: it is no conversion that is there
makes() {
	what=$1
	shift
	"$ovbd" convert --skip-existing "$@" 2>said || fail "$what: $(cat said)"
	! grep -q "nothing is done" said || fail "$what: $(cat said)"
	"$ovbd" convert --skip-existing "$@" 2>said
	grep -q "nothing is done" said || fail "$what, a second time: $(cat said)"
}
skips oci:a
skips oci:b --attestations
skips oci:c --annotation a=b -c zstd --platform linux/amd64
mkdir o
"$ovbd" convert -q oci:in:many dir:o
state o >before
"$ovbd" convert --skip-existing oci:in:many dir:o 2>said
grep -q "nothing is done" said || fail "dir: $(cat said)"
state o | cmp - before || fail "dir: something is done"
ok "it is there"

makes "no target" oci:in:one oci:new:t
makes "another source" oci:in:one oci:a:t
makes "another tag" oci:in:many oci:a:u
makes "another codec" -c zstd oci:in:many oci:a:u
makes "another platform" --platform linux/arm64 oci:in:many oci:a:u
makes "an annotation" --platform linux/arm64 --annotation x=y oci:in:many oci:a:u
makes "attestations" --attestations oci:in:many oci:a:u
makes "another file system" --fs-size 1G oci:in:many oci:a:u
SOURCE_DATE_EPOCH=7
export SOURCE_DATE_EPOCH
makes "another time" oci:in:many oci:a:u
unset SOURCE_DATE_EPOCH
cp -r b gone
find gone/blobs -size +20k | head -n 1 | xargs rm
makes "a layer is gone" --attestations oci:in:many oci:gone:t
cp -r b gone2
grep -l in-toto gone2/blobs/sha256/* | head -n 1 | xargs rm
makes "a document is gone" --attestations oci:in:many oci:gone2:t
ok "it is not there"

"$ovbd" convert --skip-existing --attestations --output=json --progress=json oci:in:many oci:b:t >got 2>said
python3 - <<'END' || fail "$(cat got said)"
import json
result = json.load(open("got"))
event, = [json.loads(line) for line in open("said")]
assert result["skipped"] and event["skipped"] and event["event"] == "result"
assert result["digest"] == event["digest"] and result["layers"] == 3
END
"$ovbd" convert --skip-existing --dry-run oci:in:one oci:none:t >said 2>&1
grep -q "would be converted" said || fail "$(cat said)"
[ ! -e none ] || fail "--dry-run makes something"
expect 1 "is made anew each time (--skip-existing)" "$ovbd" convert --skip-existing oci:in:one oci-archive:a.tar:t
expect 2 "--skip-existing" "$ovbd" convert --skip-existing 1.tar out.ovbd
ok "what is told"
