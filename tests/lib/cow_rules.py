#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether a COW that was just written keeps every rule of those who read it on a phone, written from a
description of them and sharing nothing with ours: cow_rules.py (COW OLD NEW)...; OLD - is no base at
all.

Checks the file byte by byte, reads it over OLD, merges it into OLD in the three ways that a reader may
(block by block; in groups of 510 that are read ahead; and, if it has no scratch area, again after a
power cut), each of which must give NEW. Prints what there is as JSON; a broken rule is a
sentence, and status 1."""
import ctypes
import json
import random
import struct
import sys
import zlib

MAGIC = 0x436F77634F572121
COPY, REPLACE, ZERO, LABEL, CLUSTER, XOR, SEQUENCE, FOOTER = 1, 2, 3, 4, 5, 6, 7, 255
NONE, GZ, BROTLI, LZ4, ZSTD = range(5)
BLOCK = 4096
GROUP = 510
SCRATCH = 2 << 20


def rule(holds, *what):
    if not holds:
        raise SystemExit(f"{NAME}: " + " ".join(str(w) for w in what))


class Op:
    """type, block, source, data (as stored), factor"""

    def __init__(self, kind, block, source, data=b"", factor=0):
        self.kind, self.block, self.source = kind, block, source
        self.data, self.factor = data, factor
        self.n = 1 << factor

    def ordered(self):
        return self.kind in (COPY, XOR)

    def reads(self):
        """Blocks of the base."""
        if self.kind == COPY:
            return [self.source]
        if self.kind == XOR:
            first = self.source // BLOCK
            return [first] if self.source % BLOCK == 0 else [first, first + 1]
        return []

    def __repr__(self):
        return f"op(type {self.kind}, block {self.block}, source {self.source})"


# ---- decompression, by the libraries themselves

def library(name):
    return ctypes.CDLL(name)


def decompress(algorithm, data, size):
    out = ctypes.create_string_buffer(size)
    if algorithm == GZ:
        z = zlib.decompressobj()
        plain = z.decompress(data)
        rule(z.eof and not z.unused_data, "a gz stream does not end with its data")
        return plain
    if algorithm == LZ4:
        n = library("liblz4.so.1").LZ4_decompress_safe(data, out, len(data), size)
    elif algorithm == ZSTD:
        f = library("libzstd.so.1").ZSTD_decompress
        f.restype = ctypes.c_size_t
        n = f(out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)))
    else:
        n = ctypes.c_size_t(size)
        good = library("libbrotlidec.so.1").BrotliDecoderDecompress(
            ctypes.c_size_t(len(data)), data, ctypes.byref(n), out)
        rule(good == 1, "brotli data do not decompress")
        n = n.value
    rule(n == size, "data decompress to", n, "bytes instead of", size)
    return out.raw


# ---- 2.0

class V2:
    def __init__(self, raw):
        (_, _, _, self.header, footer, op_size, block, self.cluster, self.merged,
         self.scratch) = struct.unpack_from("<QHHHHHIIQI", raw)
        rule(self.header == 38 and footer == 84 and op_size == 20 and block == BLOCK, "v2 header")
        rule(self.cluster >= 2, "a file without clusters")
        self.raw, self.ops, self.sequence, self.labels = raw, [], [], []
        self.algorithm, self.max_piece = None, BLOCK
        self.nslots = 0
        self.clusters = []  # of each: slots used, slots, data
        self.read_log(self.header + self.scratch)

    def read_log(self, pos):
        while True:
            table = pos + self.cluster * 20
            data, used = table, 0
            while True:
                kind = self.raw[pos]
                if kind == FOOTER:
                    self.read_footer(pos, data - table)
                    return
                rule(pos + 20 <= table, "a cluster without an end at", pos)
                end = self.read_slot(pos, data)
                used += 1
                pos += 20
                if kind == CLUSTER:
                    rule(pos + end == data, "a cluster ends at", pos + end, "its data at", data)
                    rule(not any(self.raw[pos:table]), "slots behind the end of a cluster")
                    self.clusters.append((used, data - table))
                    pos = data
                    break
                data += end

    def read_slot(self, pos, data):
        """Bytes of data, or the distance of a cluster's end."""
        kind, compression, length, block, source = struct.unpack_from("<BBHQQ", self.raw, pos)
        self.nslots += 1
        if kind == CLUSTER:
            rule((compression, length, block) == (0, 0, 0), "end of a cluster at", pos)
            return source
        if kind == LABEL:
            rule((compression, length, block) == (0, 0, 0), "label at", pos)
            rule(not self.labels or source > self.labels[-1], "label", source, "is not higher")
            self.labels.append(source)
            return 0
        rule(length == 0 or data + length <= len(self.raw), "data beyond the end at", pos)
        stored = self.raw[data:data + length]
        if kind == SEQUENCE:
            rule(not self.ops, "merge order behind operations")
            rule(block == 0 and compression == 0 and source == data, "merge order at", pos)
            rule(0 < length <= 8192 and length % 4 == 0, "merge order of", length, "bytes")
            self.sequence += struct.unpack(f"<{length // 4}I", stored)
            return length
        rule(kind in (COPY, REPLACE, ZERO, XOR), "type", kind, "at", pos)
        rule(block < 1 << 32 and source < 1 << 48, "block or source at", pos)
        if kind in (REPLACE, XOR):
            rule(self.algorithm in (None, compression), "two algorithms in one file")
            self.algorithm = compression
            rule(length > 0, "no data at", pos)
            if kind == REPLACE:
                rule(source == data, "data of the operation at", pos, "are at", data)
        else:
            rule(length == 0 and compression == 0, "data of an operation without any at", pos)
            rule(kind != ZERO or source == 0, "a zero with a source at", pos)
        self.ops.append(Op(kind, block, source, stored))
        return length

    def read_footer(self, pos, open_data):
        kind, compression, length, size, n = struct.unpack_from("<BBHQQ", self.raw, pos)
        rule(open_data == 0, "a footer in a cluster with data")
        rule(compression == 0 and length == 64, "footer", compression, length)
        rule(n == self.nslots and size == n * 20, "the footer counts", n, "of", self.nslots)
        rule(not any(self.raw[pos + 20:pos + 84]), "the footer has no zeros")
        rule(len(self.raw) == pos + 84, "something behind the footer")
        for used, _ in self.clusters[:-1]:
            rule(used == self.cluster, "a cluster of", used, "before the last one")

    def plain(self, op):
        if len(op.data) == BLOCK and self.algorithm in (NONE, LZ4, ZSTD):
            return op.data
        rule(self.algorithm in (GZ, BROTLI) or len(op.data) < BLOCK, op, "is too long")
        rule(self.algorithm != NONE, op, "is neither compressed nor a block")
        return decompress(self.algorithm, op.data, BLOCK)

    def order(self):
        rest = [o for o in self.ops if o.ordered()]
        others = [o for o in self.ops if not o.ordered()]
        if self.sequence:
            return None
        return rest + sorted(others, key=lambda o: o.block)


# ---- 3.0

class V3:
    def __init__(self, raw):
        (_, _, _, self.header, footer, op_size, block, cluster, self.merged, self.scratch, nseq,
         nresume, resume_max, nops, nops_max, self.algorithm, self.max_piece) = struct.unpack_from(
             "<QHHHHHIIQIQIIQQII", raw)
        rule(self.header == 78 and footer == 0 and op_size == 16 and block == BLOCK, "v3 header")
        rule(cluster == 0, "clusters in v3")
        rule(self.algorithm <= ZSTD, "algorithm", self.algorithm)
        rule(self.max_piece in [4096 << i for i in range(7)], "pieces of", self.max_piece)
        rule(nresume <= resume_max and resume_max == 4, nresume, "resume points")
        rule(nops <= nops_max, nops, "operations where there is room for", nops_max)
        at = self.header + self.scratch
        self.sequence = list(struct.unpack_from(f"<{nseq}I", raw, at))
        at += 4 * nseq
        points = [struct.unpack_from("<QQ", raw, at + 16 * i) for i in range(nresume)]
        rule(points == sorted(points) and len({p[0] for p in points}) == nresume,
             "resume points", points)
        rule(all(p[1] <= nops for p in points), "a resume point behind the end", points)
        rule(not any(raw[at + 16 * nresume:at + 16 * resume_max]), "unused resume points")
        self.labels = [p[0] for p in points]
        at += 16 * resume_max
        data = at + 16 * nops_max
        rule(not any(raw[at + 16 * nops:data]), "unused operations")
        self.ops = []
        for i in range(nops):
            data += self.read_op(raw, at + 16 * i, data)
        rule(len(raw) == data, "the file has", len(raw), "bytes, its data end at", data)

    def read_op(self, raw, pos, data):
        length, block, info = struct.unpack_from("<IIQ", raw, pos)
        kind, factor, source = info >> 60, info >> 57 & 7, info & (1 << 48) - 1
        rule(info >> 48 & 0x1FF == 0, "bits that mean nothing at", pos)
        rule(kind in (COPY, REPLACE, ZERO, XOR), "type", kind, "at", pos)
        rule(factor == 0 or kind == REPLACE, "a factor at", pos)
        rule(factor <= 6 and BLOCK << factor <= self.max_piece, "factor", factor, "at", pos)
        rule(data + length <= len(raw), "data beyond the end at", pos)
        if kind in (REPLACE, XOR):
            rule(0 < length <= BLOCK << factor, length, "bytes of data at", pos)
            rule(kind == XOR or source == data, "data of the operation at", pos, "are at", data)
        else:
            rule(length == 0, "data of an operation without any at", pos)
            rule(kind != ZERO or source == 0, "a zero with a source at", pos)
        rule(block + (1 << factor) <= 1 << 32, "block", block)
        self.ops.append(Op(kind, block, source, raw[data:data + length], factor))
        return length

    def plain(self, op):
        if len(op.data) == BLOCK * op.n:
            return op.data
        rule(self.algorithm != NONE, op, "is neither compressed nor of whole blocks")
        return decompress(self.algorithm, op.data, BLOCK * op.n)

    def order(self):
        return None if self.sequence else self.ops


# ---- what it means

def in_order(cow):
    """The operations as they are merged, by a daemon that merges itself."""
    by_block = {o.block: o for o in cow.ops}
    order = cow.order()
    if order is None:
        for block in cow.sequence:
            rule(block in by_block, "block", block, "of the merge order has no operation")
        rule(len(set(cow.sequence)) == len(cow.sequence), "a block twice in the merge order")
        listed = set(cow.sequence)
        rest = sorted((o for o in cow.ops if o.block not in listed), key=lambda o: o.block)
        order = [by_block[b] for b in cow.sequence] + rest
    rule(len(order) == len(cow.ops), "the order of merging lacks operations")
    return order


def check_order(order, scratch):
    seen, unordered = set(), False
    dests = {b for o in order for b in range(o.block, o.block + o.n)}
    for o in order:
        rule(not (o.ordered() and unordered), o, "comes behind one that needs no base")
        unordered |= not o.ordered()
        for b in o.reads():
            rule(b not in seen, o, "reads block", b, "which is written before")
            # what a merge that begins a group again would read
            rule(scratch or b not in dests, o, "reads block", b,
                 "which is written, and there is no scratch area")
        if o.ordered():
            seen.add(o.block)


def check_blocks(cow, nold, nnew):
    taken = set()
    for o in cow.ops:
        for b in range(o.block, o.block + o.n):
            rule(b not in taken, "two operations on block", b)
            rule(b < nnew, o, "is beyond the new image")
            taken.add(b)
        rule(o.kind != COPY or o.source != o.block, o, "copies to where it is")
        rule(all(b < nold for b in o.reads()), o, "reads beyond the old image")
        rule(o.kind != XOR or o.source + BLOCK <= nold * BLOCK, o, "reads beyond the old image")
    return len(taken)


def make(o, base, plain):
    """What o makes of the base as it is now: bytes of its blocks."""
    if o.kind == COPY:
        return bytes(base[o.source * BLOCK:(o.source + 1) * BLOCK])
    if o.kind == ZERO:
        return bytes(BLOCK)
    if o.kind == REPLACE:
        return plain[o.block]
    a = int.from_bytes(base[o.source:o.source + BLOCK], "little")
    return (a ^ int.from_bytes(plain[o.block], "little")).to_bytes(BLOCK, "little")


def put(base, o, data):
    base[o.block * BLOCK:o.block * BLOCK + len(data)] = data


def merge_plainly(base, order, plain):
    for o in order:
        put(base, o, make(o, base, plain))


def merge_in_groups(base, order, plain):
    """The next group's sources are read while this one is written: here, before."""
    ordered = [o for o in order if o.ordered()]
    groups = [ordered[i:i + GROUP] for i in range(0, len(ordered), GROUP)]
    ahead = [make(o, base, plain) for o in groups[0]] if groups else []
    for i, group in enumerate(groups):
        here = ahead
        if i + 1 < len(groups):
            ahead = [make(o, base, plain) for o in groups[i + 1]]
        for o, data in zip(group, here):
            put(base, o, data)
    merge_plainly(base, [o for o in order if not o.ordered()], plain)


def check(cow_path, old_path, new_path):
    raw = open(cow_path, "rb").read()
    new = open(new_path, "rb").read()
    rule(len(new) % BLOCK == 0, "the new image is not in blocks")
    if old_path == "-":
        old, nold = random.Random(1).randbytes(len(new)), 0
    else:
        old = open(old_path, "rb").read()
        nold = len(old) // BLOCK
    magic, major, minor = struct.unpack_from("<QHH", raw)
    rule(magic == MAGIC and major in (2, 3) and minor == 0, "magic and version")
    cow = V3(raw) if major == 3 else V2(raw)
    rule(cow.scratch in (0, SCRATCH), "a scratch area of", cow.scratch)
    rule(not any(raw[cow.header:cow.header + cow.scratch]), "the scratch area is not empty")
    rule(cow.merged == 0, "merged already")
    nblocks = check_blocks(cow, nold, len(new) // BLOCK)
    order = in_order(cow)
    check_order(order, cow.scratch > 0)
    plain = {o.block: cow.plain(o) for o in cow.ops if o.kind in (REPLACE, XOR)}

    # a base as long as the new image is to be, of anything where old ends
    start = bytearray(old) + random.Random(2).randbytes(max(0, len(new) - len(old)))
    view = bytearray(start)
    for o in cow.ops:
        put(view, o, make(o, start, plain))
    rule(view[:len(new)] == new, "it does not read as the new image")
    rule(view[len(new):] == start[len(new):], "it changes what lies behind the new image")
    for way in (merge_plainly, merge_in_groups):
        base = bytearray(start)
        way(base, order, plain)
        rule(base == view, way.__name__, "does not give the new image")
    if cow.scratch == 0:
        base = bytearray(start)
        for o in [o for o in order if o.ordered()][::2]:  # a power cut in the midst of a group
            put(base, o, make(o, start, plain))
        merge_plainly(base, order, plain)
        rule(base == view, "a power cut without a scratch area")
    kinds = {k: sum(o.kind == v for o in cow.ops)
             for k, v in (("copies", COPY), ("replacements", REPLACE), ("zeros", ZERO), ("xors", XOR))}
    unaligned = sum(o.kind == XOR and o.source % BLOCK != 0 for o in cow.ops)
    print(json.dumps(dict(kinds, version=major, algorithm=cow.algorithm, blocks=nblocks,
                          unaligned=unaligned, sequence=len(cow.sequence), labels=len(cow.labels),
                          scratch=cow.scratch, largest=max([o.n for o in cow.ops], default=0))))


for i in range(1, len(sys.argv), 3):
    NAME = sys.argv[i]
    check(*sys.argv[i:i + 3])
