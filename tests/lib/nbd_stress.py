#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that an NBD server has to bear: nbd_stress.py SOCKET IMAGE KIND SEED.

haggle     options in any order, of any length, twice, cut off; the server answers each or ends
malformed  requests that break the rules: answered with an error, and the next one is right
garbage    bytes that are nothing, in and after the handshake
crowd      1000 connections that each read, at the same time, and check what they read
half       connections left in every state, and then closed in any order

What it sends is decided by SEED, which is printed."""
import os
import random
import resource
import select
import socket
import struct
import sys

where, image, kind, seed = sys.argv[1], open(sys.argv[2], "rb").read(), sys.argv[3], int(sys.argv[4])
rnd = random.Random(seed)
GO, OPT, REP, REQ = 7, b"IHAVEOPT", 0x3e889045565a9, 0x25609513
print(f"{kind}: seed {seed}")


class Gone(Exception):
    pass


def dial():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(where)
    return s


def get(s, n):
    out = b""
    while len(out) < n:
        try:
            piece = s.recv(n - len(out))
        except ConnectionError as e:
            raise Gone from e
        if not piece:
            raise Gone
        out += piece
    return out


def put(s, data):
    try:
        s.sendall(data)
    except ConnectionError as e:
        raise Gone from e


def greet(s, flags=3):
    assert get(s, 18)[:16] == b"NBDMAGICIHAVEOPT"
    put(s, struct.pack(">I", flags))


def option(s, number, data=b""):
    put(s, OPT + struct.pack(">II", number, len(data)) + data)


def replies(s, number):
    """The kinds of the replies to the option, to the last."""
    kinds = []
    while not kinds or kinds[-1] in (2, 3, 4):
        magic, opt, code, size = struct.unpack(">QIII", get(s, 20))
        assert magic == REP and opt == number and size < 1 << 16, (magic, opt, size)
        get(s, size)
        kinds.append(code)
    return kinds


def go(s):
    option(s, GO, struct.pack(">IH", 0, 0))
    assert replies(s, GO)[-1] == 1


def request(s, op, off, size, flags=0, magic=REQ, cookie=7):
    put(s, struct.pack(">IHHQQI", magic, flags, op, cookie, off, size))


def simple(s, cookie=7):
    magic, error, back = struct.unpack(">IIQ", get(s, 16))
    assert magic == 0x67446698 and back == cookie, (hex(magic), back)
    return error


def read(s, off, size, cookie=7):
    request(s, 0, off, size, cookie=cookie)
    assert simple(s, cookie) == 0
    assert get(s, size) == image[off : off + size], f"wrong bytes at {off}"


def data_for(number):
    name = rnd.choice([b"", b"", b"x", b"n" * 4096, b"\0" * 5])
    length = rnd.choice([len(name), len(name), 0, 1 << 31, rnd.randrange(1 << 16)])
    sizes = [b"", struct.pack(">H", 0), struct.pack(">HHH", 2, 3, 0), struct.pack(">H", 60000)]
    query = struct.pack(">II", 1, 15) + b"base:allocation"
    lists = [struct.pack(">I", 0), query, struct.pack(">I", 1 << 30), query * 3]
    tail = rnd.choice(sizes if number in (6, 7) else lists)
    return rnd.choice([struct.pack(">I", length) + name + tail, b"", rnd.randbytes(rnd.randrange(300)),
                       bytes(20000)])


def haggle():
    for _ in range(300):
        s = dial()
        try:
            greet(s, rnd.choice([3, 3, 3, 1, 0, 7]))
            for _ in range(rnd.randrange(12)):
                number = rnd.choice([3, 5, 6, 7, 8, 9, 10, 0, 4, 11, 1 << 31])
                data = data_for(number)
                if rnd.random() < 0.1:
                    put(s, OPT + struct.pack(">II", number, len(data) + 9) + data)
                    break
                option(s, number, data)
                if number == 7 and replies(s, number)[-1] == 1:
                    break
                if number != 7:
                    replies(s, number)
        except Gone:
            pass
        s.close()


def malformed():
    end = len(image)
    bad = [(0, end, 1, 0), (0, end - 1, 2, 0), (0, 1 << 63, 4096, 0), (0, 0, 0, 0), (0, 0, 33 << 20, 0),
           (1, 0, 512, 0), (1, 0, 33 << 20, 0), (4, 0, 512, 0), (6, 0, 512, 0), (7, 0, 512, 0),
           (8, 0, 512, 0), (65535, 0, 0, 0), (0, 0, 512, 0x8000), (3, 0, 0, 0x10), (0, 2**64 - 1, 2, 0)]
    for _ in range(40):
        s = dial()
        greet(s)
        go(s)
        for _ in range(20):
            op, off, size, flags = rnd.choice(bad)
            if op == 1 and size > 1 << 20 and rnd.random() < 0.9:
                continue
            cookie = rnd.getrandbits(64)
            request(s, op, off, size, flags, cookie=cookie)
            if op == 1:
                put(s, bytes(size))
            assert simple(s, cookie) != 0, (op, off, size, flags)
            at = rnd.randrange(end - 5000)
            read(s, at, rnd.randrange(1, 5000), rnd.getrandbits(64))
        request(s, 0, 0, 512, magic=rnd.getrandbits(32) & ~1)
        try:
            assert not s.recv(1), "an answer to what is no request"
        except ConnectionError:
            pass
        s.close()


def garbage():
    for _ in range(200):
        s = dial()
        try:
            if rnd.random() < 0.7:
                greet(s)
            if rnd.random() < 0.5:
                go(s)
            put(s, rnd.randbytes(rnd.choice([1, 27, 28, 4096, 100000])))
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except (Gone, ConnectionError, AssertionError):
            pass
        s.close()


def crowd():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    conns = []
    for _ in range(1000):
        conns.append(dial())
        greet(conns[-1])
        go(conns[-1])
    for turn in range(3):
        asked = {}
        for s in conns:
            off, size = rnd.randrange(len(image) - 70000), rnd.randrange(1, 70000)
            asked[s] = (off, size, turn)
            request(s, 0, off, size, cookie=turn)
        rnd.shuffle(conns)
        for s in conns:
            off, size, cookie = asked[s]
            assert simple(s, cookie) == 0
            assert get(s, size) == image[off : off + size], f"wrong bytes at {off}"
    assert not select.select(conns, [], [], 0)[0]


def half():
    states = [lambda s: None, lambda s: get(s, 5), greet, lambda s: (greet(s), put(s, OPT)),
              lambda s: (greet(s), put(s, OPT + struct.pack(">II", GO, 4000) + b"x")),
              lambda s: (greet(s), go(s)), lambda s: (greet(s), go(s), put(s, struct.pack(">I", REQ))),
              lambda s: (greet(s), go(s), [request(s, 0, 0, 1 << 20) for _ in range(8)])]
    conns = []
    for i in range(300):
        conns.append(dial())
        rnd.choice(states)(conns[-1])
        if i % 5 == 0:
            conns.pop(rnd.randrange(len(conns))).close()
    open("held", "w", encoding="ascii").close()
    sys.stdin.read()
    rnd.shuffle(conns)
    for s in conns:
        s.close()


{"haggle": haggle, "malformed": malformed, "garbage": garbage, "crowd": crowd, "half": half}[kind]()
os._exit(0)
