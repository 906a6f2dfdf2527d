#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house of design as a test: which folder may include which, and nothing else.

Also checks that docs/architecture.md shows the same table, so that it cannot drift."""
import os
import re
import sys

# folder: the folders whose headers it may include, besides its own. Arrows point down only;
# zfile, lsmt, ota, bow and remote are siblings.
MAY = {
    "base": [],
    "zfile": ["base"],
    "lsmt": ["base"],
    "ota": ["base"],
    "bow": ["base"],
    "remote": ["base"],
    "fs": ["base"],
    "image": ["base", "zfile", "lsmt", "ota", "bow", "remote"],
    "oci": ["base", "zfile", "lsmt", "fs", "image", "remote"],
    "daemon": ["base", "zfile", "lsmt", "ota", "bow", "remote", "image"],
    "tools": ["base", "zfile", "lsmt", "ota", "bow", "remote", "fs", "image", "oci"],
    "bench": ["base", "zfile", "lsmt", "ota", "bow", "remote", "image"],
}
# the only files of tools/ that know daemon/; they drop out when it is not there
SERVING = {"tools/verb_serve.c", "tools/serve_fuse.c", "tools/serve_open.c", "tools/serve_stats.c",
           "tools/serve_run.c", "tools/serve_confine.c", "tools/serve_ublk.c"}
LINE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')

root = os.environ.get("OVBD_SOURCE", ".")
bad = 0


def complain(text):
    global bad
    bad += 1
    print(text)


for folder, below in MAY.items():
    for base, _, names in os.walk(os.path.join(root, folder)):
        for name in names:
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.relpath(os.path.join(base, name), root)
            for number, line in enumerate(open(os.path.join(root, path)), 1):
                found = LINE.match(line)
                if not found:
                    continue
                target = found[1].split("/")[0]
                if not os.path.exists(os.path.join(root, found[1])):
                    complain(f"{path}:{number}: {found[1]} is not named from the root")
                elif target == "daemon" and path in SERVING:
                    continue
                elif target != folder and target not in below:
                    complain(f"{path}:{number}: {folder}/ must not include {found[1]}")

text = open(os.path.join(root, "docs/architecture.md")).read()
for folder, below in MAY.items():
    if not os.path.isdir(os.path.join(root, folder)):
        continue
    row = re.search(rf"^\| `{folder}/` \|[^|]*\|([^|]*)\|", text, re.M)
    shown = re.findall(r"`(\w+)/`", row[1]) if row else None
    present = [b for b in below if os.path.isdir(os.path.join(root, b))]
    if shown is None:
        complain(f"docs/architecture.md: no row for {folder}/")
    elif sorted(shown) != sorted(present):
        complain(f"docs/architecture.md: {folder}/ may include {present}, not {shown}")
sys.exit(1 if bad else 0)
