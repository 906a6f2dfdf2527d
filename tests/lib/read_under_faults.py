#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a device at random, past the page cache, and compares it with what it must read as.

    read_under_faults.py DEVICE EXPECTED READS SEED [right|wrong]

Prints "RIGHT FAILED". A success must be right, and a failure one that a device may have: EIO, or
of a file (FUSE) what the layer has said. "right": all must succeed, "wrong": some must fail. None
takes longer than its deadline (30 seconds) and what a busy machine takes."""
import errno
import os
import random
import sys
import time

LIMIT_S = 60
ERRORS = (errno.EIO, errno.EACCES, errno.ENOENT, errno.ESTALE, errno.ETIMEDOUT, errno.EBADMSG)
device, expected, reads, seed, *want = sys.argv[1:]
r = random.Random(int(seed))
with open(expected, "rb") as f:
    expected = f.read()
fd = os.open(device, os.O_RDONLY)
right = failed = 0
for _ in range(int(reads)):
    off = r.randrange(len(expected))
    size = min(r.randrange(1, 65536), len(expected) - off)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.monotonic()
    try:
        data = b""
        while len(data) < size:
            piece = os.pread(fd, size - len(data), off + len(data))
            if not piece:
                sys.exit(f"the end at {off + len(data)}")
            data += piece
        if data != expected[off : off + size]:
            sys.exit(f"wrong bytes in {size} at {off}")
        right += 1
    except OSError as e:
        if e.errno not in ERRORS:
            sys.exit(f"{size} bytes at {off}: {e}")
        failed += 1
    if time.monotonic() - began > LIMIT_S:
        sys.exit(f"{size} bytes at {off} took {time.monotonic() - began:.1f} s")
print(right, failed)
if (want == ["right"] and failed) or (want == ["wrong"] and not failed):
    sys.exit("not as it must be")
