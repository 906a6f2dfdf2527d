#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/should-fail/trace/: small traces with one thing wrong in each (NAME.bin), and a part of
the sentence that says so (NAME.txt). The checksum is right but where it is what is wrong."""
import os
import struct


def crc32c(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


def record(op=b"R", layer=0, count=4096, offset=8192):
    return struct.pack("<c3xIQQ", op, layer, count, offset)


def trace(*records, magic=0xC2EF1820, size=0, wrong=0):
    data = b"".join(records)
    return struct.pack("<I4xQI4x", magic, len(data) + size, crc32c(data) ^ wrong) + data


FILES = {
    "empty": (b"", "0 bytes are too few"),
    "header-cut": (trace()[:23], "23 bytes are too few"),
    "magic": (trace(record(), magic=0xC2EF1821), "begins with 0xc2ef1821"),
    "size-odd": (trace(record(), size=1), "25 bytes of records are no multiple of 24"),
    "size-larger": (trace(record(), size=24), "says 48 bytes of records, and there are 24"),
    "size-smaller": (trace(record(), record(), size=-24), "says 24 bytes of records, and there are 48"),
    "size-huge": (trace(record(), size=24 << 59), "are more than 1048576 records"),
    "checksum": (trace(record(), wrong=1), "checksum 0x"),
    "op": (trace(record(), record(op=b"W")), "record 1: operation 0x57"),
    "layer": (trace(record(layer=255)), "record 0: layer 255"),
    "count-zero": (trace(record(count=0)), "record 0: 0 bytes at 8192"),
    "count-wraps": (trace(record(count=(1 << 64) - 1)), "record 0: 18446744073709551615 bytes at 8192"),
    "offset-negative": (trace(record(offset=(1 << 64) - 4096)), "record 0: 4096 bytes at 184467440737"),
}

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trace")
for name, (data, sentence) in FILES.items():
    with open(os.path.join(here, name + ".bin"), "wb") as f:
        f.write(data)
    with open(os.path.join(here, name + ".txt"), "w") as f:
        f.write(sentence + "\n")
