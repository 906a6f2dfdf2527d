#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that cuts what goes up.

    upload-proxy.py PORT [N...]

passes connections on 127.0.0.1 on to 127.0.0.1:PORT. It counts the bytes that clients send, over all connections;
where the count comes to N, the connection that is sending is reset, with the bytes up to there passed on. Commands on
standard input: "cut N..." for N more bytes from now on, "sent" is answered with the count. The port is the first
line on standard output; the proxy ends with its standard input."""
import socket
import struct
import sys
import threading

lock = threading.Lock()
sent = 0
cuts = sorted(int(n) for n in sys.argv[2:])
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(64)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def down(client, there):
    try:
        while data := there.recv(1 << 16):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def up(client, there):
    global sent
    try:
        while data := client.recv(1 << 16):
            with lock:
                cut = bool(cuts) and sent + len(data) >= cuts[0]
                if cut:
                    data = data[:cuts.pop(0) - sent]
                sent += len(data)
            there.sendall(data)
            if cut:
                there.shutdown(socket.SHUT_WR)
                return reset(client)
        there.shutdown(socket.SHUT_WR)
    except OSError:
        reset(there)


def accept():
    while True:
        client, _ = server.accept()
        there = socket.socket()
        try:
            there.connect(("127.0.0.1", int(sys.argv[1])))
        except OSError:
            reset(client)
            continue
        threading.Thread(target=down, args=(client, there), daemon=True).start()
        threading.Thread(target=up, args=(client, there), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
print(server.getsockname()[1], flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    with lock:
        if word == "cut":
            cuts = sorted(cuts + [sent + int(n) for n in rest])
        else:
            print(sent, flush=True)
