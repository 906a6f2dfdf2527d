#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tree_walk.py DIR NAMED: all that can be seen of a tree, a line a name, in order: kind, mode, owner, size,
time, links (of what is no directory, and which names are the same file), device, target, attributes, SHA-256.
The time of a directory only if the file NAMED has its name: others have that of their last change."""
import hashlib
import os
import stat
import sys

root = sys.argv[1]
with open(sys.argv[2]) as f:
    named = {os.path.normpath(name.rstrip("\n")) for name in f}
first = {}


def attributes(path):
    out = []
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if not name.startswith(("trusted.overlay.", "user.overlay.", "security.selinux")):
            out.append(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}")
    return ",".join(out)


def line(path, name):
    s = os.lstat(path)
    kind = stat.S_IFMT(s.st_mode)
    words = [f"{kind:06o}", f"{stat.S_IMODE(s.st_mode):04o}", f"{s.st_uid}:{s.st_gid}"]
    if kind != stat.S_IFDIR or os.path.normpath(name) in named:
        words.append(str(s.st_mtime_ns))
    if kind == stat.S_IFREG:
        with open(path, "rb") as f:
            words += [str(s.st_size), hashlib.sha256(f.read()).hexdigest()]
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        words.append(f"{os.major(s.st_rdev)}:{os.minor(s.st_rdev)}")
    if kind == stat.S_IFLNK:
        words.append("-> " + os.readlink(path))
    if kind != stat.S_IFDIR:
        same = first.setdefault((s.st_dev, s.st_ino), name)
        words.append(f"links={s.st_nlink}" + (f" same-as={same}" if same != name else ""))
    return f"{name} {' '.join(words)} {attributes(path)}".encode("utf-8", "surrogateescape")


def walk(folder, name):
    sys.stdout.buffer.write(line(folder, name) + b"\n")
    for below in sorted(os.listdir(folder)):
        path, full = os.path.join(folder, below), name + "/" + below
        if full == "./lost+found":
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            walk(path, full)
        else:
            sys.stdout.buffer.write(line(path, full) + b"\n")


walk(root, ".")
