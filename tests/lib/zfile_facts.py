#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads ZFiles, bare or in a tar, by the rules of overlaybd's own reader, as far as they are known, and
by nothing of ours: header and trailer with their digests, the jump table within its 16-bit distances,
and every block's checksum. (The blocks are not decompressed.)

    zfile_facts.py [--tar] [--large] FILE...

--tar: each is in a tar as overlaybd-commit -t writes it. --large: blocks may be too long for that
reader."""
import argparse
import struct
import sys

SIZE, ENTRY, SEED = 512, 4, 100007
MAGIC = b"ZFile\0\1\0tuji.yyf@Alibaba"
HEADER, DATA_FILE, SEALED, OVERWRITTEN, DIGEST = 1, 2, 4, 8, 16
BUFFER, GROUP, DELTA_END = 65536, 65536, 65535

TABLE = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
    TABLE.append(i)


def crc32c(crc, data):
    """CRC-32C with no inversion at either end."""
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc


class Bad(Exception):
    pass


def demand(truth, text):
    if not truth:
        raise Bad(text)


class Part:
    """A header or trailer."""

    def __init__(self, raw, name):
        demand(raw[:24] == MAGIC, f"{name}: magic")
        (self.size, digest, self.flags, self.index_offset, self.index_size, self.original_size,
         self.index_crc, reserved, self.block_size, self.algo, level, use_dict, _, _, dict_size,
         self.verify) = struct.unpack_from("<IIQQQQIIIBBBBIIB", raw, 24)
        demand(self.size == 96, f"{name}: size {self.size}")
        demand((reserved, level, use_dict, dict_size) == (0, 0, 0, 0), f"{name}: unused fields")
        demand(not any(raw[89:]), f"{name}: bytes after the last field")
        demand(self.flags & DIGEST and digest == crc32c(0, raw[:28] + bytes(4) + raw[32:]),
               f"{name}: digest")


def check_header(data):
    """The two ends; returns the one that the reader believes."""
    header, trailer = Part(data[:SIZE], "header"), Part(data[-SIZE:], "trailer")
    demand(trailer.flags == DATA_FILE | SEALED | DIGEST, f"trailer: flags {trailer.flags}")
    demand(header.flags in (HEADER | DATA_FILE | DIGEST,
                            HEADER | DATA_FILE | DIGEST | OVERWRITTEN), f"header: {header.flags}")
    same = ("index_offset", "index_size", "original_size", "index_crc", "block_size", "algo", "verify")
    if header.flags & OVERWRITTEN:
        for field in same:
            demand(getattr(header, field) == getattr(trailer, field), f"header and trailer: {field}")
        return header
    demand((header.index_offset, header.index_size, header.original_size) == (0, 0, 0),
           "a header that says nothing has numbers")
    return trailer


def check_blocks(data, part, large):
    index = data[part.index_offset:part.index_offset + part.index_size * ENTRY]
    demand(part.index_offset + len(index) == len(data) - SIZE, "index not before the trailer")
    demand(part.index_size == -(-part.original_size // part.block_size), "number of blocks")
    demand(part.index_crc == crc32c(0, index), "index checksum")
    at, delta = SIZE, 0
    for number, (stored,) in enumerate(struct.iter_unpack("<I", index)):
        demand(stored > (4 if part.verify else 0), f"block {number}: {stored} bytes")
        first = number % (GROUP // part.block_size) == 0
        demand(large or first or delta < DELTA_END, f"block {number}: distance {delta}")
        demand(large or stored <= BUFFER, f"block {number}: {stored} bytes are too long")
        if part.verify:
            crc, = struct.unpack_from("<I", data, at + stored - 4)
            demand(crc == crc32c(SEED, data[at:at + stored - 4]), f"block {number}: checksum")
        delta = stored if first else delta + stored
        at += stored
    demand(at == part.index_offset, "blocks do not end at the index")


def unwrap(data):
    """The tar: pax header with the size, ustar header without one, data, two blocks of zeros."""
    for at, name, kind in ((0, b"overlaybd.pax", b"x"), (1024, b"overlaybd.commit", b"0")):
        raw = data[at:at + 512]
        total = sum(raw[:148]) + 8 * 0x20 + sum(raw[156:])
        demand(raw[:100].rstrip(b"\0") == name and raw[156:157] == kind, f"tar: {name}")
        demand(raw[257:265] == b"ustar\x0000", "tar: magic")
        demand(int(raw[148:156].strip(b" \0"), 8) == total, "tar: checksum")
    record = data[512:1024].rstrip(b"\0")
    length, _, text = record.partition(b" ")
    demand(int(length) == len(record) and text.startswith(b"size=") and text.endswith(b"\n"), "pax")
    size = int(text[5:])
    demand(len(data) == 1536 + -(-size // 512) * 512 + 1024, "tar: length")
    demand(not any(data[1536 + size:]), "tar: end")
    return data[1536:1536 + size]


def check(data, args):
    if args.tar:
        data = unwrap(data)
    part = check_header(data)
    demand(part.algo in (1, 2) and part.block_size in (4096, 8192, 16384, 32768, 65536), "options")
    check_blocks(data, part, args.large)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tar", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    status = 0
    for path in options.files:
        try:
            with open(path, "rb") as f:
                check(f.read(), options)
        except (Bad, ValueError, struct.error) as why:
            print(f"{path}: {why}")
            status = 1
    sys.exit(status)
