#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the files of tests/should-fail/bow: devices in their checkpoint, each with one fault, and the
sentence with which it must be refused."""
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import bow_facts  # noqa: E402

NBLOCKS = 60
LIVE = 20 * 512  # block 0; its backup is behind it, then log blocks


def device(nbackups=3):
    """Blocks of 512; blocks 1.. are backed up to 24.., in order."""
    w = bow_facts.Writer.__new__(bow_facts.Writer)
    w.layout, w.block, w.sequence, w.live = "1.0", 512, 0, LIVE
    w.disk = bytearray(b"%-511d\n" % 0 * NBLOCKS)
    w.entries, w.backups, spare = [], [], iter((21, 22, 23))
    w.take = lambda n: (next(spare), 1)
    w.disk[LIVE:LIVE + 512] = w.disk[:512]
    w.begin()
    for i in range(nbackups):
        back_up(w, (1 + i % 19) * 512, (24 + i) * 512)
    return w


def back_up(w, source, dest, size=512, crc=None):
    data = bytes(w.disk[source:source + size])
    w.disk[dest:dest + size] = data
    w.log(source, dest, size, bow_facts.checksum(data, source, 512) if crc is None else crc)


def header(off, kind, value):
    def change(w):
        struct.pack_into(kind, w.disk, off, value)
    return change


def entry(i, off, kind, value):
    return header(28 + 24 * i + off, kind, value)


def older(off, kind, value, seal=True):
    """In the log block before, which lies in block 22; seal: its checksum is right."""
    def change(w):
        struct.pack_into(kind, w.disk, 22 * 512 + off, value)
        if seal:
            data = bytes(w.disk[22 * 512:23 * 512])
            struct.pack_into("<I", w.disk, 28 + 20, bow_facts.checksum(data, 0, 512))
    return change


def spoil(w):
    w.disk[25 * 512 + 99] ^= 1


def twice(w):
    back_up(w, 9 * 512, 25 * 512)


def unaligned(w):
    header(8, "<I", 1024)(w)
    entry(3, 16, "<I", 1024)(w)


def prototype(count, sequence, sector0):
    def change(w):
        w.disk[:512] = bytes(512)
        struct.pack_into("<IIIQ", w.disk, 0, bow_facts.MAGIC, count, sequence, sector0)
    return change


# name: (fault, backups, sentence)
FAULTS = {
    "version": (header(4, "<H", 0x0200), 3, "log: version 0x0200 is not 0x0100"),
    "header-small": (header(6, "<H", 27), 3, "log: a header of 27 bytes is not of 28 to 488"),
    "header-large": (header(6, "<H", 489), 3, "log: a header of 489 bytes is not of 28 to 488"),
    "block-size-none": (header(8, "<I", 0), 3, "log: a block size of 0 is not a power of two"),
    "block-size-odd": (header(8, "<I", 1000), 3, "log: a block size of 1000 is not"),
    "block-size-large": (header(8, "<I", 8192), 3, "log: a block size of 8192 is not"),
    "count-large": (header(12, "<I", 21), 3, "log: 21 entries do not fit in a block of 512"),
    "count-none": (header(12, "<Q", 1 << 32), 3,
                   "log: block 1 of it has no entries"),
    "sequence-large": (header(16, "<I", 60), 3, "log: block 60 of it, of a device of 60 blocks"),
    "sequence-wrong": (header(16, "<I", 2), 21,
                       "is not the log block before block 2"),
    "sector0-beyond": (header(20, "<Q", 60), 3, "log: block 0 at sector 60, beyond the device's"),
    "sector0-here": (header(20, "<Q", 0), 3, "log: block 0 at sector 0 is not at another block"),
    "entry-size-none": (entry(2, 16, "<I", 0), 3, "entry 2: 0 bytes are not whole blocks"),
    "entry-size-odd": (entry(2, 16, "<I", 700), 3, "entry 2: 700 bytes are not whole blocks"),
    "entry-size-large": (entry(2, 16, "<I", 0xfffffe00), 3, "lie beyond the device's"),
    "entry-unaligned": (unaligned, 3, "entry 3: sector 3 or 26 is not where a block of 1024 begins"),
    "entry-source-beyond": (entry(2, 0, "<Q", 60), 3, "lie beyond the device's 30720 bytes"),
    "entry-dest-beyond": (entry(2, 8, "<Q", 1 << 63), 3, "lie beyond the device's 30720 bytes"),
    "entry-dest-log": (entry(2, 8, "<Q", 0), 3, "entry 2: its backup is said to be in block 0"),
    "entry-source-log": (entry(2, 0, "<Q", 0), 3, "block 0 is backed up by the first entry only"),
    "entry-first": (entry(0, 0, "<Q", 1), 3, "512 bytes at 512 are not block 0"),
    "entry-first-size": (entry(0, 16, "<I", 1024), 3, "1024 bytes at 0 are not block 0"),
    "entry-overlap": (entry(2, 8, "<Q", 2), 3, "512 bytes at 1024 overlap their backup at 1024"),
    "backup-twice": (twice, 3, "entry 2: its backup at 12800 is that of a later entry, too"),
    "backup-spoilt": (spoil, 3, "entry 2: checksum 0x"),
    "checksum": (entry(3, 20, "<I", 1), 3, "is not 0x00000001"),
    "original-block0": (header(21 * 512 + 5, "<B", 7), 3, "block 0 of it: entry 0: checksum 0x"),
    "older-spoilt": (older(100, "<B", 255, False), 21, "of the log block at 11264 is not 0x"),
    "older-magic": (older(0, "<I", 0), 21, "block 0 of it, at 11264: log: a magic of 0x00000000"),
    "older-partial": (older(0, "<I", bow_facts.PARTIAL), 21, "is not the log block before block 1"),
    "older-block-size": (older(8, "<I", 1024), 21, "is not the log block before block 1"),
    "older-sequence": (older(16, "<I", 3), 21, "is not the log block before block 1"),
    "older-entry": (older(28 + 24 + 16, "<I", 1), 21, "block 0 of it: entry 1: 1 bytes"),
    "prototype-count": (prototype(170, 0, 8), 3, "170 entries do not fit in a block of 4096"),
    "prototype-none": (prototype(0, 0, 0), 3, "log: block 0 of it has no entries"),
    "prototype-sector0": (prototype(1, 0, 9), 3, "block 0 at sector 9 is not at another block"),
}

if __name__ == "__main__":
    os.makedirs(os.path.join(HERE, "bow"), exist_ok=True)
    for name, (fault, nbackups, sentence) in FAULTS.items():
        w = device(nbackups)
        fault(w)
        with open(os.path.join(HERE, "bow", name + ".bin"), "wb") as f:
            f.write(w.disk)
        with open(os.path.join(HERE, "bow", name + ".txt"), "w") as f:
            f.write(sentence + "\n")
