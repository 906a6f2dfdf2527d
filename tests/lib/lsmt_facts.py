#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads LSMT layers by the rules of overlaybd's own reader, as far as they are known, and by nothing of
ours: what passes here, it opens. Then also what its commit makes of a layer: the exact header, padding
and order.

    lsmt_facts.py [--any] [--beside] FILE...
    lsmt_facts.py --refused FILE...

Exit 1 and a line for each file that does not. --any: only what the reader demands. --beside: and the
device of NAME.lsmt reads as NAME.raw. --refused: the reader opens none of them, for two reasons of which
each is enough: the trailer's flags, and where the segments' data would be."""
import argparse
import struct
import sys

SPACE, SECTOR, ENTRY, INVALID = 4096, 512, 16, 2 ** 50 - 1
MAGIC = b"LSMT\0\1\2\0" + bytes([0x65, 0x7e, 0x63, 0xd2, 0x94, 0x44, 0x08, 0x4c,
                                 0xa2, 0xd2, 0xc8, 0xec, 0x4f, 0xcf, 0xae, 0x8a])
HEADER, DATA_FILE, SEALED = 1, 2, 4
MAX_ENTRIES = 1000000  # in a read-only index, padding included
UUID = "0123456789ABCDEF-"


class Bad(Exception):
    pass


def demand(truth, text):
    if not truth:
        raise Bad(text)


class Part:
    """A header or trailer."""

    def __init__(self, raw):
        self.raw = raw
        (self.magic, self.size, self.flags, self.index_offset, self.index_size, self.virtual_size,
         self.uuid, self.parent_uuid, self.reserved, self.version, self.sub_version,
         self.tag) = struct.unpack_from("<24sIIQQQ37s37sHBB256s", raw)

    def has(self, flag):
        return bool(self.flags & flag)


class Entry:
    def __init__(self, raw, at):
        w0, w1 = struct.unpack_from("<QQ", raw, at)
        self.offset, self.length = w0 & INVALID, w0 >> 50
        self.moffset, self.zeroed, self.tag = w1 & (2 ** 55 - 1), w1 >> 55 & 1, w1 >> 56
        self.raw = (w0, w1)

    def end(self):
        return self.offset + self.length

    def mend(self):
        return self.moffset + (0 if self.zeroed else self.length)


class Layer:
    """What the reader demands. Nothing is forgiven that it would not forgive."""

    def __init__(self, data):
        demand(len(data) >= 2 * SPACE, "too short")
        self.data = data
        self.header, self.trailer = Part(data[:SPACE]), Part(data[-SPACE:])
        h, t = self.header, self.trailer
        demand(h.magic == MAGIC and h.has(HEADER) and h.has(DATA_FILE), "header: magic or flags")
        demand(t.magic == MAGIC and not t.has(HEADER), "trailer: magic or flags")
        demand(t.has(DATA_FILE) and t.has(SEALED), "trailer: not a sealed data file")
        demand(t.index_size <= MAX_ENTRIES, f"{t.index_size} entries")
        room = len(data) - SPACE - t.index_offset
        demand(0 <= t.index_size * ENTRY <= room, "index does not fit before the trailer")
        self.entries = [Entry(data, t.index_offset + i * ENTRY) for i in range(t.index_size)]
        self.segments = [e for e in self.entries if e.offset != INVALID]
        for e in self.segments:
            demand(8 <= e.moffset and e.mend() <= t.index_offset // SECTOR,
                   f"segment at {e.offset}: moffset {e.moffset}, length {e.length}")
        for a, b in zip(self.segments, self.segments[1:]):
            demand(a.end() <= b.offset, f"segments at {a.offset} and {b.offset} overlap")

    def content(self):
        size = self.trailer.virtual_size
        device = bytearray((size + SECTOR - 1) // SECTOR * SECTOR)
        for e in self.segments:
            if not e.zeroed and e.end() * SECTOR <= len(device):
                device[e.offset * SECTOR:e.end() * SECTOR] = (
                    self.data[e.moffset * SECTOR:e.mend() * SECTOR])
        return bytes(device[:size])


def check_part(part, flags, name):
    demand(part.size == 390 and part.flags == flags, f"{name}: size or flags")
    demand((part.reserved, part.version, part.sub_version) == (0, 1, 1), f"{name}: version")
    demand(not any(part.raw[390:]), f"{name}: bytes after the last field")
    for text in (part.uuid, part.parent_uuid):
        demand(text[36] == 0 and all(chr(c) in UUID for c in text[:36]), f"{name}: UUID")


def check_commit(layer):
    """What there is besides in a layer that a commit wrote."""
    h, t = layer.header, layer.trailer
    check_part(h, HEADER | DATA_FILE | SEALED, "header")
    check_part(t, DATA_FILE | SEALED, "trailer")
    demand((h.index_offset, h.index_size) == (0, 0), "header: index")
    for field in ("virtual_size", "uuid", "parent_uuid", "tag"):
        demand(getattr(h, field) == getattr(t, field), f"header and trailer: {field}")
    demand(t.index_offset % SECTOR == 0, "index offset")
    demand(t.index_offset + t.index_size * ENTRY == len(layer.data) - SPACE,
           "bytes between index and trailer")
    demand(t.index_size % 256 == 0, "padding")
    padding = layer.entries[len(layer.segments):]
    demand(len(padding) < 256, "more padding than is needed")
    demand(all(e.raw == (INVALID, 0) for e in padding), "padding within the index, or odd")
    last_sector = (t.virtual_size + SECTOR - 1) // SECTOR
    for e in layer.segments:
        demand(e.length > 0 and e.tag == 0, f"segment at {e.offset}: length or tag")
        # zeros may go on, so that what a device has lost stays lost when a higher layer enlarges it
        demand(e.zeroed or e.end() <= last_sector, f"segment at {e.offset}: beyond the device")
    for a, b in zip(layer.segments, layer.segments[1:]):
        joined = (a.end() == b.offset and a.zeroed == b.zeroed and
                  (a.zeroed or a.mend() == b.moffset) and a.length + b.length < 2047 * 8 - 7)
        demand(not joined, f"segments at {a.offset} and {b.offset} could be one")


def check_refused(data):
    """By its trailer; and, would that be as usual, by its segments, one of which at least must claim data
    where no file can have any."""
    flags = len(data) - SPACE + 28
    usual = data[:flags] + struct.pack("<I", DATA_FILE | SEALED) + data[flags + 4:]
    for image, why in ((data, "trailer: "), (usual, "segment at ")):
        try:
            Layer(image)
        except Bad as bad:
            demand(str(bad).startswith(why), f"refused, but: {bad}")
        else:
            raise Bad("is not refused")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--any", action="store_true")
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--refused", action="store_true")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    status = 0
    for name in args.files:
        try:
            with open(name, "rb") as f:
                data = f.read()
            if args.refused:
                check_refused(data)
                continue
            layer = Layer(data)
            if not args.any:
                check_commit(layer)
            if args.beside:
                with open(name.removesuffix(".lsmt") + ".raw", "rb") as f:
                    demand(layer.content() == f.read(), "other bytes")
        except Bad as bad:
            print(f"{name}: {bad}", file=sys.stderr)
            status = 1
    sys.exit(status)
