#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A trace made of the names of files: what they take is in it, and not much else.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

command -v mke2fs >/dev/null || skip "mke2fs is not installed"
command -v debugfs >/dev/null || skip "debugfs is not installed"
mkdir -p root/bin root/lib/deep root/other
head -c 300000 /dev/urandom >root/bin/tool
head -c 200000 /dev/urandom >root/lib/a
head -c 100000 /dev/urandom >root/lib/deep/b
head -c 2000000 /dev/urandom >root/other/big
ln -s ../bin/tool root/lib/link
ln -s /lib root/alias
truncate -s 32M disk.raw
mke2fs -q -t ext4 -b 4096 -d root disk.raw
"$ovbd" convert -q -f raw disk.raw disk.ovbd
printf '/bin/tool\n\n/nowhere\n' >list
if ! "$ovbd" trace from-paths list tool.trace disk.ovbd 2>said; then
	grep -q "without libext2fs" said && skip "this ovbd was built without libext2fs"
	fail "$(cat said)"
fi
grep -q "warning: /nowhere: .*not found" said || fail "$(cat said)"

# has TRACE FILE: whether all blocks of a file of the device are in it. The layer has the device's blocks in
# their order, behind a header, but for those that are zeros: a block is found by its bytes.
has() {
	debugfs -R "blocks $2" disk.raw 2>/dev/null | tr ' ' '\n' | grep . >blocks
	"$ovbd" convert -q --force -O lsmt -f raw disk.raw plain.lsmt
	"$ovbd" trace show --output=json "$1" >ranges
	python3 - <<'PY'
import json
ranges = json.load(open("ranges"))["ranges"]
raw, layer = open("disk.raw", "rb").read(), open("plain.lsmt", "rb").read()
pages = {p for r in ranges for p in range(r["offset"] // 4096, (r["offset"] + r["length"]) // 4096)}
for block in map(int, open("blocks")):
    at = layer.find(raw[block * 4096:block * 4096 + 4096])
    if at < 0 or at % 4096:
        raise SystemExit(f"block {block} is not to be found")
    if at // 4096 not in pages:
        raise SystemExit(1)
PY
}

size_of() {
	"$ovbd" trace show --output=json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["size"])'
}

has tool.trace /bin/tool || fail "a file"
! has tool.trace /lib/a 2>/dev/null || fail "another file is in it"
[ "$(size_of tool.trace)" -le 500000 ] || fail "$(size_of tool.trace) bytes for a file of 300000"
ok "a file"

echo /lib/link >list
"$ovbd" trace from-paths list link.trace disk.ovbd
has link.trace /bin/tool || fail "a link"
echo /alias/ >list
"$ovbd" trace from-paths list lib.trace disk.ovbd
has lib.trace /lib/a || fail "in a directory"
has lib.trace /lib/deep/b || fail "deep in a directory"
! has lib.trace /other/big 2>/dev/null || fail "another directory is in it"
echo /lib >list
"$ovbd" trace from-paths list dir.trace disk.ovbd
! has dir.trace /lib/a 2>/dev/null || fail "a directory without its slash"
echo '/*' >list
"$ovbd" trace from-paths list all.trace disk.ovbd
has all.trace /other/big || fail "all"
ok "links and directories"

expect 1 "all.trace: exists" "$ovbd" trace from-paths list all.trace disk.ovbd
expect 1 "only a stack of layers can be traced" "$ovbd" trace from-paths list x disk.raw
head -c 100000 /dev/urandom >noise
"$ovbd" convert -q -f raw noise noise.ovbd
expect 1 "the device holds no ext4" "$ovbd" trace from-paths list x noise.ovbd
expect 2 "it is: trace from-paths LIST OUT SRC..." "$ovbd" trace from-paths list x
