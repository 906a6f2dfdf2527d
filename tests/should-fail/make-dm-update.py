#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/should-fail/dm-update/: small files with one thing wrong in each (NAME.bin), and a part of
the sentence that says so (NAME.txt); "check:" before it marks what can be read, and only a check refuses.
Run it again after a change here: make-dm-update.py"""
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../lib"))
import dm_update  # noqa: E402

CHUNK = dm_update.content(1, 4096) + dm_update.content(2, 4096)


def update(entries=None, codec=b"none", data=CHUNK, n=None, **fields):
    """Two blocks in one chunk at 64."""
    table = b"".join(dm_update.entry(*e) for e in
                     ([(1, 64, 0), (2, 64, 1), (0, 64 + len(data), 0)] if entries is None else entries))
    known = {"bits": 12, "chunk_blocks": 2, "name": codec, "dir_offset": 64 + len(data),
             "dir_stored": len(table), "dir_n": len(table) // 16 if n is None else n}
    known.update(fields)
    return dm_update.superblock(**known) + data + table


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:]


GOOD = update()
LZ4 = dm_update.make("lz4")
FILES = {
    "version": (update(version=1), "dm-update superblock: version 1 is newer than 0"),
    "block-bits-8": (update(bits=8), "block_bits 8: it is 9 to 31"),
    "block-bits-32": (update(bits=32), "block_bits 32: it is 9 to 31"),
    "chunk-blocks-0": (update(chunk_blocks=0), "chunk_blocks is 0"),
    "chunk-too-large": (update(codec=b"lz4", chunk_blocks=16385), "compressed chunks of 67112960 bytes"),
    "compression-unknown": (update(codec=b"lzo"), 'compression "lzo": there are none, lz4'),
    "compression-no-end": (update(codec=b"deflatedeflatede"), "does not end"),
    "compression-odd": (update(codec=b"\x1b[2J"), 'compression "?[2J"'),
    "dir-n-0": (update(n=0, dir_stored=0), "a directory of no entries lacks its last"),
    "dir-n-one-more": (update(n=4), "4 entries cannot be in a directory of 48 bytes"),
    "dir-n-wraps": (update(n=2 ** 60 + 3), "1152921504606846979 entries cannot be in"),
    "dir-n-a-billion": (update(codec=b"zstd", n=10 ** 9), "1000000000 entries cannot be in"),
    "dir-offset-0": (update(dir_offset=0), "a directory of 48 bytes at 0 does not lie within"),
    "dir-offset-beyond": (update(dir_offset=2 ** 64 - 16), "does not lie within a file of 8304"),
    "dir-cut-off": (GOOD[:-1], "does not lie within a file of 8303"),
    "dir-garbage": (update(codec=b"lz4"), "do not decompress by lz4 to 3 entries"),
    "dir-garbage-zstd": (update(codec=b"zstd"), "do not decompress by zstd to 3 entries"),
    "dir-garbage-deflate": (update(codec=b"deflate"), "do not decompress by deflate to 3 entries"),
    "dest-twice": (update([(1, 64, 0), (1, 64, 1), (0, 8256, 0)]),
                   "directory entry 1: block 1 does not come after 1"),
    "dest-descends": (update([(5, 64, 0), (4, 64, 1), (0, 8256, 0)]), "block 4 does not come after 5"),
    "dest-beyond-all": (update([(2 ** 48 - 1, 64, 0), (0, 8256, 0)], bits=31),
                        "directory entry 0: block 281474976710655 is beyond all devices"),
    "src-descends": (update([(1, 4160, 0), (2, 64, 0), (3, 8256, 0)]),
                     "chunk at 64 lies before the last one at 4160"),
    "src-in-superblock": (update([(1, 63, 0), (0, 8256, 0)]), "chunk 0: 8193 bytes at 63 of a file"),
    "src-beyond": (update([(1, 64, 0), (0, 8305, 0)]), "chunk 0: 8241 bytes at 64 of a file of 8288"),
    "src-last-does-not-end": (update([(1, 64, 0), (2, 64, 1), (0, 64, 0)]),
                              "entry 2: the last chunk, at 64, does not end"),
    "src-chunk-too-short": (update([(1, 64, 1), (0, 8255, 0)]), "cannot have 2 blocks"),
    "offset-beyond-chunk": (update([(1, 64, 2), (0, 8256, 0)]), "entry 0: block 2 of a chunk of 2"),
    "check-chunk-garbage": (flip(LZ4, 64), "check: dm-update chunk 0: "),
}

if __name__ == "__main__":
    folder = os.path.join(here, "dm-update")
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    for name, (data, sentence) in FILES.items():
        with open(os.path.join(folder, name + ".bin"), "wb") as f:
            f.write(data)
        with open(os.path.join(folder, name + ".txt"), "w") as f:
            f.write(sentence + "\n")
