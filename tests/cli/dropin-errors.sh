#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# overlaybd's tools on what is not there, damaged, forbidden, full, in use or killed: one sentence, a status that is
# not 0, and nothing left behind.
. "${OVBD_SOURCE:?}/tests/lib/dropin.sh"

create=$bin/overlaybd-create commit=$bin/overlaybd-commit apply=$bin/overlaybd-apply merge=$bin/overlaybd-merge

mkdir -p files
echo hello >files/hello
head -c 3000000 /dev/urandom >files/big
tar -C files -cf a.tar .

# ---- called wrongly ----

refused 2 "DATA is missing" "$create"
refused 2 "SIZE is missing" "$create" d i
refused 2 "unexpected word '5'" "$create" d i 4 5
for size in x -1 1.5 "" 536870912 0x10; do
	refused 2 "a whole number of GiB" "$create" -- d i "$size"
done
refused 2 "--raw is a plain disk" "$create" --raw -s d i 1
refused 1 "is not a UUID" "$create" -u 7 d i 1
refused 1 "must be a multiple of 4096, from 1M to 16T" "$create" d i 0 --mkfs
for option in --turboOCI --fastoci; do
	refused 69 "layers of turboOCI are not made here" "$create" d i -s 256 $option --mkfs
	refused 69 "layers of turboOCI are not made here" "$commit" d i out -z $option
done
refused 69 "layers of turboOCI are not made here" "$bin/turboOCI-apply" layer.tar config.json --gz_index_path gzip.meta --fstype erofs
refused 69 "layers of turboOCI are not made here" "$bin/turboOCI-apply" a.tar meta --export
refused 69 "layers of turboOCI are not made here" "$apply" a.tar c.json --gz_index_path gzip.meta
refused 69 "qcow2 images are not read here" "$apply" a.tar c.json --from_qcow2 --no-extract-rootfs
if [ -e d ] || [ -e i ]; then
	fail "left: $(ls)"
fi
refused 2 "OUT is missing" "$commit" d i
refused 2 "INDEX is missing" "$commit" --seal d
refused 2 "--seal leaves DATA as it is" "$commit" --seal d i -z
refused 2 "are two things" "$commit" --seal d i --commit_sealed
refused 2 "invalid '--algorithm' parameters" "$commit" d i out -z --algorithm lzo
for bs in 2 5 128 x; do
	refused 2 "invalid '--bs' parameters" "$commit" d i out -z --bs $bs
done
refused 2 "is not a UUID" "$commit" d i out --uuid 11111111-2222-3333-4444-5555555555555555
refused 2 "a number from 1 to 256" "$commit" d i out --compress_threads 0
refused 2 "--compress=no: it is true or false" "$merge" --compress=no c.json out
refused 2 "unknown option --fstype" "$apply" --fstype ext4 a.tar c.json

# ---- not there, or something else ----

refused 1 "d: No such file or directory" "$commit" d i out
refused 1 "d: No such file or directory" "$commit" --seal d i
refused 1 "d: No such file or directory" "$commit" --commit_sealed d out
"$create" d i 1 --mkfs >/dev/null
refused 1 "d: File exists" "$create" d j 1
refused 1 "i: File exists" "$create" j i 1
[ ! -e j ] || fail "j was left"
refused 1 "nowhere: No such file or directory" "$commit" d nowhere out
refused 1 "a.tar: is no ovbd-rw" "$commit" a.tar "" out
refused 1 "files/big: is not a layer that was sealed" "$commit" --commit_sealed files/big out
"$create" d2 i2 1 >/dev/null
refused 1 "is that of layer" "$commit" d i2 out
head -c 1000 d >short
refused 1 "short: lsmt data file: 1000 bytes are shorter than a header" "$commit" short i out
head -c 5000 d >short
refused 1 "short: " "$commit" short i out # records lead beyond its end
refused 1 "short: " "$commit" --seal short i
[ "$(stat -c %s short)" = 5000 ] || fail "what could not be sealed was changed"
head -c 40000 /dev/urandom >noise
refused 1 "noise: " "$commit" noise i out
refused 1 "noise: " "$commit" --commit_sealed noise out
[ ! -e out ] || fail "out was left"

config c.json "$tmp"
mv d writable_data
mv i writable_index
refused 1 "nowhere.tar: No such file or directory" "$apply" nowhere.tar c.json
refused 1 "nowhere.json: No such file or directory" "$apply" a.tar nowhere.json
refused 1 "noise: is not an image configuration" "$apply" a.tar noise
refused 1 "nowhere.json: No such file or directory" "$merge" nowhere.json out
echo '{"lowers": [' >bad.json
refused 1 "bad.json: line 2, column" "$apply" a.tar bad.json
refused 1 "nowhere.json: No such file or directory" "$apply" a.tar c.json --service_config_path nowhere.json
echo '{"credentialConfig": {"mode": "x"}}' >service.json
refused 1 '"credentialConfig.mode" must be' "$apply" a.tar c.json --service_config_path service.json
"$commit" writable_data writable_index base.commit -z >/dev/null 2>&1
config ro.json "" "$tmp/base.commit"
refused 1 "ro.json: is read-only: it names no upper" "$apply" a.tar ro.json
mkdir empty
"$create" empty/writable_data empty/writable_index 1 >/dev/null
config empty.json "$tmp/empty"
refused 1 "the file system beneath: Bad magic number in super-block" "$apply" a.tar empty.json
head -c 100000 a.tar >cut.tar
refused 1 "cut.tar: " "$apply" cut.tar c.json
gzip -c a.tar | head -c 100000 >cut.tgz
refused 1 "cut.tgz: " "$apply" cut.tgz c.json
refused 1 "noise: " "$apply" noise c.json
refused 1 "files: is a directory" "$apply" files c.json
"$commit" -f writable_data writable_index after.commit -z >/dev/null 2>&1
"$ovbd" convert -q -O raw after.commit after.raw
e2fsck -fn after.raw >fsck 2>&1 || fail "after what was refused: $(cat fsck)"
debugfs -R 'ls /' after.raw 2>/dev/null | grep -q hello && fail "what was refused is there"
ok "what is refused changes nothing"

# ---- in use, killed ----

# starts an apply that waits for the rest of its tar, once it has read all but the end of it
begin() {
	rm -f fifo
	mkfifo fifo
	"$apply" fifo c.json >/dev/null 2>apply.err &
	pid=$!
	pids="$pids $pid"
	exec 9>fifo
	head -c 3000000 a.tar >&9 # a pipe holds 64 KiB: when this is written it has read the rest
}
begin
refused 1 "is in use by process $pid" "$commit" writable_data writable_index out
refused 1 "is in use by process $pid" "$commit" --seal writable_data writable_index
refused 1 "is in use by process $pid" "$apply" a.tar c.json
kill -KILL $pid
wait $pid 2>/dev/null || :
exec 9>&-
"$commit" -f writable_data writable_index killed.commit -z >/dev/null 2>&1
cmp killed.commit after.commit >/dev/null || "$ovbd" check -q killed.commit
"$ovbd" convert -q --force -O raw killed.commit after.raw
e2fsck -fn after.raw >fsck 2>&1 || fail "after a kill: $(cat fsck)"
# a signal
begin
kill -TERM $pid
exec 9>&-
s=0
wait $pid || s=$?
[ $s = 143 ] || fail "status $s after a signal: $(cat apply.err)"
grep -q "interrupted" apply.err || fail "$(cat apply.err)"
# and then as if nothing had been
said "overlaybd-apply done" - "$apply" a.tar c.json
"$commit" -f writable_data writable_index after.commit -z >/dev/null 2>&1
"$ovbd" convert -q --force -O raw after.commit after.raw
e2fsck -fn after.raw >fsck 2>&1 || fail "$(cat fsck)"
debugfs -R 'cat /big' after.raw 2>/dev/null | cmp - files/big || fail "/big"
for i in 1 2 3 4 5 6 7 8; do
	rm -f out
	"$commit" writable_data writable_index out -z --algorithm zstd >/dev/null 2>&1 &
	pid=$!
	while [ $i -gt 1 ] && [ -e /proc/$pid/io ] && [ "$(sed -n 's/^rchar: //p' /proc/$pid/io 2>/dev/null || echo 9999999)" -lt $((i * 400000)) ]; do
		:
	done
	kill -KILL $pid 2>/dev/null || :
	wait $pid 2>/dev/null || :
	[ ! -e out ] || "$ovbd" check -q out || fail "a part of a layer"
done
[ -z "$(find . -name '.out.*')" ] || fail "left: $(find . -name '.out.*')"
ok "in use, killed, interrupted"

# ---- no permission, no room ----

if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null; then
	skip "not root: no file that is forbidden, no small file system"
fi
chmod 755 "$tmp"
nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
# shellcheck disable=SC2015 # both are to fail the same way
nobody test -x "$ovbd" 2>/dev/null || skip "this checkout is closed to nobody: not tried without permission"
refused 1 "d: Permission denied" nobody "$create" d i 1
chmod 600 writable_data
refused 1 "writable_data: Permission denied" nobody "$commit" writable_data writable_index /dev/shm/out
mkdir -m 777 open
cp a.tar open/ && chmod 644 open/a.tar
nobody "$create" open/d open/i 1 --mkfs >/dev/null || fail "as nobody"
refused 1 "out: " nobody "$commit" open/d open/i out
nobody "$commit" open/d open/i open/out -z >/dev/null 2>&1 || fail "as nobody"
ok "without permission"

mkdir small
mount -t tmpfs -o size=32k tmpfs small || skip "cannot mount: not tried on a full disk"
refused 1 "No space left on device" "$create" small/d small/i 1 --mkfs
[ -z "$(ls small)" ] || fail "left: $(ls small)"
refused 1 "No space left on device" "$commit" writable_data writable_index small/out -z
[ -z "$(ls -A small)" ] || fail "left: $(ls -A small)"
umount small
mount -t tmpfs -o size=2m tmpfs small
said "overlaybd-create has created files SUCCESSFULLY" "" "$create" small/writable_data small/writable_index 1 --mkfs
config small.json "$tmp/small"
refused 1 "No space left on device" "$apply" a.tar small.json
mount -o remount,size=4m small
tar -C files -cf hello.tar hello
said "overlaybd-apply done" - "$apply" hello.tar small.json
"$ovbd" convert -q --force -O raw small.json after.raw
e2fsck -fn after.raw >fsck 2>&1 || fail "after a full disk: $(cat fsck)"
debugfs -R 'cat /hello' after.raw 2>/dev/null | grep -q hello || fail "/hello"
dd if=/dev/zero of=small/fill bs=4k conv=notrunc oflag=append 2>/dev/null || :
refused 1 "No space left on device" "$commit" --seal small/writable_data small/writable_index
rm small/fill
said "" "" "$commit" --seal small/writable_data small/writable_index
"$ovbd" compare after.raw small/writable_data >/dev/null || fail "sealed after a full disk it reads as something else"
ok "without room"
