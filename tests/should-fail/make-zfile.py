#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/should-fail/zfile/: small ZFiles with one thing wrong in each (NAME.bin), and a part of
the sentence that says so (NAME.txt). Digests and checksums are made right again after the damage,
except where they are what is wrong. Run it again after a change here: make-zfile.py"""
import os
import struct

HEADER = 512
# offset, struct code: as in docs/format-zfile.md
FIELD = {
    "digest": (28, "<I"), "flags": (32, "<Q"), "index_offset": (40, "<Q"),
    "index_size": (48, "<Q"), "original_file_size": (56, "<Q"), "index_crc": (64, "<I"),
    "block_size": (72, "<I"), "algo": (76, "<B"), "use_dict": (78, "<B"),
    "dict_size": (84, "<I"), "verify": (88, "<B"),
}
OVERWRITTEN, TRAILER = 1 | 2 | 8 | 16, 2 | 4 | 16


def crc32c(crc, data):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


def lz4_run(byte, n):
    """n times the byte as an LZ4 block: a literal, one long match, five literals."""
    rest = n - 1 - 5 - 4 - 15
    return (bytes([0x1f, byte, 1, 0]) + b"\xff" * (rest // 255) + bytes([rest % 255, 0x50])
            + bytes([byte]) * 5)


class ZFile:
    """Two blocks of 4096 bytes and one of 1000, all lz4. part() and entry() change what is written."""

    def __init__(self, checksum=True, overwritten=True, blocks=None):
        self.blocks = blocks or [lz4_run(0x61, 4096), lz4_run(0x62, 4096), lz4_run(0x63, 1000)]
        self.entries = [len(b) + 4 * checksum for b in self.blocks]
        self.checksum = checksum
        self.crcs = [crc32c(100007, b) for b in self.blocks]
        self.overwritten = overwritten
        self.fields = {"original_file_size": 9192, "block_size": 4096, "algo": 1,
                       "verify": int(checksum)}
        self.header, self.trailer = {}, {}

    def part(self, fields):
        raw = bytearray(HEADER)
        raw[0:24] = b"ZFile\0\1\0tuji.yyf@Alibaba"
        raw[24:28] = struct.pack("<I", 96)
        for name, value in fields.items():
            off, code = FIELD[name]
            struct.pack_into(code, raw, off, value)
        if fields["flags"] & 16 and "digest" not in fields:
            struct.pack_into("<I", raw, 28, crc32c(0, raw))
        return bytes(raw)

    def bytes(self):
        data = b"".join(b + struct.pack("<I", c) * self.checksum
                        for b, c in zip(self.blocks, self.crcs))
        index = b"".join(struct.pack("<I", e) for e in self.entries)
        fields = dict(index_offset=HEADER + len(data), index_size=len(self.entries),
                      index_crc=crc32c(0, index))
        fields.update(self.fields)
        first = dict(fields, flags=OVERWRITTEN)
        if not self.overwritten:
            first = {k: fields[k] for k in ("block_size", "algo", "verify")}
            first["flags"] = 1 | 2 | 16
        first.update(self.header)
        last = dict(fields, flags=TRAILER)
        last.update(self.trailer)
        return self.part(first) + data + index + self.part(last)


def overwritten(**fields):
    z = ZFile()
    z.fields.update(fields)
    return z.bytes()


def header(**fields):
    z = ZFile()
    z.header.update(fields)
    return z.bytes()


def trailer(**fields):
    z = ZFile(overwritten=False)
    z.trailer.update(fields)
    return z.bytes()


def entries(*values):
    z = ZFile()
    z.entries = list(values)
    return z.bytes()


def blocks(checksum, *values):
    return ZFile(checksum, blocks=list(values)).bytes()


def flipped(data, off):
    data = bytearray(data)
    data[off] ^= 0x20
    return bytes(data)


GOOD = ZFile().bytes()
TRAILED = ZFile(overwritten=False).bytes()
RUN = lz4_run(0x61, 4096)
TAIL = lz4_run(0x63, 1000)

FILES = {
    "too-short": (GOOD[:1023], "a file of 1023 bytes is too short for a ZFile"),
    "header-digest": (flipped(GOOD, 200), "zfile header: digest 0x"),
    "header-digest-of-trailer-style": (flipped(TRAILED, 200), "zfile header: digest 0x"),
    "header-flags-of-trailer": (header(flags=2 | 4 | 16), "zfile header: flags 0x16"),
    "header-not-data": (header(flags=1 | 8 | 16), "are not those of a complete file"),
    "trailer-missing": (TRAILED[:-HEADER] + bytes(HEADER), "zfile trailer: no ZFile magic"),
    "trailer-magic": (flipped(TRAILED, len(TRAILED) - HEADER), "zfile trailer: no ZFile magic"),
    "trailer-digest": (flipped(TRAILED, len(TRAILED) - 1), "zfile trailer: digest 0x"),
    "trailer-flags-of-header": (trailer(flags=1 | 2 | 4 | 16), "zfile trailer: flags 0x17"),
    "trailer-not-sealed": (trailer(flags=2 | 16), "are not those of a complete file"),
    "trailer-not-data": (trailer(flags=4 | 16), "are not those of a complete file"),
    "algo-lzo": (overwritten(algo=0), "compression algorithm 0 is unknown"),
    "algo-unknown": (overwritten(algo=255), "compression algorithm 255 is unknown"),
    "use-dict": (overwritten(use_dict=1), "dictionaries are not supported"),
    "dict-size-beyond-index": (overwritten(dict_size=1000), "after 1000 bytes of dictionary"),
    "dict-size-huge": (overwritten(dict_size=0xffffffff), "bytes of dictionary does not lie"),
    "block-size-zero": (overwritten(block_size=0), "block size 0 is not a power of two"),
    "block-size-odd": (overwritten(block_size=4097), "block size 4097 is not a power of two"),
    "block-size-small": (overwritten(block_size=512, index_size=18), "block size 512 is not"),
    "block-size-large": (overwritten(block_size=131072, index_size=1),
                         "block size 131072 is not a power of two from 4096 to 65536"),
    "original-size-larger": (overwritten(original_file_size=3 * 4096 + 1),
                             "3 blocks of 4096 bytes do not make a file of 12289"),
    "original-size-smaller": (overwritten(original_file_size=2 * 4096),
                              "3 blocks of 4096 bytes do not make a file of 8192"),
    "original-size-huge": (overwritten(original_file_size=2 ** 64 - 1),
                           "do not make a file of 18446744073709551615"),
    "original-size-huge-with-blocks": (
        overwritten(original_file_size=2 ** 64 - 1, index_size=2 ** 52),
        "a jump table of 4503599627370496 entries"),
    "index-size-smaller": (overwritten(index_size=2), "2 blocks of 4096 bytes do not make"),
    "index-size-overflow": (overwritten(index_size=2 ** 62), "blocks of 4096 bytes do not make"),
    "index-size-a-billion": (
        overwritten(index_size=10 ** 9, original_file_size=4096 * 10 ** 9),
        "a jump table of 1000000000 entries"),
    "index-offset-in-header": (overwritten(index_offset=511), "entries at 511"),
    "index-offset-beyond-end": (overwritten(index_offset=len(GOOD) - HEADER - 11),
                                "does not lie within a file of"),
    "index-offset-wraps": (overwritten(index_offset=2 ** 64 - 8), "does not lie within a file of"),
    "index-crc": (overwritten(index_crc=0x12345678), "jump table: checksum 0x"),
    "entry-zero": (entries(30, 0, 18), "entry 1: 0 bytes are not from 5"),
    "entry-only-checksum": (entries(30, 4, 18), "entry 1: 4 bytes are not from 5"),
    "entry-beyond-bound": (entries(30, 5000, 18), "entry 1: 5000 bytes are not from 5 to"),
    "entry-huge": (entries(0xffffffff, 30, 18), "entry 0: 4294967295 bytes"),
    "entries-past-jump-table": (entries(30, 3000, 18), "entry 1: block ends at"),
    "block-checksum": (flipped(GOOD, HEADER + 1), "zfile block 0 at 512: checksum 0x"),
    "block-not-lz4": (blocks(False, b"\x00\x00\x00", RUN, TAIL),
                      "zfile block 0 at 512: does not decompress"),
    "block-too-long": (blocks(True, lz4_run(0x61, 4097), RUN, TAIL),
                       "zfile block 0 at 512: does not decompress"),
    "block-too-short": (blocks(True, lz4_run(0x61, 4095), RUN, TAIL),
                        "zfile block 0 at 512: decompresses to 4095 bytes, not 4096"),
}

if __name__ == "__main__":
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zfile")
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    for name, (data, sentence) in FILES.items():
        with open(os.path.join(folder, name + ".bin"), "wb") as f:
            f.write(data)
        with open(os.path.join(folder, name + ".txt"), "w") as f:
            f.write(sentence + "\n")
    corpus = os.path.join(folder, "../../fuzz/corpus/zfile")
    os.makedirs(corpus, exist_ok=True)
    for name, data in (("lz4-overwritten", GOOD), ("lz4-trailer", TRAILED),
                       ("lz4-no-checksums", ZFile(checksum=False).bytes())):
        with open(os.path.join(corpus, name), "wb") as f:
            f.write(data)
