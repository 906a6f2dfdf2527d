#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads writable layers by the rules of overlaybd's own reader, as far as they are known, and by nothing
of ours: what passes here it opens, and shows as RAW.

    rw_facts.py DIR...      each with data, index, raw, and lower where something lies beneath

Exit 1 and a line for each that does not. What its reader does not check, but its writer always does, is
demanded too."""
import os
import struct
import sys

SPACE, SECTOR, ENTRY, INVALID = 4096, 512, 16, 2 ** 50 - 1
MAGIC = b"LSMT\0\1\2\0" + bytes([0x65, 0x7e, 0x63, 0xd2, 0x94, 0x44, 0x08, 0x4c,
                                 0xa2, 0xd2, 0xc8, 0xec, 0x4f, 0xcf, 0xae, 0x8a])
HEADER, DATA_FILE, SPARSE = 1, 2, 16


class Bad(Exception):
    pass


def demand(truth, text):
    if not truth:
        raise Bad(text)


def header(raw, flags, index_offset):
    demand(len(raw) == SPACE, "shorter than a header")
    (magic, size, has, offset, entries, virtual_size, uuid, parent, reserved, major, minor,
     tag) = struct.unpack_from("<24sIIQQQ37s37sHBB256s", raw)
    demand(magic == MAGIC, "magic")
    demand(size == 390 and has in flags, f"size {size}, flags {has}")
    demand(offset == index_offset and entries == 0, f"index of {entries} at {offset}")
    demand((reserved, major, minor) == (0, 1, 1) and not any(raw[390:]), "version, or bytes behind")
    demand(len(uuid.rstrip(b"\0")) == 36 and uuid.upper() == uuid, f"uuid {uuid}")
    return has, virtual_size, uuid, parent, tag


def replay(data, index, device):
    """The records in order; later ones win."""
    end = len(data)
    demand(len(index) % ENTRY == 0, f"index of {len(index)} bytes: a torn record is read beyond")
    for at in range(SPACE, len(index), ENTRY):
        w0, w1 = struct.unpack_from("<QQ", index, at)
        offset, length = w0 & INVALID, w0 >> 50
        moffset, zeroed = w1 & (2 ** 55 - 1), w1 >> 55 & 1
        if offset == INVALID:
            continue
        demand(length > 0, f"record at {at}: length 0")
        demand(moffset >= 8, f"record at {at}: moffset {moffset}")
        demand(zeroed or (moffset + length) * SECTOR <= end,
               f"record at {at}: {length} at {moffset} end beyond {end}")
        piece = bytes(length * SECTOR) if zeroed else \
            data[moffset * SECTOR:(moffset + length) * SECTOR]
        offset *= SECTOR
        if offset + len(piece) > len(device):
            device.extend(bytes(offset + len(piece) - len(device)))
        device[offset:offset + len(piece)] = piece


def seek_data(path, device):
    with open(path, "rb") as f:
        at, end = SPACE, os.fstat(f.fileno()).st_size
        while at < end:
            try:
                begin = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(f.fileno(), begin, os.SEEK_HOLE)
            begin = max(begin, SPACE)
            f.seek(begin)
            piece = f.read(at - begin)
            off = begin - SPACE
            if off + len(piece) > len(device):
                device.extend(bytes(off + len(piece) - len(device)))
            device[off:off + len(piece)] = piece


def check(path):
    data = open(f"{path}/data", "rb").read()
    index = open(f"{path}/index", "rb").read()
    flags, *rest = header(data[:SPACE], (HEADER | DATA_FILE, HEADER | DATA_FILE | SPARSE), 0)
    _, *same = header(index[:SPACE], (HEADER,), SPACE)
    demand(rest == same, "the headers differ")
    size = rest[0]
    device = bytearray(open(f"{path}/lower", "rb").read()) if os.path.exists(f"{path}/lower") else \
        bytearray()
    device.extend(bytes(max(0, size - len(device))))
    if flags & SPARSE:
        demand(len(index) == SPACE, "the index of a sparse layer is empty")
        seek_data(f"{path}/data", device)
    else:
        replay(data, index, device)
    if os.path.exists(f"{path}/raw"):
        demand(device[:size] == open(f"{path}/raw", "rb").read(), "reads as something else")


status = 0
for name in sys.argv[1:]:
    try:
        check(name)
    except Bad as bad:
        print(f"{name}: {bad}")
        status = 1
sys.exit(status)
