#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What libnbd's client can ask of a server: nbd_client.py URI IMAGE [WRITABLE]."""
import sys

import nbd

uri, image = sys.argv[1], open(sys.argv[2], "rb").read()
size = len(image)


def client():
    h = nbd.NBD()
    h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    h.connect_uri(uri)
    return h


h = client()
assert h.get_size() == size and h.get_structured_replies_negotiated()
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION) and h.can_multi_conn() and h.can_df()
assert h.get_block_size(nbd.SIZE_MINIMUM) == 1 and h.get_block_size(nbd.SIZE_MAXIMUM) == 32 << 20
h.set_strict_mode(0)  # what the client itself would refuse goes to the server

# Every offset and length near the edges; in pieces, and in one piece.
for off in (0, 1, 511, 4095, 65537, size - 1, size - 4096):
    for n in (1, 512, 4096, 70001):
        n = min(n, size - off)
        assert h.pread(n, off) == image[off : off + n]
        got = bytearray(n)

        def chunk(buf, at, kind, err):
            assert kind in (nbd.READ_DATA, nbd.READ_HOLE)
            got[at - off : at - off + len(buf)] = buf

        h.pread_structured(n, off, chunk, nbd.CMD_FLAG_DF)
        assert got == image[off : off + n]

# A read of everything: zeros come as holes, unless in one piece.
for flags in (0, nbd.CMD_FLAG_DF):
    got, holes, chunks = bytearray(b"x" * size), 0, 0
    for off in range(0, size, 1 << 20):
        def piece(buf, at, kind, err):
            global holes, chunks
            got[at : at + len(buf)] = buf
            holes += len(buf) if kind == nbd.READ_HOLE else 0
            chunks += 1

        h.pread_structured(min(1 << 20, size - off), off, piece, flags)
    assert got == image
    assert not flags or (holes == 0 and chunks == -(-size >> 20)), (holes, chunks)
    most = most if flags else holes

# The map: from each start it leads to the end, and zeros are zeros.
at = zeros = 0
while at < size:
    extents = []
    h.block_status(min(size - at, 1 << 26), at, lambda c, o, e, err: extents.extend(e))
    assert extents
    for length, flags in zip(extents[::2], extents[1::2]):
        if flags & nbd.STATE_ZERO:
            assert not any(image[at : at + length])
            zeros += length
        at += length
h.block_status(size, 0, lambda c, o, e, err: extents.append(len(e)), nbd.CMD_FLAG_REQ_ONE)
assert extents[-1] == 2
assert most > zeros * 9 // 10, f"only {most} of {zeros} zeros were not sent"
h.cache(size, 0)
h.cache(4096, size - 4096)
h.flush()

# 200 reads in flight on each of 4 connections.
conns = [client() for _ in range(4)]
waiting = []
for i in range(200):
    for c in conns:
        off = (i * 98765 + conns.index(c) * 4097) % (size - 9000)
        buf = nbd.Buffer(1 + i * 43)
        waiting.append((c, c.aio_pread(buf, off), buf, off))
for c, cookie, buf, off in waiting:
    while not c.aio_command_completed(cookie):
        c.poll(-1)
    assert buf.to_bytearray() == image[off : off + len(buf.to_bytearray())]


def refused(what, *numbers):
    try:
        what()
    except nbd.Error as e:
        assert e.errnum in numbers, e
    else:
        raise AssertionError("was not refused")


refused(lambda: h.pread(512, size), 22)
refused(lambda: h.pread(512, size - 100), 22)
refused(lambda: h.pread(0, 0), 22)
if len(sys.argv) > 3:
    import os

    block = os.urandom(70000)
    h.pwrite(block, 12345, nbd.CMD_FLAG_FUA)
    assert conns[0].pread(len(block), 12345) == block
    h.zero(8192, 16384)
    assert h.pread(8192, 16384) == bytes(8192)
    h.zero(4096, 65536, nbd.CMD_FLAG_NO_HOLE)
    assert h.can_fast_zero() and h.can_cache()
    h.pwrite(block, 1 << 20)
    h.zero(65536, 1 << 20, nbd.CMD_FLAG_FAST_ZERO)
    assert h.pread(65536, 1 << 20) == bytes(65536)
    h.trim(1 << 20, 1 << 20)
    refused(lambda: h.pwrite(block, size - 10), 28)
    conns[1].flush()
else:
    refused(lambda: h.pwrite(bytes(512), 0), 1)
    refused(lambda: h.trim(512, 0), 1)
    refused(lambda: h.zero(512, 0), 1)
    refused(lambda: h.zero(512, 0, nbd.CMD_FLAG_FAST_ZERO), 1)
    assert h.is_read_only()
h.shutdown()
print(f"ok: libnbd, {zeros} zeros in the map")
