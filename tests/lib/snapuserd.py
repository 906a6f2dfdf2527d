#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client of snapuserd's socket, and a kernel for dm-user: snapuserd.py SOCKET DIR OLD NEW COW STEP. The
messages, and those of dm-user, are as Android's are known to be, and share no code with the daemon."""
import os
import random
import socket
import struct
import sys
import threading
import time

BLOCK, SECTOR = 4096, 512
READ, WRITE = 0, 1
FUA, PREFLUSH = 0x200, 0x400
SOCKET, DIR, OLD, NEW, COW, STEP = sys.argv[1:7]


def must(good, what):
    if not good:
        sys.exit(f"FAILED: {what}")


def slurp(path):
    with open(path, "rb") as f:
        return f.read()


class Client:
    def __init__(self):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.s.settimeout(60)
        self.s.connect(SOCKET)

    def tell(self, message):
        self.s.send(message if isinstance(message, bytes) else message.encode())

    def ask(self, message):
        self.tell(message)
        return self.s.recv(513).decode()

    def expect(self, message, answer):
        got = self.ask(message)
        must(got == answer, f"{message[:60]!r} is answered with {got!r}, not {answer!r}")

    def is_closed(self):
        return self.s.recv(1) == b""


class Kernel:
    """The dm-user target NAME: one channel, and as many requests at a time as anybody wants."""

    def __init__(self, name):
        self.path = f"{DIR}/{name}"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.channel, self.seq, self.waiting = None, 0, {}
        self.lock, self.over = threading.Lock(), threading.Event()
        threading.Thread(target=self.take_answers, daemon=True).start()

    def take_answers(self):
        s, _ = self.listener.accept()
        self.channel = s
        while head := self.take(s, 40):
            seq, status = struct.unpack_from("<2Q", head)
            waiting = self.waiting.pop(seq)
            if status == 0:
                waiting["data"] = self.take(s, waiting["length"]) if waiting["length"] else b""
            waiting["done"].set()
        self.over.set()

    def request(self, kind, flags, sector, length, data=b""):
        done = threading.Event()
        waiting = {"done": done, "length": length if kind == READ else 0, "data": None}
        with self.lock:
            self.seq += 1
            self.waiting[self.seq] = waiting
            self.channel.sendall(struct.pack("<5Q", self.seq, kind, flags, sector, length) + data)
        must(done.wait(60), "no answer")
        return waiting["data"]

    @staticmethod
    def take(s, n):
        out = b""
        while len(out) < n:
            try:
                piece = s.recv(n - len(out))
            except OSError:
                return b""
            if not piece:
                return b""
            out += piece
        return out

    def wait_open(self):
        for _ in range(500):
            if self.channel:
                return
            time.sleep(0.02)
        must(False, "nobody opens a channel")

    def read(self, off, length):
        out = self.request(READ, 0, off // SECTOR, length)
        must(out is not None, f"a read of {length} at {off} fails")
        return out

    def close(self):
        self.listener.close()
        self.channel.close()
        os.unlink(self.path)


def read_all(kernel, want, n=6):
    """In many threads, pieces that are no blocks."""
    wrong = []

    def work(first):
        for off in range(first * 60 * SECTOR, len(want), n * 60 * SECTOR):
            piece = want[off:off + 60 * SECTOR]
            if kernel.read(off, len(piece)) != piece:
                wrong.append(off)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    must(not wrong, f"wrong bytes at {wrong[:5]}")


def announce(c, misc="system", base=None):
    size = len(slurp(NEW)) // SECTOR
    c.expect(f"init,{misc},{COW},{base or OLD},{base or OLD}", f"success,{size}")


def wait_status(c, wanted):
    for _ in range(2000):
        got = c.ask("getstatus,system")
        if got == wanted:
            return
        must(got in ("snapshot", "snapshot-merge"), f"the status is {got}")
        time.sleep(0.01)
    must(False, f"the status does not become {wanted}")


def step_merge():
    want, c = slurp(NEW), Client()
    c.expect("query", "active")
    c.expect("start,system", "fail")
    announce(c)
    c.expect(f"init,system,{COW},{OLD},{OLD}", "fail")
    c.expect("getstatus,system", "snapshot-merge-failed")
    c.expect("initiate_merge,system", "fail")
    c.expect("start,system", "fail")  # there is no target yet
    kernel = Kernel("system")
    c.expect("start,system", "success")
    kernel.wait_open()
    read_all(kernel, want)
    c.expect("getstatus,system", "snapshot")
    c.expect("merge_percent", "0.000000")
    c.expect("update-verify", "success")
    c.expect(f"init,system,{COW},{OLD},{OLD}", "fail")
    c.expect("pause_merge", "success")
    c.expect("initiate_merge,system", "success")
    c.expect("initiate_merge,system", "success")
    time.sleep(0.3)
    c.expect("getstatus,system", "snapshot-merge")
    c.expect("resume_merge", "success")
    while Client().ask("getstatus,system") == "snapshot-merge":
        read_all(kernel, want)
    wait_status(c, "snapshot-merge-complete")
    c.expect("merge_percent", "100.000000")
    read_all(kernel, want)
    must(slurp(OLD) == want, "the base is not the target")
    must(kernel.request(READ, 0, len(want) // SECTOR, SECTOR) is None, "a read beyond the end")
    must(kernel.request(WRITE, 0, 0, SECTOR, bytes(SECTOR)) is None, "a write is taken")
    c.expect("delete,system", "success")
    c.expect("delete,system", "success")
    c.expect("getstatus,system", "snapshot-merge-failed")
    kernel.close()


def step_begin():
    """Up to a merge that does not go on, for a daemon that is killed then."""
    c = Client()
    kernel = Kernel("system")
    announce(c)
    c.expect("start,system", "success")
    c.expect("pause_merge", "success")
    c.expect("initiate_merge,system", "success")
    c.expect("getstatus,system", "snapshot-merge")
    c.expect("init,other,/nowhere,/none,/none", "fail")
    os.kill(int(sys.argv[7]), 9)
    must(kernel.over.wait(20), "the channel is open after the daemon's death")
    kernel.close()


def step_go_on():
    """With the daemon that has come after it."""
    want, c = slurp(NEW), Client()
    kernel = Kernel("system")
    kernel.wait_open()
    for _ in range(500):
        if c.ask("getstatus,system") == "snapshot":
            break
        time.sleep(0.02)
    read_all(kernel, want)
    c.expect("initiate_merge,system", "success")
    wait_status(c, "snapshot-merge-complete")
    read_all(kernel, want)
    must(slurp(OLD) == want, "the base is not the target")
    c.expect("delete,system", "success")
    kernel.close()


def exceptions(kernel):
    """Of the store: areas of (old, new)."""
    areas = []
    while not areas or len(areas[-1]) == 256:
        raw = kernel.read((1 + len(areas) * 257) * BLOCK, BLOCK)
        pairs = [struct.unpack_from("<2Q", raw, 16 * i) for i in range(256)]
        areas.append([p for p in pairs if p[1]])
    return areas


def step_snapshot():
    """As dm-snapshot's kernel does, from what the older message makes."""
    want, c = slurp(NEW), Client()
    answer = c.ask(f"init,system,{COW},{OLD}")
    must(answer.startswith("success,"), f"init says {answer}")
    kernel = Kernel("system")
    c.expect("start,system", "success")
    kernel.wait_open()
    must(kernel.read(0, 16) == struct.pack("<4I", 0x70416E53, 1, 1, 8), "no header")
    c.expect("getstatus,system", "snapshot")
    areas = exceptions(kernel)
    with open(OLD, "r+b", buffering=0) as base:
        for number in range(len(areas) - 1, -1, -1):
            area = areas[number]
            while area:
                n = 1
                while n < len(area) and all(area[-1 - n][k] == area[-1][k] - n for k in (0, 1)):
                    n += 1
                old, new = area[-n]
                os.pwrite(base.fileno(), kernel.read(new * BLOCK, n * BLOCK), old * BLOCK)
                os.fsync(base.fileno())
                del area[-n:]
                raw = b"".join(struct.pack("<2Q", *p) for p in area).ljust(BLOCK, b"\0")
                must(kernel.request(WRITE, PREFLUSH, 0, 0) is not None, "a flush fails")
                must(kernel.request(WRITE, PREFLUSH | FUA, (1 + number * 257) * 8, BLOCK, raw)
                     is not None, "what is merged cannot be written back")
    must(slurp(OLD) == want, "the base is not the target")
    must(kernel.request(WRITE, 0, 16, BLOCK, bytes(BLOCK)) is None, "data are taken")
    c.expect("initiate_merge,system", "fail")  # it is the kernel that merges
    c.expect("delete,system", "success")
    kernel.close()


def step_hostile():
    """Whatever is said, the next client is served."""
    rng = random.Random(7)
    for message in ("nonsense", "", "init", "init,a,b", "init,,,,", "init,a,b,c,d,e", "start",
                    "start,", "start,a,b", "query,x", ",", ",,,,,,,,,,,,", "getstatus", "delete",
                    "supports", "x" * 512, "x" * 513, b"query\0x", b"\xff\xfe", "QUERY", "query\n"):
        c = Client()
        if message:
            c.expect(message, {"start,": "fail"}.get(message, "fail"))
        c.s.close()
    for message in ("init,../x,/a,/b,/c", "init,a,b,c,d", f"init,a,{OLD},{OLD},{OLD}",
                    f"init,a,{COW},/dev/null,/dev/null", "start,nobody", "initiate_merge,nobody",
                    "supports,everything", "supports,second_stage_socket_handoff"):
        c = Client()
        c.expect(message, "fail")
        c.expect("query", "active")  # known words do not end it
    Client().expect("nonsense", "fail")
    c = Client()
    c.expect("nonsense", "fail")
    must(c.is_closed(), "who says nonsense is not hung up on")
    Client().tell(f"init,gone,{COW},{OLD},{OLD}")  # and goes
    many = [Client() for _ in range(40)]
    for c in many:
        c.tell("query")
    for c in reversed(many):
        must(c.s.recv(513) == b"active", "one of many is not served")
    for _ in range(200):
        c = Client()
        c.tell(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 700))))
        if rng.randrange(2):
            c.s.recv(513)
        c.s.close()
    Client().expect("merge_percent", "0.000000")
    Client().expect("delete,gone", "success")


def step_stop():
    c = Client()
    kernel = Kernel("system")
    announce(c)
    c.expect("start,system", "success")
    kernel.wait_open()
    c.tell("detach")
    time.sleep(0.2)
    c.expect("query", "passive")
    c.expect(f"init,more,{COW},{OLD},{OLD}", "fail")
    must(kernel.read(0, SECTOR) == slurp(NEW)[:SECTOR], "it is not served any more")
    c.tell("stop")
    time.sleep(0.2)
    must(kernel.over.wait(20), "it is served after stop")
    kernel.close()


globals()["step_" + STEP]()
