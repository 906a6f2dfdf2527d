#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes small COW files of every layout, from docs/format-android-cow.md alone: cow_make.py DIR. They
are for a base of 1 MiB, and the corpus of tests/fuzz/fuzz_cow.c was made by it.

cow_make.py --want BASE NAME: what the COW called so makes of BASE, on standard output."""
import hashlib
import os
import struct
import sys
import zlib

MAGIC = 0x436F77634F572121
COPY, REPLACE, ZERO, LABEL, CLUSTER, XOR, SEQUENCE = 1, 2, 3, 4, 5, 6, 7
BLOCK = 4096
SCRATCH = 16384


def block(n):
    return bytes((n * 7 + i // 16) & 0xFF for i in range(BLOCK))


# (type, block, source or data)
OPS = [(COPY, 3, 10), (COPY, 4, 11), (XOR, 20, (block(1), 12345)), (ZERO, 5, 0), (LABEL, 0, 1),
       (REPLACE, 7, block(2)), (REPLACE, 8, block(3)), (ZERO, 9, 0), (LABEL, 0, 2),
       (REPLACE, 200, block(4))]


def slot(kind, compression, length, new, source):
    return struct.pack("<BBHQQ", kind, compression, length, new, source)


def pack(data, gz):
    return zlib.compress(data, 9) if gz else data


def array(layout, gz):
    """1.0 A, S, B."""
    size = 106 if layout == "B" else 104
    data, table, n = b"", b"", 0
    for kind, new, what in OPS:
        if kind in (LABEL, XOR):
            continue
        if kind == REPLACE:
            stored = pack(what, gz)
            table += slot(kind, int(gz), len(stored), new, size + len(data))
            data += stored
        else:
            table += slot(kind, 0, 0, new, what)
        n += 1
    head = struct.pack("<QHH", MAGIC, 1, 0) + (struct.pack("<H", size) if layout == "B" else b"")
    head += struct.pack("<QQQI", size + len(data), len(table), n, BLOCK)
    header_sha, ops_sha = bytes(32), bytes(32)
    if layout == "A":
        ops_sha = hashlib.sha256(table).digest()
        header_sha = hashlib.sha256(head + bytes(32) + ops_sha).digest()
    return head + header_sha + ops_sha + data + table


def log(layout, gz, cluster, finished=True, sequence=(), merged=0, scratch=0):
    """1.0 C, D, E and 2.0 (F)."""
    size = {"C": 20, "D": 28, "E": 34, "F": 38}[layout]
    head = struct.pack("<QHHHH", MAGIC, 2 if layout == "F" else 1, 0, size, 84)
    if layout in "CD":
        head += struct.pack("<I", BLOCK) + (struct.pack("<Q", merged) if layout == "D" else b"")
    else:
        head += struct.pack("<HIIQ", 20, BLOCK, cluster, merged)
        head += struct.pack("<I", scratch) if layout == "F" else b""
    out = head + bytes(scratch)
    slots, data, n = [], b"", 0
    table_at = len(out)

    def data_at():
        return table_at + cluster * 20 + len(data) if cluster else len(out) + 20

    def close():
        nonlocal out, slots, data, table_at, n
        rest = (cluster - len(slots) - 1) * 20
        slots.append(slot(CLUSTER, 0, 0, 0, rest + len(data)))
        out += b"".join(slots) + bytes(rest) + data
        slots, data, table_at, n = [], b"", len(out), n + 1

    def add(kind, compression, stored, new, source):
        nonlocal out, data, n
        one = slot(kind, compression, len(stored), new, source)
        n += 1
        if cluster:
            slots.append(one)
            data += stored
            if len(slots) >= cluster - 1:
                close()
        else:
            out += one + stored

    if sequence:
        add(SEQUENCE, 0, b"".join(struct.pack("<I", b) for b in sequence), 0, data_at())
    for kind, new, what in OPS:
        if kind == REPLACE:
            add(kind, int(gz), pack(what, gz), new, data_at())
        elif kind == XOR:
            if layout == "F":
                add(kind, int(gz), pack(what[0], gz), new, what[1])
        else:
            add(kind, 0, b"", new, what)
    if cluster and (data or not finished):
        if finished:
            close()
        else:
            out += b"".join(slots) + bytes((cluster - len(slots)) * 20) + data
            slots = []
    out += b"".join(slots)
    if finished:
        out += struct.pack("<BBHQQ64x", 255, 0, 64, n * 20, n)
    return out


def tables(gz, sequence=(), merged=0, scratch=0, spare=3):
    """3.0."""
    ops = [op for op in OPS if op[0] != LABEL]
    ops.sort(key=lambda op: op[0] not in (COPY, XOR))
    ops.append((REPLACE, 100, b"".join(block(i) for i in range(4))))
    most = len(ops) + spare
    start = 78 + scratch + 4 * len(sequence) + 16 * 4 + 16 * most
    raw, data = b"", b""
    for kind, new, what in ops:
        stored, source, factor = b"", what, 0
        if kind == REPLACE:
            stored, source = pack(what, gz), start + len(data)
            factor = (len(what) // BLOCK).bit_length() - 1
        elif kind == XOR:
            stored, source = pack(what[0], gz), what[1]
        raw += struct.pack("<IIQ", len(stored), new, kind << 60 | factor << 57 | source)
        data += stored
    head = struct.pack("<QHHHHHIIQI", MAGIC, 3, 0, 78, 0, 16, BLOCK, 0, merged, scratch)
    head += struct.pack("<QIIQQII", len(sequence), 2, 4, len(ops), most, int(gz), 4 * BLOCK)
    resume = struct.pack("<QQQQ32x", 1, 3, 2, 5)
    return (head + bytes(scratch) + b"".join(struct.pack("<I", b) for b in sequence) + resume + raw
            + bytes(16 * spare) + data)


def in_scratch(cow, size, entries):
    """The same with the state of a merge that was cut short."""
    head = SCRATCH * 16 // 4096
    raw, data = b"", b""
    for i, new in enumerate(entries):
        raw += struct.pack("<QQ", new, size + head + i * BLOCK)
        data += block(50 + i)
    area = (b"\2" + raw).ljust(head, b"\0") + data
    return cow[:size] + area.ljust(SCRATCH, b"\0") + cow[size + SCRATCH:]


FILES = {
    "v1-a-gz": array("A", True), "v1-s": array("S", False), "v1-b-gz": array("B", True),
    "v1-c-gz": log("C", True, 0), "v1-d": log("D", False, 0, merged=1),
    "v1-e-gz": log("E", True, 5),
    "v2-gz": log("F", True, 0), "v2-cluster": log("F", False, 4),
    "v2-cluster-gz": log("F", True, 5, sequence=(20, 4, 3), merged=2),
    "v2-unfinished": log("F", True, 4, finished=False),
    "v2-scratch": in_scratch(log("F", True, 5, scratch=SCRATCH), 38, (3, 4)),
    "v3": tables(False), "v3-gz": tables(True, sequence=(4, 3, 20), merged=1),
    "v3-scratch": in_scratch(tables(True, scratch=SCRATCH, spare=0), 78, (3, 4, 20)),
}


def want(base, name):
    """For those of which nothing is merged or cut short."""
    new = bytearray(base)

    def put(at, data):
        new[at * BLOCK:at * BLOCK + len(data)] = data

    for kind, at, what in OPS:
        if kind == COPY:
            put(at, base[what * BLOCK:what * BLOCK + BLOCK])
        elif kind == ZERO:
            put(at, bytes(BLOCK))
        elif kind == REPLACE:
            put(at, what)
        elif kind == XOR and name[1] in "23":
            old = base[what[1]:what[1] + BLOCK]
            put(at, bytes(a ^ b for a, b in zip(what[0], old)))
    if name[1] == "3":
        put(100, b"".join(block(i) for i in range(4)))
    return new


if __name__ == "__main__" and sys.argv[1] == "--want":
    sys.stdout.buffer.write(want(open(sys.argv[2], "rb").read(), sys.argv[3]))
elif __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, raw in FILES.items():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(raw)
