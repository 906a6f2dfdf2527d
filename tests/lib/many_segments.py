# SPDX-License-Identifier: Apache-2.0
"""many_segments.py N: a layer of N zeroed segments of 4 KiB, each followed by as much of nothing, on
standard output."""
import array
import struct
import sys

from lsmt_facts import MAGIC, SPACE

n = int(sys.argv[1])


def part(flags, offset, count):
    null = b"00000000-0000-0000-0000-000000000000\0"
    return struct.pack("<24sIIQQQ37s37sHBB256s", MAGIC, 390, flags, offset, count, n * 8192,
                       null, null, 0, 1, 1, b"").ljust(SPACE, b"\0")


entries = array.array("Q", [8 | 1 << 55]) * (2 * n)
entries[::2] = array.array("Q", range(8 << 50, n * 16 + (8 << 50), 16))
if sys.byteorder == "big":
    entries.byteswap()
sys.stdout.buffer.write(part(7, 0, 0) + entries.tobytes() + part(6, SPACE, n))
