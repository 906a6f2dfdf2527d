#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Backup on write from the layouts alone, and by no code of ours: a writer that makes devices in their
checkpoint, and a restorer.

    bow_facts.py make LAYOUT BLOCK SEED DISK [UNDONE [LIVE]]   LAYOUT: 1.0, prototype or early
    bow_facts.py restore DISK                                  in place
"""
import random
import struct
import sys
import zlib

MAGIC, PARTIAL = 0x00574f42, 0x00424f57
HEADERS = {"1.0": 28, "prototype": 20, "early": 12}
UNCHANGED, FREE, CHANGED, BACKUP, LIVE, LOG = range(6)


def checksum(data, source, block):
    return zlib.crc32(data, source // block ^ 0xffffffff) ^ 0xffffffff


def header(layout, block, count, sequence, sector0, magic=MAGIC):
    if layout == "1.0":
        return struct.pack("<IHHIIIQ", magic, 0x100, 28, block, count, sequence, sector0 // 512)
    fields = struct.pack("<III", magic, count, sequence)
    return fields + struct.pack("<Q", sector0 // 512) if layout == "prototype" else fields


def entry(source, dest, size, crc):
    return struct.pack("<QQII", source // 512, dest // 512, size, crc)


class Writer:
    """A device that is written to in its checkpoint."""

    def __init__(self, layout, block, nblocks, seed):
        self.layout, self.block = layout, block
        self.random = random.Random(seed)
        self.disk = bytearray(self.random.randbytes(block * nblocks))
        self.state = [UNCHANGED] * nblocks
        for i in range(nblocks // 8):
            at = self.random.randrange(1, nblocks)
            for k in range(at, min(nblocks, at + 5)):
                self.state[k] = FREE
        self.state[0] = LOG
        self.live, self.sequence, self.entries, self.backups = 0, 0, [], []
        self.live = self.take(1)[0] * block
        self.state[self.live // block] = LIVE
        self.disk[self.live:self.live + block] = self.disk[:block]
        self.begin()

    def take(self, n):
        """Up to n free blocks in a row, as backups."""
        free = [b for b, s in enumerate(self.state) if s == FREE]
        if not free:
            raise MemoryError
        at = self.random.choice(free)
        k = 1
        while k < n and at + k < len(self.state) and self.state[at + k] == FREE:
            k += 1
        self.state[at:at + k] = [BACKUP] * k
        return at, k

    def begin(self):
        """Block 0 as it is becomes the backup that a new log block begins with."""
        dest = self.take(1)[0] * self.block
        old = bytes(self.disk[:self.block])
        self.disk[dest:dest + self.block] = old
        self.entries = []
        self.disk[:self.block] = bytes(self.block)
        self.add(0, dest, self.block, checksum(old, 0, self.block))

    def flush(self):
        log = header(self.layout, self.block, len(self.entries), self.sequence, self.live)
        log += b"".join(self.entries)
        self.disk[:len(log)] = log

    def add(self, source, dest, size, crc):
        self.entries.append(entry(source, dest, size, crc))
        self.backups.append((source, dest, size))
        self.flush()

    def log(self, source, dest, size, crc):
        if HEADERS[self.layout] + 24 * (len(self.entries) + 1) > self.block:
            self.sequence += 1
            self.begin()
        self.add(source, dest, size, crc)

    def back_up(self, b, n):
        dest, n = self.take(n)
        moved, block = self.state[b] == LIVE, self.block
        data = bytes(self.disk[b * block:(b + n) * block])
        self.disk[dest * block:(dest + n) * block] = data
        if moved:
            self.state[dest] = LIVE
        self.log(b * block, dest * block, n * block, 0 if moved else checksum(data, b * block, block))
        if moved:  # the header says it with the next entry
            self.live = dest * block
        return n

    def write(self, b, n):
        while n > 0 and b < len(self.state):
            k = 1
            while k < n and b + k < len(self.state) and self.state[b + k] == self.state[b]:
                k += 1
            if self.state[b] in (UNCHANGED, BACKUP, LIVE):
                k = self.back_up(b, k)
            self.state[b:b + k] = [CHANGED] * k
            self.disk[b * self.block:(b + k) * self.block] = self.random.randbytes(k * self.block)
            b, n = b + k, n - k

    def undone(self):
        disk = bytearray(self.disk)
        for source, dest, size in reversed(self.backups):
            disk[source:source + size] = disk[dest:dest + size]
        return disk

    def committed(self):
        disk = bytearray(self.disk)
        disk[:self.block] = disk[self.live:self.live + self.block]
        return disk


def make(layout, block, seed, nblocks=160):
    w = Writer(layout, block, nblocks, seed)
    try:
        for _ in range(w.random.randrange(20, 60)):
            if w.random.randrange(8) == 0:
                w.disk[w.live:w.live + block] = w.random.randbytes(block)
            else:
                w.write(w.random.randrange(1, nblocks), w.random.randrange(1, 4))
    except MemoryError:  # it is full; what was to be written then was not
        pass
    return w


def read_log(block0):
    """Layout, block size, header size, count, sequence."""
    magic, version, size = struct.unpack_from("<IHH", block0)
    if magic not in (MAGIC, PARTIAL):
        sys.exit("no log")
    if size:
        assert version == 0x100
        block, count, sequence = struct.unpack_from("<III", block0, 8)
        return block, size, count, sequence
    count, sequence, sector0 = struct.unpack_from("<IIQ", block0, 4)
    return 4096, 20 if sector0 else 12, count, sequence


def restore(disk):
    while True:
        block, size, count, sequence = read_log(disk)
        log = bytes(disk[:block])
        for i in reversed(range(count)):
            source, dest, length, crc = struct.unpack_from("<QQII", log, size + 24 * i)
            data = disk[dest * 512:dest * 512 + length]
            if crc and checksum(data, source * 512, block) != crc:
                sys.exit(f"log block {sequence}: entry {i}: checksum")
            disk[source * 512:source * 512 + length] = data
        if sequence == 0:
            return


def main(what, *args):
    if what == "make":
        w = make(args[0], int(args[1]), int(args[2]))
        for path, data in zip(args[3:], (w.disk, w.undone(), w.committed())):
            with open(path, "wb") as f:
                f.write(data)
        print(f"{len(w.backups)} entries, {w.sequence + 1} log blocks")
        return
    with open(args[0], "r+b") as f:
        disk = bytearray(f.read())
        restore(disk)
        f.seek(0)
        f.write(disk)


if __name__ == "__main__":
    main(*sys.argv[1:])
