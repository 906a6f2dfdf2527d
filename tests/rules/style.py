#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sizes and habits: files of at most 500 lines, functions of at most 60, lines of at most 100
columns (which clang-format lets comments exceed), one SPDX line, no goto, no packed structs, no
bitfields, no off_t in headers, nothing printed by libraries, no notes to self."""
import os
import re
import subprocess
import sys

FILE_MAX, FUNCTION_MAX, COLUMNS_MAX = 500, 60, 100
LIBRARIES = ("base/", "zfile/", "lsmt/", "ota/", "bow/", "remote/", "image/", "oci/", "daemon/")
RULES = [  # pattern, what is said, which files
    (re.compile(r"^\s*goto\b"), "goto", lambda p: True),
    (re.compile(r"__attribute__\(\(.*packed"), "packed struct", lambda p: True),
    (re.compile(r"^\s*(unsigned|int|u?int\d+_t|bool)\s+\w+\s*:\s*\d+;"), "bitfield", lambda p: True),
    (re.compile(r"\boff_t\b"), "off_t in an interface", lambda p: p.endswith(".h")),
    (re.compile(r"\b(v?f?printf|puts|fputs|perror|exit|abort)\("), "a library that prints or exits",
     lambda p: p.startswith(LIBRARIES) and p.endswith(".c") and p != "daemon/main.c"),
    (re.compile(r"^typedef struct"), "typedef of a struct", lambda p: True),
    (re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"), "a note to self", lambda p: True),
    (re.compile(r"[ \t]+$"), "white space at the end", lambda p: True),
]

root = os.environ.get("OVBD_SOURCE", ".")
bad = 0


def complain(text):
    global bad
    bad += 1
    print(text)


def functions(lines):
    """(name, first line, length) of what begins with a line ending in ")" before a lone "{"."""
    start = name = None
    for i, line in enumerate(lines):
        if line == "{":
            start, name = i, " ".join(lines[max(0, i - 2):i]).strip()
        elif line == "}" and start is not None:
            yield name, start + 1, i - start + 1
            start = None


names = subprocess.run(["git", "-C", root, "ls-files", "-z", "*.c", "*.h"], check=True,
                       capture_output=True, text=True).stdout.split("\0")
for path in filter(None, names):
    if not os.path.exists(os.path.join(root, path)):
        continue
    lines = open(os.path.join(root, path)).read().split("\n")
    if "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
        complain(f"{path}:1: no SPDX line")
    if len(lines) - 1 > FILE_MAX:
        complain(f"{path}: {len(lines) - 1} lines, more than {FILE_MAX}")
    for name, line, length in functions(lines):
        if length > FUNCTION_MAX:
            complain(f"{path}:{line}: function of {length} lines, more than {FUNCTION_MAX}: {name}")
    for number, line in enumerate(lines, 1):
        if len(line.expandtabs(8)) > COLUMNS_MAX:
            complain(f"{path}:{number}: longer than {COLUMNS_MAX} columns")
        for pattern, said, applies in RULES:
            if applies(path) and pattern.search(line):
                complain(f"{path}:{number}: {said}")
sys.exit(1 if bad else 0)
