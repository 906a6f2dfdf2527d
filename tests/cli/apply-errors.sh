#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What cannot be applied is refused in a sentence that says where, and leaves nothing behind.
. "${OVBD_SOURCE:?}/tests/lib/apply.sh"

# refused STATUS SENTENCE ARGUMENT...: also, no file is made
refused() {
	want=$1 sentence=$2
	shift 2
	ls -A >before
	"$ovbd" apply -q "$@" out 2>said && fail "$* was applied"
	status=$?
	ls -A >after
	[ $status = "$want" ] || fail "$*: exit $status, not $want: $(cat said)"
	grep -qF -e "$sentence" said || fail "$*: said \"$(cat said)\", not \"$sentence\""
	cmp -s before after || fail "$* leaves $(diff before after)"
}
for file in before after said; do : >$file; done

python3 "$lib/tar_torture.py" .
size=$(stat -c %s 0.tar)
head -c $((size / 2)) 0.tar >half.tar
refused 1 "the tar ends in the middle" half.tar
refused 1 "entry " half.tar
gzip -kn 0.tar
head -c 100000 0.tar.gz >half.gz
refused 1 "ends in the middle" half.gz
cp 0.tar.gz bad.gz
printf '\001\002\003\004' | dd of=bad.gz bs=1 seek=50000 conv=notrunc status=none
refused 1 "gzip stream is damaged" bad.gz
{ cat 0.tar.gz && echo more; } >more.gz
refused 1 "something behind the gzip stream" more.gz
zstd -q -k 0.tar
printf '\001\002\003\004' | dd of=0.tar.zst bs=1 seek=50000 conv=notrunc status=none
refused 1 "zstd stream is damaged" 0.tar.zst
cp 0.tar flipped.tar
printf 'X' | dd of=flipped.tar bs=1 seek=520 conv=notrunc status=none
refused 1 "is no header of a tar" flipped.tar
head -c 100000 /dev/urandom >noise
refused 1 "is no header of a tar" noise
printf '\3757zXZ\0' >x.xz
refused 1 "xz" x.xz
refused 1 "No such file or directory" nowhere.tar
refused 1 "is a directory" .
refused 1 "its digest is sha256:" --digest "sha256:$(printf '%064d' 7)" 0.tar
refused 1 "file system of" --fs-size 2M 0.tar
refused 2 "multiple of 4K" --fs-size 1000 0.tar
refused 2 "not for that of BASE" --fs-size 1G -B x 0.tar
refused 2 "codecs are" -c brotli 0.tar
refused 1 "nowhere" -B nowhere 0.tar
ok "tars"

# What lies beneath must be an ext4 that can be written.
"$ovbd" apply -q 0.tar base
head -c 1M /dev/urandom >random
refused 1 "the file system beneath" -B random 0.tar
truncate -s 8M e1 e2
mke2fs -q -t ext2 -b 1024 e1
refused 1 "blocks of 1024 bytes" -B e1 0.tar
mke2fs -q -t ext3 -b 4096 e2
refused 1 "not an ext4" -B e2 0.tar
truncate -s 40M e3
mke2fs -q -t ext4 -b 4096 e3
debugfs -w -R "ssv state 0" e3 2>said
refused 1 "e2fsck must repair it" -B e3 0.tar
ok "file systems beneath"

# Entries that cannot be.
python3 - <<'END'
import io, tarfile

def tar(name, *entries, **more):
    with tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as t:
        for kind, path, link, size in entries:
            i = tarfile.TarInfo(path)
            i.type, i.linkname, i.size = kind, link, size
            i.pax_headers = more
            t.addfile(i, io.BytesIO(bytes(size)))

F, L, H, D = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
tar("hard-nothing.tar", (H, "a", "b", 0))
tar("hard-dir.tar", (D, "d", "", 0), (H, "a", "d", 0))
tar("loop.tar", (L, "a", "b", 0), (L, "b", "a", 0), (F, "a/x", "", 1))
tar("notdir.tar", (F, "a", "", 1), (F, "a/x", "", 1))
tar("name.tar", (F, "n" * 256, "", 1))
tar("whiteout.tar", (F, "d/.wh.", "", 0))
tar("root.tar", (F, "./", "", 1))
tar("owner.tar", (F, "a", "", 1), uid="4294967296")
tar("xattr.tar", (F, "a", "", 1), **{"SCHILY.xattr.user.x": "v" * 5000})
tar("acl.tar", (F, "a", "", 1), **{"SCHILY.acl.access": "user::rw-"})
tar("acl-name.tar", (F, "a", "", 1), **{"SCHILY.acl.access": "user::rw-\nuser:joe:rw-\ngroup::r--\nmask::rw-\nother::r--"})
tar("metacopy.tar", (F, "a", "", 1), **{"SCHILY.xattr.trusted.overlay.metacopy": ""})
tar("time.tar", (F, "a", "", 1), mtime="yesterday")
END
refused 1 'a hard link to "b": there is no such file' hard-nothing.tar
refused 1 'a hard link to "d": it is a directory' hard-dir.tar
refused 1 "symbolic links on the way" loop.tar
refused 1 'entry 2, "a/x": "a" is not a directory' notdir.tar
refused 1 "a name of 256 bytes" name.tar
refused 1 "a whiteout of no name" whiteout.tar
refused 1 "4294967296" owner.tar
refused 1 "extended attributes need more" xattr.tar
refused 1 "access control list is not whole" acl.tar
refused 1 'names user "joe", not a number' acl-name.tar
refused 1 "only a part of a file" metacopy.tar
refused 1 "no time" time.tar
ok "entries"

# Interrupted: nothing is left.
mkfifo pipe
timeout 60 "$ovbd" apply -q - out <pipe &
pid=$!
pids="$pids $pid"
exec 3>pipe
head -c 100000 0.tar >&3
kill -TERM $pid # timeout passes it on
wait $pid && fail "an interrupt is success"
exec 3>&-
[ ! -e out ] || fail "an interrupt leaves something"
ok "interrupted"
