#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""read-files.py RAW FILE PATH...: reads of FILE, past the kernel's cache, the blocks that PATHs take in the
ext4 RAW, their inodes' and their directories', and compares them with RAW's."""
import mmap
import os
import re
import subprocess
import sys

BLOCK = 4096


def debugfs(command):
    return subprocess.run(["debugfs", "-R", command, raw], check=True, capture_output=True, text=True).stdout


def blocks_of(path):
    yield from map(int, debugfs(f"blocks {path}").split())
    yield int(re.search(r"located at block (\d+)", debugfs(f"imap {path}"))[1])


raw, name, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
needed = [0]
for path in paths:
    parts = path.split("/")
    for i in range(1, len(parts) + 1):
        needed += blocks_of("/".join(parts[:i]) or "/")
want = os.open(raw, os.O_RDONLY)
fd = os.open(name, os.O_RDONLY | os.O_DIRECT)
page = mmap.mmap(-1, BLOCK)
for block in dict.fromkeys(needed):
    if os.preadv(fd, [page], block * BLOCK) != BLOCK or page[:] != os.pread(want, BLOCK, block * BLOCK):
        sys.exit(f"wrong bytes in block {block}")
