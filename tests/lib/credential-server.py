#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service of credentials, as overlaybd's daemon asks them: GET ...?remote_url=BLOB.

    credential-server.py ANSWER LOG http
    credential-server.py ANSWER LOG https CERT KEY CA       (wants a client certificate of CA)
    credential-server.py ANSWER LOG uds SOCKET

Answers with what is in the file ANSWER, read each time; a file that is "mute" is answered with
nothing at all. What was asked is a line in LOG. The port (or "ready") is the first line on standard
output; the server ends with its standard input."""
import http.server
import os
import socketserver
import ssl
import sys
import threading

answer, log, mode, *rest = sys.argv[1:]
lock = threading.Lock()
over = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *unused):
        pass

    def address_string(self):
        return "-"

    def do_GET(self):
        with lock, open(log, "a") as f:
            print(self.path, file=f)
        body = open(answer, "rb").read()
        if body.strip() == b"mute":
            over.wait()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Local(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if mode == "uds":
    server = Local(rest[0], Handler)
    said = "ready"
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    said = server.server_address[1]
if mode == "https":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(rest[0], rest[1])
    context.load_verify_locations(rest[2])
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.handle_error = lambda *unused: None
threading.Thread(target=server.serve_forever, daemon=True).start()
print(said, flush=True)
sys.stdin.read()
over.set()
os._exit(0)
