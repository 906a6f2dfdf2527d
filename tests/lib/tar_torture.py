#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tar_torture.py DIR: writes DIR/0.tar, 1.tar, ...: layers of an image that has everything a tar can
say and a layer can do, each in another of the formats. What they are good for: tests/cli/apply-torture.sh."""
import io
import os
import random
import sys
import tarfile

T = 1600000000


def entry(tar, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, uid=0, gid=0, mtime=T, link="", dev=(0, 0),
          pax=None):
    i = tarfile.TarInfo(name)
    i.type, i.mode, i.uid, i.gid, i.mtime, i.linkname = kind, mode, uid, gid, mtime, link
    i.devmajor, i.devminor = dev
    i.size = len(data)
    i.pax_headers = {k: v if isinstance(v, str) else v.decode("utf-8", "surrogateescape")
                     for k, v in (pax or {}).items()}
    tar.addfile(i, io.BytesIO(data))


def directory(tar, name, mode=0o755, **more):
    entry(tar, name, tarfile.DIRTYPE, mode=mode, **more)


def xattr(name, value):
    return {"SCHILY.xattr." + name: value}


def noise(n, seed):
    return random.Random(seed).randbytes(n)


ACL = bytes.fromhex("0200000001000600ffffffff020004000a00000004000400ffffffff10000600ffffffff20000400ffffffff")
ACL_DEFAULT = bytes.fromhex("0200000001000700ffffffff02000700ee8a2d0004000500ffffffff08000500ffffff7f10000700ffffffff"
                            "20000000ffffffff")
CAP = bytes.fromhex("0100000200200000000000000000000000000000")


def odd(tar):
    """What is seldom, and allowed."""
    for name in ("new\nline", "back\\slash", "-dash", " space ", "tab\t", "\udcff\udcfe bytes", "...", ".hidden",
                 "*?["):
        entry(tar, f"odd/{name}", data=name.encode("utf-8", "surrogateescape"))
    entry(tar, "odd/" + "\u4e2d" * 85, data=b"255 bytes of letters of 3")
    entry(tar, "odd/link", tarfile.SYMTYPE, link="a=b\n\udcff", pax=xattr("trusted.of-a-link", "l"))
    entry(tar, "odd/fifo", tarfile.FIFOTYPE, mode=0o640, uid=70000, pax=xattr("trusted.of-a-fifo", "f"))
    entry(tar, "odd/char", tarfile.CHRTYPE, mode=0o640, dev=(4095, 1048575), pax=xattr("security.x", "c"))
    entry(tar, "odd/same-fifo", tarfile.LNKTYPE, link="odd/fifo")
    entry(tar, "odd/same-char", tarfile.LNKTYPE, link="./odd/../odd/char")
    entry(tar, "odd/empty-attribute", data=b"x", pax=xattr("user.empty", ""))
    entry(tar, "odd/attribute-text", data=b"x", pax=xattr("user.a", "k=v\nl\0m"))
    entry(tar, "odd/attribute-name", data=b"x", pax=xattr("user." + "n" * 250, "v"))
    entry(tar, "odd/same-attributes-1", data=b"1", pax=xattr("user.large", "w" * 3000))
    entry(tar, "odd/same-attributes-2", data=b"2", pax=xattr("user.large", "w" * 3000))
    entry(tar, "odd/acl/below", data=b"is hidden by the third layer")
    directory(tar, "odd/acl", 0o2770, gid=3000000, pax={**xattr("system.posix_acl_default", ACL_DEFAULT),
                                                       "gid": "3000000"})
    entry(tar, "odd/twice", data=b"a file at first")
    directory(tar, "odd/twice", 0o710)
    entry(tar, "odd/twice/inside", data=b"and then a directory")
    directory(tar, "odd/twice", 0o711)
    entry(tar, "odd/link-twice", tarfile.SYMTYPE, link="twice")
    entry(tar, "odd/link-twice", data=b"no link any more")
    entry(tar, "odd/mode", data=b"x", mode=0)
    entry(tar, "odd/mode-all", data=b"x", mode=0o7777)
    for n, when in enumerate(("-2147483646.5", "2147483647.999999999", "2147483648.0", "4294967296.1", "0.000000001")):
        entry(tar, f"odd/time-{n}", data=b"t", pax={"mtime": when})


def base(tar):
    directory(tar, "./", 0o755)
    directory(tar, "usr")
    directory(tar, "usr/bin", 0o711, uid=7, gid=8)
    entry(tar, "bin", tarfile.SYMTYPE, link="usr/bin")
    entry(tar, "bin/tool", data=noise(100001, 1), mode=0o4755)  # through the link
    entry(tar, "bin/hard", tarfile.LNKTYPE, link="bin/tool")
    entry(tar, "bin/hard-of-sym", tarfile.LNKTYPE, link="bin")
    for n in (0, 1, 59, 60, 61, 511, 4095):
        entry(tar, f"links/l{n}", tarfile.SYMTYPE, link="x" * n if n else "y")
    for n in (0, 1, 511, 512, 513, 4095, 4096, 4097, 65536, 1 << 20, (1 << 20) + 1, 3000001):
        entry(tar, f"sizes/s{n}", data=noise(n, n), mode=0o600)
    entry(tar, "zeros", data=bytes(1 << 20) + b"end")
    entry(tar, "dev/char", tarfile.CHRTYPE, mode=0o666, dev=(1, 3))
    entry(tar, "dev/large", tarfile.CHRTYPE, mode=0o600, dev=(259, 70000))
    entry(tar, "dev/block", tarfile.BLKTYPE, mode=0o660, gid=6, dev=(8, 1))
    entry(tar, "dev/fifo", tarfile.FIFOTYPE, mode=0o622)
    entry(tar, "n" * 255, data=b"long")
    entry(tar, "/".join(["d" * 100] * 20) + "/leaf", data=b"long path")
    entry(tar, "m\u00e9\u4e2d", data=b"name")
    directory(tar, "sticky", 0o1777)
    directory(tar, "sgid", 0o2755, gid=5)
    for name, when in (("old", -2000000000), ("older", -1), ("epoch", 0), ("new", 4500000000), ("far", 15000000000)):
        entry(tar, f"times/{name}", data=b"t", mtime=when, pax={"mtime": str(when)})
    entry(tar, "times/nano", data=b"t", pax={"mtime": "1234567890.123456789", "atime": "1234567891.000000001"})
    entry(tar, "times/nano-before", data=b"t", pax={"mtime": "-1234567890.123456789"})
    for n, owner in enumerate((65535, 65536, 2097151, 2097152, 3000000, 4294967294)):
        entry(tar, f"owners/{n}", data=b"o", uid=owner, gid=owner - 1,
              pax={"uid": str(owner), "gid": str(owner - 1)})
    entry(tar, "x/user", data=b"x", pax=xattr("user.foo", "bar"))
    entry(tar, "x/many", data=b"x", pax={k: v for n in range(20) for k, v in
                                         xattr(f"user.attribute-{n}", "v" * n * 5).items()})
    entry(tar, "x/large", data=b"x", pax=xattr("user.large", "v" * 3500))
    entry(tar, "x/binary", data=b"x", pax=xattr("user.bin", bytes(range(1, 127))))
    entry(tar, "x/cap", data=b"x", mode=0o755, pax=xattr("security.capability", CAP))
    entry(tar, "x/acl", data=b"x", mode=0o664, pax=xattr("system.posix_acl_access", ACL))
    directory(tar, "x/dir", pax=xattr("trusted.t", "x y"))
    for n in range(300):
        entry(tar, f"many/file-with-a-longer-name-{n:04}", data=b"%d" % n)
    for name in ("opaque", "opaque-overlay", "gone", "half", "file-to-dir", "kept"):
        for n in range(3):
            entry(tar, f"{name}/below-{n}", data=b"below")
        entry(tar, f"{name}/sub/below", data=b"below")
    entry(tar, "dir-to-file", data=b"first a file")
    entry(tar, "back-and-forth", data=b"a file")
    entry(tar, "twice", data=noise(10000, 5))
    entry(tar, "twice", data=b"the second counts", mode=0o640)
    entry(tar, "hard-a", data=noise(5000, 6))
    for n in range(20):
        entry(tar, f"hard-{n}", tarfile.LNKTYPE, link="hard-a")
    entry(tar, "to-hide", data=b"hidden")
    entry(tar, "sub/to-hide-overlay", data=b"hidden")
    odd(tar)
    directory(tar, "usr/bin", 0o711, uid=7, gid=8)  # GNU tar does not know that the link led there


def second(tar):
    entry(tar, "opaque/new-before", data=b"of this layer, before the mark")
    directory(tar, "opaque", 0o700)
    entry(tar, "opaque/.wh..wh..opq")
    entry(tar, "opaque/new-after", data=b"of this layer, after it")
    entry(tar, ".wh.gone")
    entry(tar, "half/.wh.below-1")
    entry(tar, "half/.wh.sub")
    entry(tar, "half/.wh.not-there")
    entry(tar, ".wh.to-hide")
    directory(tar, "file-to-dir", 0o750)
    entry(tar, "bin/tool", data=b"another tool", mode=0o755)  # its hard link stays what it was
    entry(tar, "bin/second-hard", tarfile.LNKTYPE, link="usr/bin/hard")
    directory(tar, "kept", 0o711, uid=9, pax=xattr("user.k", "v"))
    entry(tar, "kept/below-0", data=b"replaced")
    entry(tar, "links/l1", tarfile.SYMTYPE, link="elsewhere")
    entry(tar, "x/user", data=b"x")  # without its attribute
    directory(tar, "x/dir")
    for n in range(0, 300, 2):
        entry(tar, f"many/.wh.file-with-a-longer-name-{n:04}")
    for n in range(100):
        entry(tar, f"many/n{n}", data=b"new")
    entry(tar, "odd/same-attributes-1", data=b"1")


def third(tar):
    directory(tar, "opaque-overlay", pax=xattr("trusted.overlay.opaque", "y"))
    entry(tar, "opaque-overlay/new", data=b"of this layer")
    directory(tar, "sub")
    entry(tar, "sub/to-hide-overlay", tarfile.CHRTYPE, mode=0, dev=(0, 0))
    entry(tar, ".wh.kept")
    entry(tar, "kept/again", data=b"hidden beneath, and here again")
    entry(tar, "bin", tarfile.SYMTYPE, link="usr/bin", mtime=T + 9)
    entry(tar, "usr/bin/third", data=b"3")
    directory(tar, "odd/acl", pax=xattr("user.overlay.opaque", "y"))
    entry(tar, "odd/acl/new", data=b"of this layer")
    entry(tar, "odd/mode", mode=0, pax=xattr("trusted.overlay.whiteout", ""))
    entry(tar, "odd/mode-all", pax=xattr("user.overlay.whiteout", "y"))
    entry(tar, "odd/fifo", tarfile.LNKTYPE, link="odd/char")
    for n in range(0, 20, 3):
        entry(tar, f".wh.hard-{n}")
    entry(tar, "hard-a", data=b"alone now")


def types(n):
    """What cannot be extracted over what lies beneath by all tars: kinds that change."""
    def layer(tar):
        if n % 2:
            directory(tar, "dir-to-file")
            entry(tar, "dir-to-file/inside", data=b"now a directory")
            directory(tar, "back-and-forth", 0o700)
            entry(tar, "back-and-forth/inside", data=b"x")
            entry(tar, "file-to-dir", data=b"now a file")
        else:
            entry(tar, "dir-to-file", data=b"a file again")
            entry(tar, "back-and-forth", tarfile.SYMTYPE, link="usr")
            directory(tar, "file-to-dir")
            entry(tar, "file-to-dir/inside", data=b"a directory again")
    return layer


def escape(tar):
    """Links that lead out of the root, or seem to."""
    directory(tar, "./")
    directory(tar, "in")
    entry(tar, "absolute", tarfile.SYMTYPE, link="/in/../in/./up")
    entry(tar, "in/up", tarfile.SYMTYPE, link="../../../../../in")  # above the root is the root
    entry(tar, "absolute/deep/down/file", data=b"deep")
    entry(tar, "../../out", data=b"out")
    entry(tar, "nowhere/../in/./clean", data=b"clean")
    entry(tar, "hard", tarfile.LNKTYPE, link="../absolute/deep/down/file")


def write(path, layer, fmt):
    with tarfile.open(path, "w", format=fmt) as tar:
        layer(tar)


if __name__ == "__main__":
    out = sys.argv[1]
    layers = [(base, tarfile.PAX_FORMAT), (second, tarfile.PAX_FORMAT), (third, tarfile.PAX_FORMAT),
              (types(1), tarfile.GNU_FORMAT), (types(2), tarfile.USTAR_FORMAT), (types(3), tarfile.PAX_FORMAT)]
    for number, (make, form) in enumerate(layers):
        write(os.path.join(out, f"{number}.tar"), make, form)
    write(os.path.join(out, "escape.tar"), escape, tarfile.PAX_FORMAT)
