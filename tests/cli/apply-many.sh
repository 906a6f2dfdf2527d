#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Many of everything, in little memory and time: 100,000 names in a directory, metadata that do not fit into
# memory, files in many pieces, a large file, 5000 hard links.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"

python3 - <<'END'
import io, tarfile

with tarfile.open("many.tar", "w", format=tarfile.USTAR_FORMAT) as t:
    def add(name, data=b"", kind=tarfile.REGTYPE, link=""):
        i = tarfile.TarInfo(name)
        i.size, i.mtime, i.type, i.linkname = len(data), 1600000000, kind, link
        t.addfile(i, io.BytesIO(data))

    for n in range(100000):
        add(f"one/name-{n:06}")
    for n in range(20000):
        add(f"dirs/{n % 100:02}/{n:05}/file", b"x")
    add("hard")
    for n in range(5000):
        add(f"links/{n}", kind=tarfile.LNKTYPE, link="hard")
END
/usr/bin/env time -f %M "$ovbd" apply -q --fs-size 4G many.tar many 2>rss || fail "many: $(cat rss)"
kib=$(tail -n 1 rss)
[ "$kib" -lt 204800 ] || fail "$kib KiB of memory"
"$ovbd" convert -q -O raw many many.raw
e2fsck -fn many.raw >fsck.out 2>&1 || { tail -n 20 fsck.out && fail "e2fsck"; }
[ "$(debugfs -R 'ls -p /one' many.raw 2>/dev/null | grep -c /name-)" = 100000 ] || fail "names are missing"
ok "many: $kib KiB"

# Half of them go again, and the layer for that is small.
python3 - <<'END'
import tarfile

with tarfile.open("half.tar", "w") as t:
    for n in range(0, 100000, 2):
        t.addfile(tarfile.TarInfo(f"one/.wh.name-{n:06}"))
END
"$ovbd" apply -q -B many half.tar half
"$ovbd" convert -q -O raw --force many half many.raw
e2fsck -fn many.raw >fsck.out 2>&1 || { tail -n 20 fsck.out && fail "e2fsck"; }
[ "$(debugfs -R 'ls -p /one' many.raw 2>/dev/null | grep -c /name-)" = 50000 ] || fail "the wrong names are gone"
ok "half of them"

# A sparse file in all the ways GNU tar has, and an image that is nearly full of one file.
truncate -s 300M sparse
for n in 0 1 7 100 299; do
	head -c 5000 /dev/urandom | dd of=sparse bs=1M seek=$n conv=notrunc status=none
done
for form in "gnu" "posix --sparse-version=0.0" "posix --sparse-version=0.1" "posix --sparse-version=1.0"; do
	# shellcheck disable=SC2086 # words
	tar -S --format=$form -cf sparse.tar sparse
	"$ovbd" apply -q --force --fs-size 16M sparse.tar layer
	"$ovbd" convert -q -O raw --force layer layer.raw
	e2fsck -fn layer.raw >fsck.out 2>&1 || fail "$form: $(cat fsck.out)"
	debugfs -R "dump /sparse out" layer.raw 2>/dev/null
	cmp sparse out || fail "$form"
	rm out
done
ok "sparse files"

head -c 200M /dev/urandom >large
tar -cf - large | "$ovbd" apply -q --force --fs-size 210M - layer
"$ovbd" convert -q -O raw --force layer layer.raw
e2fsck -fn layer.raw >fsck.out 2>&1 || fail "large: $(cat fsck.out)"
debugfs -R "dump /large out" layer.raw 2>/dev/null
cmp large out
ok "a large file"
