#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes base.img, update.cow and want.img to the directory DIR: an update (3.0, with a scratch area
and data as they are) of NBLOCKS blocks, most of which it moves up by three, so that the
copies overlap; others are xored with what lies across two blocks, replaced by runs of up to 16, or
zeros. cow_shift.py DIR NBLOCKS SCRATCH"""
import os
import random
import struct
import sys

BLOCK = 4096
COPY, REPLACE, ZERO, XOR = 1, 2, 3, 6

where, nblocks, scratch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rand = random.Random(7)
base = rand.randbytes(nblocks * BLOCK)
want = bytearray(base)
ops = []  # (type, factor, block, source, data)


def put(block, data):
    want[block * BLOCK:block * BLOCK + len(data)] = data


moved = nblocks * 3 // 4
for block in range(moved - 1, 2, -1):
    if block % 5 == 0:
        at, data = (block - 2) * BLOCK - 1000, rand.randbytes(BLOCK)
        old = int.from_bytes(base[at:at + BLOCK], "little")
        put(block, (int.from_bytes(data, "little") ^ old).to_bytes(BLOCK, "little"))
        ops.append((XOR, 0, block, at, data))
    else:
        put(block, base[(block - 3) * BLOCK:(block - 2) * BLOCK])
        ops.append((COPY, 0, block, block - 3, b""))
block = moved
while block + 32 < nblocks:
    factor = rand.randrange(5)
    data = rand.randbytes(BLOCK << factor)
    put(block, data)
    ops.append((REPLACE, factor, block, None, data))
    block += 1 << factor
    put(block, bytes(BLOCK))
    ops.append((ZERO, 0, block, 0, b""))
    block += 1 + rand.randrange(3)

table, payload, start = b"", [], 78 + scratch + 64 + 16 * len(ops)
for kind, factor, block, source, data in ops:
    source = start if source is None else source
    table += struct.pack("<IIQ", len(data), block, kind << 60 | factor << 57 | source)
    payload.append(data)
    start += len(data)
head = struct.pack("<QHHHHHIIQI", 0x436F77634F572121, 3, 0, 78, 0, 16, BLOCK, 0, 0, scratch)
head += struct.pack("<QIIQQII", 0, 0, 4, len(ops), len(ops), 0, 16 * BLOCK)
for name, raw in (("base.img", base), ("want.img", want),
                  ("update.cow", head + bytes(scratch + 64) + table + b"".join(payload))):
    with open(os.path.join(where, name), "wb") as f:
        f.write(raw)
