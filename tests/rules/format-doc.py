#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/format-NAME.md against the constants NAME_OFF_* of NAME/format.h: every constant
has its row, with the same offset, and every field of such a table has its constant. A field's type
says how long it is; fields must not overlap. Fields called "unused" need no constant."""
import glob
import os
import re
import sys

TYPES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
ROW = re.compile(r"^\| *(\d+) *\| *([^|]+?) *\| *(\w+) *\|")

root = os.environ.get("OVBD_SOURCE", ".")
bad = 0


def complain(text):
    global bad
    bad += 1
    print(text)


def constants(path, prefix):
    found = re.findall(rf"\b{prefix}(\w+)\s*=\s*(\w+)\s*,", open(path).read())
    return {name.lower(): int(value, 0) for name, value in found}


def tables(path):
    """Each table as a list of (line number, offset, type, name)."""
    rows = []
    for number, line in enumerate(open(path), 1):
        found = ROW.match(line)
        if found:
            rows.append((number, int(found[1]), found[2], found[3]))
        elif rows and not line.startswith("|"):
            yield rows
            rows = []
    if rows:
        yield rows


def size_of(kind):
    found = re.match(r"(\d+) bytes$", kind)
    return int(found[1]) if found else TYPES.get(kind)


def check_table(doc, rows, known):
    end = 0
    for number, off, kind, name in rows:
        where = f"{doc}:{number}: {name}"
        if size_of(kind) is None:
            complain(f"{where}: what is the size of a {kind}?")
            continue
        if off < end:
            complain(f"{where}: overlaps the field before")
        end = off + size_of(kind)
        if name == "unused":
            continue
        if name not in known:
            complain(f"{where}: no such constant")
        elif known[name] != off:
            complain(f"{where}: is at {off} here, but at {known[name]} in the code")


# the documents whose constants are not those of a folder of the same name
HEADERS = {"android-cow": ("ota/cow_format.h", "COW_OFF_"),
           "cache": ("remote/cache_format.h", "CACHE_OFF_"),
           "dm-snapshot": ("ota/dm_snapshot_format.h", "SNAPSHOT_OFF_"),
           "dm-update": ("ota/dm_update_format.h", "DM_UPDATE_OFF_"),
           "rw": ("lsmt/rw_log_format.h", "RW_OFF_"),
           "trace": ("image/trace_format.h", "TRACE_OFF_"),
           "verity": ("remote/verity_format.h", "VERITY_OFF_")}

# and where they have more
MORE = {"bow": ("bow/free_map.h", "BOW_OFF_")}

for doc in sorted(glob.glob(os.path.join(root, "docs/format-*.md"))):
    name = os.path.basename(doc)[len("format-"):-len(".md")]
    header, prefix = HEADERS.get(name, (f"{name}/format.h", f"{name.upper()}_OFF_"))
    header = os.path.join(root, header)
    if not os.path.exists(header):
        continue
    known = constants(header, prefix)
    if name in MORE:
        known |= constants(os.path.join(root, MORE[name][0]), MORE[name][1])
    if not known:
        complain(f"{header}: no constants {prefix}*")
    shown = set()
    for rows in tables(doc):
        names = {row[3] for row in rows}
        if names & known.keys():
            shown |= names
            check_table(os.path.relpath(doc, root), rows, known)
    for missing in sorted(known.keys() - shown):
        complain(f"{os.path.relpath(doc, root)}: no row for {missing}")
sys.exit(1 if bad else 0)
