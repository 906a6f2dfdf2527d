#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/should-fail/lsmt/: small layers with one thing wrong in each (NAME.bin), and a part of
the sentence that says so (NAME.txt); "check:" before it marks what can be read, and only a check
refuses. Run it again after a change here: make-lsmt.py"""
import os
import struct

SPACE, SECTOR, INVALID = 4096, 512, 2 ** 50 - 1
MAGIC = b"LSMT\0\1\2\0" + bytes.fromhex("657e63d29444084ca2d2c8ec4fcfae8a")
NULL_UUID = b"00000000-0000-0000-0000-000000000000\0"
# offset, struct code: as in docs/format-lsmt.md
FIELD = {
    "magic0": (0, "8s"), "magic1": (8, "16s"), "size": (24, "<I"), "flags": (28, "<I"),
    "index_offset": (32, "<Q"), "index_size": (40, "<Q"), "virtual_size": (48, "<Q"),
    "uuid": (56, "37s"), "parent_uuid": (93, "37s"), "reserved": (130, "<H"),
    "version": (132, "<B"), "sub_version": (133, "<B"), "user_tag": (134, "256s"),
    "end": (390, "<B"), "last": (4095, "<B"),
}


def part(fields):
    raw = bytearray(SPACE)
    known = {"magic0": MAGIC[:8], "magic1": MAGIC[8:], "size": 390, "uuid": NULL_UUID,
             "parent_uuid": NULL_UUID, "version": 1, "sub_version": 1, "virtual_size": 65536}
    known.update(fields)
    for name, value in known.items():
        off, code = FIELD[name]
        struct.pack_into(code, raw, off, value)
    return bytes(raw)


def entry(offset, length, moffset, zeroed=0, tag=0, ref=0):
    """All in sectors."""
    return struct.pack("<QQ", offset | length << 50,
                       moffset | ref << 54 | zeroed << 55 | tag << 56)


USUAL = [entry(0, 2, 8), entry(2, 6, 10, zeroed=1), entry(16, 4, 10)]


def layer(entries=None, header=None, trailer=None, nsectors=6, gap=b""):
    """A device of 64 KiB; its layer has six sectors of data."""
    index = b"".join(USUAL if entries is None else entries)
    data = b"".join(bytes([8 + i]) * SECTOR for i in range(nsectors))
    first = {"flags": 7}
    first.update(header or {})
    last = {"flags": 6, "index_offset": SPACE + len(data), "index_size": len(index) // 16}
    last.update(trailer or {})
    return part(first) + data + index + gap + part(last)


def header(**fields):
    return layer(header=fields)


def trailer(**fields):
    return layer(trailer=fields)


def one(*args, **kwargs):
    return layer([entry(*args, **kwargs)])


def references(entries, header=None, trailer=None):
    """A layer that may hold references."""
    first = {"flags": 0x107, "version": 2, "sub_version": 0}
    last = {"flags": 0x104, "version": 2, "sub_version": 0}
    first.update(header or {})
    last.update(trailer or {})
    return layer(entries, first, last)


GOOD = layer()
REFS = USUAL + [entry(32, 8, 4, ref=1), entry(40, 8, 40, ref=1)]
END = SPACE + 6 * SECTOR  # of the data
OUTSIDE = f"are not within the data, which ends at {END}"
NO_INDEX = f"does not lie within a file of {len(GOOD)}"

FILES = {
    "too-short": (GOOD[:8191], "8191 bytes are too few for a header and a trailer"),
    "header-only": (GOOD[:SPACE], "4096 bytes are too few for a header and a trailer"),
    "cut-off": (GOOD[:-512], "lsmt trailer: no LSMT magic; the file is not sealed, or cut off"),
    "not-sealed": (GOOD[:END] + bytes(SPACE), "lsmt trailer: no LSMT magic"),
    "header-flags-of-trailer": (header(flags=6), "lsmt header: flags 0x6 are not those of a header"),
    "header-of-index-file": (header(flags=5), "the index file of a writable layer"),
    "header-version": (header(version=3, sub_version=0), "version 3.0 is newer than 2.0"),
    "trailer-magic0": (trailer(magic0=b"LSMT\0\1\3\0"), "lsmt trailer: no LSMT magic"),
    "trailer-magic1": (trailer(magic1=bytes(16)), "lsmt trailer: no LSMT magic"),
    "trailer-flags-of-header": (trailer(flags=7), "flags 0x7 are not those of a trailer"),
    "trailer-of-index-file": (trailer(flags=4), "the index file of a writable layer"),
    "trailer-not-sealed": (trailer(flags=2), "flags 0x2 are not those of a sealed file"),
    "trailer-version": (trailer(version=255), "lsmt trailer: version 255.1 is newer than 2.0"),
    "index-offset-in-header": (trailer(index_offset=SPACE - 1), "3 entries at 4095 " + NO_INDEX),
    "index-offset-zero": (trailer(index_offset=0), "3 entries at 0 " + NO_INDEX),
    "index-offset-reaches-trailer": (trailer(index_offset=END + 1), NO_INDEX),
    "index-offset-in-trailer": (trailer(index_offset=len(GOOD) - 100, index_size=0), NO_INDEX),
    "index-offset-wraps": (trailer(index_offset=2 ** 64 - 48), NO_INDEX),
    "index-size-one-more": (trailer(index_size=4), "an index of 4 entries"),
    "index-size-a-billion": (trailer(index_size=10 ** 9), "an index of 1000000000 entries"),
    "index-size-wraps": (trailer(index_size=2 ** 60 + 1), "an index of 1152921504606846977 entries"),
    "virtual-size-too-large": (trailer(virtual_size=INVALID * SECTOR + 1),
                               "virtual size 576460752303422977 is more than 576460752303422976"),
    "virtual-size-huge": (trailer(virtual_size=2 ** 64 - 1),
                          "virtual size 18446744073709551615 is more than"),
    "entry-length-zero": (one(0, 0, 8), "lsmt index entry 0: length 0"),
    "entries-overlap": (layer([entry(0, 4, 8), entry(3, 1, 12)]),
                        "lsmt index entry 1: device offset 1536 lies before 2048"),
    "entries-descend": (layer([entry(8, 1, 8), entry(0, 1, 9)]),
                        "lsmt index entry 1: device offset 0 lies before 4608"),
    "entries-same-place": (layer([entry(8, 1, 8), entry(8, 1, 8)]),
                           "lsmt index entry 1: device offset 4096 lies before 4608"),
    "entry-beyond-format": (one(INVALID - 1, 2, 8), "end beyond 576460752303422976"),
    "source-in-header": (one(0, 1, 7), "512 bytes at 3584 " + OUTSIDE),
    "source-zero": (one(0, 1, 0), "512 bytes at 0 " + OUTSIDE),
    "source-reaches-index": (one(0, 3, 12), "1536 bytes at 6144 " + OUTSIDE),
    "source-in-index": (one(0, 1, 14), "512 bytes at 7168 " + OUTSIDE),
    "source-huge": (one(0, 1, 2 ** 55 - 1), "512 bytes at 18446744073709551104 " + OUTSIDE),
    "zeroed-in-header": (one(0, 1, 7, zeroed=1), "0 bytes at 3584 " + OUTSIDE),
    "zeroed-in-index": (one(0, 1, 15, zeroed=1), "0 bytes at 7680 " + OUTSIDE),
    "references-not-flagged": (header(version=2, sub_version=0),
                               "lsmt header: version 2 without its flag 0x100: flags 0x7"),
    "references-in-header-only": (references(REFS, trailer={"flags": 6, "version": 1}),
                                  "lsmt: version 2 in the header, 1 in the trailer"),
    "references-in-trailer-only": (references(REFS, header={"flags": 7, "version": 1}),
                                   "lsmt: version 1 in the header, 2 in the trailer"),
    "references-trailer-as-before": (references(REFS, trailer={"flags": 0x106}),
                                     "flags 0x106 are not those of a layer with references"),
    "references-not-sealed": (references(REFS, trailer={"flags": 0x100}),
                              "flags 0x100 are not those of a sealed file"),
    "references-in-version-1": (layer(REFS), f"4096 bytes at {2 ** 63 + 2048} " + OUTSIDE),
    "references-zeroed": (references([entry(0, 1, 8, zeroed=1, ref=1)]),
                          f"0 bytes at {2 ** 63 + 4096} " + OUTSIDE),
    "references-overlap": (references([entry(0, 4, 8, ref=1), entry(3, 1, 12, ref=1)]),
                           "lsmt index entry 1: device offset 1536 lies before 2048"),
    "references-beyond-format": (references([entry(0, 2, INVALID - 1, ref=1)]),
                                 "lsmt index entry 0: refers to 1024 bytes at "
                                 "576460752303422464 of what lies below, beyond"),
    "references-reserved-bits": (references([entry(0, 1, 1 << 53, ref=1)]),
                                 "refers to 512 bytes at 4611686018427387904"),
    "turbo-outside": (layer([entry(0, 6, 8), entry(16, 2, 1, tag=1)]),
                      "its tag 1 is what a turboOCI layer gives to data elsewhere"),
    "turbo-within": (layer([entry(0, 6, 8), entry(16, 2, 9, tag=1)]),
                     "a turboOCI layer, whose data are elsewhere"),
}

CHECK = {
    "header-size": (header(size=389), "lsmt header: size 389 is not 390"),
    "header-index-offset": (header(index_offset=4096), "which only the trailer should"),
    "header-index-size": (header(index_size=3), "which only the trailer should"),
    "header-virtual-size": (header(virtual_size=32768),
                            "virtual size is 32768 in the header, 65536 in the trailer"),
    "header-uuid": (header(uuid=b"1" + NULL_UUID[1:]), "UUID is 10000000-0000"),
    "header-parent-uuid": (header(parent_uuid=b"1" + NULL_UUID[1:]), "parent UUID is 10000000-0000"),
    "header-reserved": (header(reserved=1), "lsmt header: reserved bytes at 130 are not zero"),
    "header-sub-version": (header(sub_version=2), "lsmt header: version 1.2 is not 1.1"),
    "header-user-tag": (header(user_tag=b"x"), "different messages"),
    "header-end": (header(end=1), "lsmt header: bytes from 390 on are not zero"),
    "trailer-size": (trailer(size=0), "lsmt trailer: size 0 is not 390"),
    "trailer-version": (trailer(version=0), "lsmt trailer: version 0.1 is not 1.1"),
    "trailer-last": (trailer(last=1), "lsmt trailer: bytes from 390 on are not zero"),
    "references-sub-version": (references(REFS, header={"sub_version": 1}),
                               "lsmt header: version 2.1 is not 1.1 or 2.0"),
    "index-cut": (trailer(index_size=2), "16 bytes at 7200 between the index and the trailer"),
}


def write(folder, files):
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    for name, (data, sentence) in files.items():
        with open(os.path.join(folder, name + ".bin"), "wb") as f:
            f.write(data)
        with open(os.path.join(folder, name + ".txt"), "w") as f:
            f.write(sentence + "\n")


def write_corpus(folder):
    padding = [entry(INVALID, 0, 0)]
    os.makedirs(folder, exist_ok=True)
    for name, data in (("usual", GOOD),
                       ("padded", layer(padding + USUAL + padding * 4)),
                       ("sealed", layer(header={"flags": 3}, gap=b"\xa5" * 48)),
                       ("no-size", layer(trailer={"virtual_size": 0})),
                       ("references", references(REFS)),
                       ("references-far", references([entry(0, 9, 1 << 49, ref=1)])),
                       ("empty", layer([], nsectors=0))):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    for name, (data, sentence) in CHECK.items():
        FILES["check-" + name] = (data, "check: " + sentence)
    write(os.path.join(here, "lsmt"), FILES)
    write_corpus(os.path.join(here, "../fuzz/corpus/layer"))
