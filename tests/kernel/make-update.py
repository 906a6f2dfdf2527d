#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make-update.py BASE COW TARGET: a base of 336 MiB, an update of 302 MiB of it as a COW of version 2.0
(copies, replaces and zeros in turn, with a scratch area), and what the two make together. Written from
docs/format-android-cow.md alone."""
import os
import random
import struct
import sys

BLOCK = 4096
BASE = 86016  # blocks
TURNS = 1012
COPIES, REPLACES, ZEROS = 32, 24, 24  # blocks of a turn
KEPT = 4096  # at the end: nobody writes there
SCRATCH = 2 << 20
COPY, REPLACE, ZERO, FOOTER = 1, 2, 3, 255


def op(kind, length, block, source):
    return struct.pack("<BBHQQ", kind, 0, length, block, source)


def copies(at, turn):
    """(block, source) of a turn, in an order that is safe: those that read what others of them write
    come before these."""
    if turn % 32 == 0:  # from what nobody writes, from the first on: each is merged by itself
        first = BASE - KEPT + turn * 7 % (KEPT - COPIES)
        return [(at + i, first + i) for i in range(COPIES)]
    if turn % 4 < 2:  # the same, backwards
        first = BASE - KEPT + turn * 11 % (KEPT - COPIES)
        return [(at + i, first + i) for i in reversed(range(COPIES))]
    if turn % 4 == 2:  # moved up by five blocks
        return [(at + i, at + i - 5) for i in reversed(range(5, COPIES))]
    return [(at + i, at + i + 9) for i in range(COPIES - 9)]  # and down by nine


def main(base_name, cow_name, target_name):
    rng = random.Random(4)
    fresh = os.urandom(16 << 20)
    base = bytearray(os.urandom(16 << 20) * (BASE * BLOCK >> 24))
    for i in range(0, BASE):
        struct.pack_into("<Q", base, i * BLOCK, i)
    target = bytearray(base)
    head = struct.pack("<QHHHHHIIQI", 0x436F77634F572121, 2, 0, 38, 84, 20, BLOCK, 0, 0, SCRATCH)
    n = 0
    with open(cow_name, "wb") as cow:
        cow.write(head + bytes(SCRATCH))
        for turn in range(TURNS):
            at = turn * (COPIES + REPLACES + ZEROS)
            for block, source in copies(at, turn):
                cow.write(op(COPY, 0, block, source))
                target[block * BLOCK:block * BLOCK + BLOCK] = \
                    base[source * BLOCK:source * BLOCK + BLOCK]
                n += 1
            for block in range(at + COPIES, at + COPIES + REPLACES):
                start = rng.randrange(len(fresh) - BLOCK)
                data = fresh[start:start + BLOCK]
                cow.write(op(REPLACE, BLOCK, block, cow.tell() + 20) + data)
                target[block * BLOCK:block * BLOCK + BLOCK] = data
                n += 1
            for block in range(at + COPIES + REPLACES, at + COPIES + REPLACES + ZEROS):
                cow.write(op(ZERO, 0, block, 0))
                n += 1
            first = (at + COPIES + REPLACES) * BLOCK
            target[first:first + ZEROS * BLOCK] = bytes(ZEROS * BLOCK)
        cow.write(struct.pack("<BBHQQ64x", FOOTER, 0, 64, n * 20, n))
        cow.write(bytes(-cow.tell() % BLOCK))  # a disk has whole blocks
    with open(base_name, "wb") as f:
        f.write(base)
    with open(target_name, "wb") as f:
        f.write(target)
    print(n)


main(*sys.argv[1:])
