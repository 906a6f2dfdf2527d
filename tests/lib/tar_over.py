#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tar_over.py TAR DIR: applies a layer to a directory as GNU tar and overlayfs have it: first what its
whiteouts hide of what is there goes, and the attributes of directories that it describes anew; then GNU tar
extracts the rest. As root. Leaves the names of the directories that it describes in the file "named"."""
import os
import shutil
import subprocess
import sys
import tarfile

layer, root = sys.argv[1:]
skipped = []
named = []


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def empty(path):
    for name in os.listdir(path) if os.path.isdir(path) else []:
        remove(os.path.join(path, name))


def marked(e, mark):
    """The value of an attribute of overlayfs's own, of either kind; or None."""
    return next((v for k, v in e.pax_headers.items() if k in (f"SCHILY.xattr.trusted.overlay.{mark}",
                                                              f"SCHILY.xattr.user.overlay.{mark}")), None)


with tarfile.open(layer) as tar:
    for e in tar:
        folder, name = os.path.split(os.path.normpath(e.name))
        at = os.path.join(root, folder)
        if name == ".wh..wh..opq":
            empty(at)
        elif name.startswith(".wh."):
            remove(os.path.join(at, name[4:]))
        elif (e.type, e.devmajor, e.devminor) == (tarfile.CHRTYPE, 0, 0) or marked(e, "whiteout") is not None:
            remove(os.path.join(at, name))
        else:
            path = os.path.join(at, name)
            if e.isdir():
                named.append(os.path.normpath(os.path.join(".", e.name)))
            if e.isdir() and os.path.isdir(path) and not os.path.islink(path):
                for attribute in os.listxattr(path):
                    os.removexattr(path, attribute)
                if marked(e, "opaque") == "y":
                    empty(path)
            elif os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            continue
        skipped.append(e.name)

with open("named", "w") as f:
    f.write("".join(name + "\n" for name in named))
with open("skipped", "w") as f:
    f.write("".join(name + "\n" for name in skipped))
subprocess.run(["tar", "-C", root, "--numeric-owner", "--same-owner", "-p", "--xattrs", "--xattrs-include=*",
                "--warning=no-timestamp", "--no-wildcards", "--anchored", "-X", "skipped", "-xf",
                os.path.abspath(layer)], check=True)
