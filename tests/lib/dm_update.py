#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dm-update files, from docs/format-dm-update.md alone.

    dm_update.py make DIR           small ones, for a base of 1 MiB; the corpus of tests/fuzz/fuzz_dm_update.c
    dm_update.py of BASE NAME       what the one called so makes of BASE, on standard output
    dm_update.py apply FILE BASE    the same of any file, read here; with demands on what a writer should do"""
import os
import struct
import subprocess
import sys
import zlib


def content(n, block):
    return bytes((n * 11 + i // 16) & 0xFF for i in range(block))


# ---- the codecs: the least that is valid ----

def lz4_pack(data):
    """One sequence of literals."""
    n = len(data)
    if n < 15:
        return bytes([n << 4]) + data
    more, n = b"", n - 15
    while n >= 255:
        more, n = more + b"\xff", n - 255
    return b"\xf0" + more + bytes([n]) + data


def lz4_unpack(data):
    out, at = bytearray(), 0

    def length(n):
        nonlocal at
        if n == 15:
            while True:
                at += 1
                n += data[at - 1]
                if data[at - 1] != 255:
                    break
        return n

    while True:
        token = data[at]
        at += 1
        n = length(token >> 4)
        out += data[at:at + n]
        at += n
        if at == len(data):
            return bytes(out)
        back = struct.unpack_from("<H", data, at)[0]
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-back])


def zstd_pack(data):
    """A frame of blocks that are not compressed."""
    out = struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data))
    pieces = [data[i:i + 65536] for i in range(0, len(data), 65536)] or [b""]
    for i, piece in enumerate(pieces):
        head = len(piece) << 3 | (i + 1 == len(pieces))
        out += struct.pack("<I", head)[:3] + piece
    return out


def zstd_unpack(data):
    return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout


def deflate_pack(data):
    c = zlib.compressobj(9, zlib.DEFLATED, -11)
    return c.compress(data) + c.flush()


def deflate_unpack(data):
    d = zlib.decompressobj(-11)  # as the kernel does: no larger window
    out = d.decompress(data)
    assert d.eof and not d.unused_data
    return out


PACK = {"none": bytes, "lz4": lz4_pack, "zstd": zstd_pack, "deflate": deflate_pack}
UNPACK = {"none": bytes, "lz4": lz4_unpack, "zstd": zstd_unpack, "deflate": deflate_unpack}


# ---- files ----

def superblock(bits, chunk_blocks, name, dir_offset, dir_stored, dir_n, version=0, magic=b"update\0\0"):
    return magic + struct.pack("<BBHI16sQQQQ", version, bits, 0, chunk_blocks, name, dir_offset,
                               dir_stored, dir_n, 0)


def entry(dest, src, offset):
    return struct.pack("<IHHII", dest & 0xFFFFFFFF, dest >> 32, src >> 32, src & 0xFFFFFFFF, offset)


DESTS = [0, 1, 2, 5, 6, 20, 21, 22, 23, 40, 200, 255]


def make(codec, bits=12, chunk_blocks=4, dests=None, spare=0):
    """The chunks have their blocks in reverse order, and begin with a block that is not used."""
    dests, block = DESTS if dests is None else dests, 1 << bits
    out, table = bytearray(64 + spare), b""
    per = max(chunk_blocks - 1, 1)
    for first in range(0, len(dests), per):
        group = dests[first:first + per]
        src = len(out)
        spares = 1 if chunk_blocks > 1 else 0
        blocks = [content(999, block)] * spares + [content(d, block) for d in reversed(group)]
        out += PACK[codec](b"".join(blocks))
        for i, d in enumerate(group):
            table += entry(d, src, spares + len(group) - 1 - i)
    table += entry(0, len(out), 0)
    packed = PACK[codec](table)
    out[:64] = superblock(bits, chunk_blocks, codec.encode(), len(out), len(packed), len(table) // 16)
    return bytes(out) + packed


ALL = {
    "none": make("none"), "lz4": make("lz4"), "zstd": make("zstd"), "deflate": make("deflate"),
    "bits-9": make("lz4", bits=9, chunk_blocks=8), "bits-16": make("deflate", bits=16, dests=[0, 3, 15]),
    "one-block": make("zstd", chunk_blocks=1, dests=[7]), "nothing": make("lz4", dests=[]),
    "spare": make("none", spare=1000), "bits-19": make("none", bits=19, chunk_blocks=2, dests=[1]),
}


def want(base, name):
    raw, bits = bytearray(open(base, "rb").read()), ALL[name][9]
    table = {"bits-16": [0, 3, 15], "one-block": [7], "nothing": [], "bits-19": [1]}.get(name, DESTS)
    for d in table:
        raw[d << bits:d + 1 << bits] = content(d, 1 << bits)
    return bytes(raw)


def apply(name, base):
    data, raw = open(name, "rb").read(), bytearray(open(base, "rb").read())
    magic, version, bits, pad, chunk_blocks, codec, dir_offset, stored, n, pad2 = struct.unpack(
        "<8sBBHI16sQQQQ", data[:64])
    assert (magic, version, pad, pad2) == (b"update\0\0", 0, 0, 0)
    codec = codec.rstrip(b"\0").decode()
    table = UNPACK[codec](data[dir_offset:dir_offset + stored])
    assert len(table) == 16 * n and n >= 1 and dir_offset + stored == len(data)
    entries = []
    for i in range(n):
        lo, hi, src_hi, src_lo, offset = struct.unpack_from("<IHHII", table, 16 * i)
        entries.append((lo | hi << 32, src_lo | src_hi << 32, offset))
    chunks = {}
    for i, (dest, src, offset) in enumerate(entries[:-1]):
        assert dest < entries[i + 1][0] and src <= entries[i + 1][1] and offset < chunk_blocks
        if src not in chunks:
            end = next(e[1] for e in entries[i:] if e[1] != src)
            chunks[src] = UNPACK[codec](data[src:end])
            assert len(chunks[src]) <= chunk_blocks << bits
        block = chunks[src][offset << bits:offset + 1 << bits]
        assert len(block) == 1 << bits and (dest + 1) << bits <= len(raw)
        raw[dest << bits:dest + 1 << bits] = block
    return bytes(raw)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        os.makedirs(sys.argv[2], exist_ok=True)
        for name, data in ALL.items():
            with open(os.path.join(sys.argv[2], name), "wb") as f:
                f.write(data)
    else:
        sys.stdout.buffer.write({"of": want, "apply": lambda b, f: apply(f, b)}[sys.argv[1]](
            *(sys.argv[2:4] if sys.argv[1] == "of" else sys.argv[3:1:-1])))
