#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A web server that does ranges, and lies when it is asked to.

    range-server.py DIR [--port N] [--tls CERT KEY]

serves the files of DIR on 127.0.0.1 and prints its port as the first line; it ends when its
standard input does (or by a signal). How a request is answered is part of its path:

    /FILE                  honestly
    /~LIE[=ARG],.../FILE   with these lies, for instance /~ok200,after=1/layer.zfile

or of a header, X-Lie: LIE[=ARG],...

When (requests are counted for each path or such header, so a tag=ANYTHING makes a path of its own):

    after=N          the first N requests are answered honestly
    times=N          only N requests are lied to, then it is honest again

What:

    ok200            200 and the whole file, as if there were no Range
    start end total  Content-Range with a number that is one too large
    early            a range that begins one byte early
    unit             "bits 0-1/2"; norange: no Content-Range; badrange: nonsense in it;
                     anytotal: "bytes 0-1/*"; unsatisfied: "bytes */SIZE" in a 206
    truerange=N      N bytes fewer than were asked for, and says so
    short=N          the promised length, but only N bytes of it, then the end
    reset=N          the same, but the connection is reset
    closed=N         no length, N bytes, the end (HTTP/1.0)
    long=N           N bytes more, and says so; longchunked=N: chunked, so it does not say so
    flip=N           a bit of the file's byte N is changed in what has it; fliponce=N: the first time
    chunked          the right bytes, chunked (this is no lie)
    encoding=NAME    Content-Encoding: NAME; multipart: Content-Type: multipart/byteranges
    etag=VALUE       another ETag; noetag: none; weak: W/ before it; modified: another Last-Modified
    size=N           claims that the file is N bytes longer, twoetags: two ETags
    headers=N        N more header lines, of 1000 bytes
    status=N         this status; retryafter=V: with Retry-After: V (date+N: N seconds from now)
    badstatus        a status line that is none; drop: closes without an answer
    stall=N          the head and N bytes, then nothing; mute: not even a head
    slow=N           N bytes per second, in pieces of a tenth of a second
    redirect=N       302 to itself, N times, then to the file
    to=URL           302 to URL (with %2C for a comma and %2F for a slash); {n} in it is the number
                     of the request

Who may ask (whatever after and times say; with challenge=TEXT another WWW-Authenticate):

    basic=USER:PASSWORD   who says so
    bearer                who has a token of /~token/ here, and with scope=S for this scope
    never                 nobody, whatever he has (this as after and times say)
    user=USER:PASSWORD    who gets a token; refresh=T: by a POST with this refresh token
    life=S uses=N         what the token server says of a token, and how often it is good
    slowtoken=S           the token server thinks for S seconds
    badtoken=STATUS       it answers so

An absolute URL in the request line is taken as its path: so this is an http_proxy, too.

About itself:

    /~stats          JSON: requests, bytes (of bodies), connections, lies (told), tokens (made),
                     refusals (401), authorized (requests with Authorization), proxied, log
                     ([status, path, range])
    /~counts         the same without the log
    /~forget         forgets these and the counts of all paths

Lies that change:

    /~set/NAME/LIE,...   from now on /~as=NAME/FILE is answered with these lies, or with none; all
                         such requests are counted together, from here on
"""

import argparse
import base64
import collections
import email.utils
import http.server
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse


class Stats:
    def __init__(self):
        self.lock = threading.Lock()
        self.forget()

    def forget(self):
        self.requests = 0
        self.bytes = 0
        self.connections = 0
        self.tokens = 0
        self.refusals = 0
        self.authorized = 0
        self.proxied = 0
        self.lies = 0
        self.log = []
        self.seen = collections.Counter()
        self.flipped = collections.Counter()

    def as_dict(self):
        return {
            "requests": self.requests,
            "bytes": self.bytes,
            "connections": self.connections,
            "tokens": self.tokens,
            "refusals": self.refusals,
            "authorized": self.authorized,
            "proxied": self.proxied,
            "lies": self.lies,
            "log": self.log,
        }


class Gone(Exception):
    """The answer ends here, and with it the connection."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def setup(self):
        super().setup()
        with self.server.stats.lock:
            self.server.stats.connections += 1

    def log_message(self, *args):
        pass

    # --- the request ---

    def do_GET(self):
        stats = self.server.stats
        if self.path.startswith("http://"):
            self.path = "/" + self.path.split("/", 3)[3]
            with stats.lock:
                stats.proxied += 1
        if self.path == "/~stats":
            with stats.lock:
                return self.send_whole(200, json.dumps(stats.as_dict()).encode())
        if self.path == "/~counts":
            with stats.lock:
                counts = {k: v for k, v in stats.as_dict().items() if k != "log"}
                return self.send_whole(200, json.dumps(counts).encode())
        if self.path == "/~forget":
            with stats.lock:
                stats.forget()
            return self.send_whole(200, b"")
        if self.path.startswith("/~set/"):
            _, _, name, text = self.path.split("/", 3)
            with stats.lock:
                self.server.named[name] = text
                stats.seen[name] = 0
            return self.send_whole(200, b"")
        path, _, _ = self.path.partition("?")
        parts = path.lstrip("/").split("/", 1)
        lies, counted = {}, self.path
        if parts[0].startswith("~"):
            lies = self.parse_lies(parts[0][1:])
            path = "/" + parts[1]
        elif "X-Lie" in self.headers:
            counted = self.headers["X-Lie"]
            lies = self.parse_lies(counted)
        if "as" in lies:
            counted = lies["as"]
            text = self.server.named.get(counted)
            lies = self.parse_lies(text) if text else {}
        with stats.lock:
            stats.authorized += "Authorization" in self.headers
            if "token" not in lies:
                stats.requests += 1
            nth = stats.seen[counted]
            stats.seen[counted] += 1
        welcome = dict(lies)
        nth -= int(lies.pop("after", 0))
        if nth < 0 or nth >= int(lies.pop("times", 1 << 62)):
            lies = {}
            welcome.pop("never", None)
        if lies.keys() - {"basic", "bearer", "user", "refresh", "scope", "life", "uses"}:
            with stats.lock:
                stats.lies += 1
        try:
            if "token" in lies:
                self.make_token(lies)
            elif self.is_welcome(welcome):
                self.answer(path, lies, nth)
            self.wfile.flush()
        except (Gone, BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    do_HEAD = do_GET
    do_POST = do_GET

    @staticmethod
    def parse_lies(text):
        pairs = (word.partition("=") for word in text.split(","))
        return {name: urllib.parse.unquote(arg) for name, _, arg in pairs}

    def note(self, status, nbytes=0):
        with self.server.stats.lock:
            self.server.stats.log.append([status, self.path, self.headers.get("Range")])
            self.server.stats.bytes += nbytes

    def send_whole(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # --- who may ask ---

    def is_welcome(self, lies):
        """Otherwise it has been answered."""
        said = self.headers.get("Authorization", "")
        if "basic" in lies:
            ok = said == "Basic " + base64.b64encode(lies["basic"].encode()).decode()
            challenge = 'Basic realm="tests, of course"'
        elif "bearer" in lies:
            ok = self.is_good_token(said, lies)
            scheme = "https" if self.server.tls else "http"
            realm = f"{scheme}://127.0.0.1:{self.server.server_address[1]}/~token"
            for name in ("user", "refresh", "life", "uses", "slowtoken", "badtoken"):
                if name in lies:
                    realm += f",{name}=" + urllib.parse.quote(lies[name], safe="")
            challenge = f'Bearer realm="{realm}/",service="tests",scope="{self.scope(lies)}"'
        else:
            return True
        if ok and "never" not in lies:
            return True
        self.note(401)
        with self.server.stats.lock:
            self.server.stats.refusals += 1
        headers = [("WWW-Authenticate", lies.get("challenge", challenge))]
        self.send_whole(401, b"who are you?\n", headers)
        return False

    @staticmethod
    def scope(lies):
        return lies.get("scope", "repository:a/b:pull")

    def is_good_token(self, said, lies):
        stats = self.server.stats
        with stats.lock:
            token = self.server.tokens.get(said)
            if not token or token["uses"] == 0 or token["scope"] != [self.scope(lies)]:
                return False
            token["uses"] -= 1
        return True

    def make_token(self, lies):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if self.command == "POST":
            length = int(self.headers.get("Content-Length", 0))
            query = urllib.parse.parse_qs(self.rfile.read(length).decode())
        said = self.headers.get("Authorization", "")
        user = lies.get("user")
        time.sleep(float(lies.get("slowtoken", 0)))
        if "badtoken" in lies:
            return self.send_whole(int(lies["badtoken"]), b"")
        if "refresh" in lies:
            ok = self.command == "POST" and query.get("refresh_token") == [lies["refresh"]]
            ok = ok and query.get("grant_type") == ["refresh_token"]
        elif user:
            ok = said == "Basic " + base64.b64encode(user.encode()).decode()
            ok = ok and query.get("account") == [user.partition(":")[0]]
        else:
            ok = said == ""
        if not ok or query.get("service") != ["tests"]:
            return self.send_whole(401, b'{"errors": []}')
        with self.server.stats.lock:
            self.server.stats.tokens += 1
            token = f"token-{self.server.stats.tokens}-{os.urandom(8).hex()}"
            self.server.tokens["Bearer " + token] = {
                "uses": int(lies.get("uses", -1)),
                "scope": query.get("scope"),
            }
        answer = {"access_token" if "refresh" in lies else "token": token}
        if "life" in lies:
            answer["expires_in"] = float(lies["life"])
        self.send_whole(200, json.dumps(answer).encode())

    # --- the answer ---

    def answer(self, path, lies, nth):
        if "drop" in lies:
            self.note(0)
            raise Gone
        if "mute" in lies:
            self.note(0)
            self.hang()
        if "badstatus" in lies:
            self.note(0)
            self.wfile.write(b"HELLO there\r\n\r\nwhat a day")
            self.wfile.flush()
            raise Gone
        if "to" in lies or "redirect" in lies:
            return self.redirect(path, lies, nth)
        if "status" in lies:
            self.note(int(lies["status"]))
            return self.send_whole(int(lies["status"]), b"as you wished\n", self.retry_after(lies))
        name = os.path.normpath(self.server.dir + urllib.parse.unquote(path))
        if not name.startswith(self.server.dir + "/") or not os.path.isfile(name):
            self.note(404)
            return self.send_whole(404, b"no such file\n")
        with open(name, "rb") as f:
            self.send_file(f, lies)

    @staticmethod
    def retry_after(lies):
        value = lies.get("retryafter")
        if value is None:
            return []
        if value.startswith("date+"):
            value = email.utils.formatdate(time.time() + int(value[5:]), usegmt=True)
        return [("Retry-After", value)]

    def redirect(self, path, lies, nth):
        if "to" in lies:
            where = lies["to"].replace("{n}", str(nth))
        else:
            left = int(lies["redirect"]) - 1
            where = path if left <= 0 else f"/~redirect={left}{path}"
        self.note(302)
        self.send_whole(302, b"over there\n", [("Location", where)])

    def wanted(self, size):
        """The range asked for, as (first, end); None if there is none or it is not ours."""
        unit, _, spec = self.headers.get("Range", "").partition("=")
        first, _, last = spec.partition("-")
        if unit != "bytes" or "," in spec or not first.isdigit():
            return None
        return int(first), min(int(last) + 1, size) if last else size

    def send_file(self, f, lies):
        stat = os.fstat(f.fileno())
        size = stat.st_size
        wanted = None if "ok200" in lies else self.wanted(size)
        if wanted and wanted[0] >= size:
            self.note(416)
            return self.send_whole(416, b"", [("Content-Range", f"bytes */{size}")])
        first, end = wanted or (0, size)
        if "early" in lies:
            first -= 1
        if "truerange" in lies:
            end -= int(lies["truerange"])
        f.seek(first)
        body = self.flip(f.read(end - first), first, lies)
        self.note(206 if wanted else 200, len(body))
        self.send_response(206 if wanted else 200)
        self.send_validators(stat, lies)
        if wanted:
            self.send_content_range(first, end, size, lies)
        for i in range(int(lies.get("headers", 0))):
            self.send_header(f"X-{i}", "x" * 990)
            self.flush_headers()
        if "encoding" in lies:
            self.send_header("Content-Encoding", lies["encoding"])
        kind = "multipart/byteranges; boundary=x" if "multipart" in lies else "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_body(body, lies)

    def flip(self, body, first, lies):
        at = int(lies.get("flip", lies.get("fliponce", -1))) - first
        if not 0 <= at < len(body):
            return body
        if "fliponce" in lies:
            with self.server.stats.lock:
                self.server.stats.flipped[self.path] += 1
                if self.server.stats.flipped[self.path] > 1:
                    return body
        return body[:at] + bytes([body[at] ^ 1 << at % 8]) + body[at + 1 :]

    def send_validators(self, stat, lies):
        etag = lies.get("etag", f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"')
        modified = stat.st_mtime + (3600 if "modified" in lies else 0)
        self.send_header("Last-Modified", email.utils.formatdate(modified, usegmt=True))
        if "twoetags" in lies:
            self.send_header("ETag", '"another"')
        if "noetag" not in lies:
            self.send_header("ETag", ("W/" if "weak" in lies else "") + etag)

    def send_content_range(self, first, end, size, lies):
        size += int(lies.get("size", 0))
        start = first + ("start" in lies)
        last = end - 1 + ("end" in lies)
        total = "*" if "anytotal" in lies else size + ("total" in lies)
        text = f"bytes {start}-{last}/{total}"
        if "unit" in lies:
            text = f"bits {start}-{last}/{total}"
        if "badrange" in lies:
            text = "bytes as you like it"
        if "unsatisfied" in lies:
            text = f"bytes */{total}"
        if "norange" not in lies:
            self.send_header("Content-Range", text)

    # --- the body ---

    def send_body(self, body, lies):
        more = int(lies.get("long", lies.get("longchunked", 0)))
        body += b"\xa5" * more
        if "chunked" in lies or "longchunked" in lies:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 1000):
                piece = body[at : at + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\nContent-Range: bytes 0-0/1\r\n\r\n")
            return
        if "closed" not in lies:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        for lie in ("short", "reset", "stall", "closed"):
            if lie in lies:
                self.wfile.write(body[: int(lies[lie])])
                self.wfile.flush()
                self.leave(lie)
        if "slow" in lies:
            step = max(int(lies["slow"]) // 10, 1)
            for at in range(0, len(body), step):
                self.wfile.write(body[at : at + step])
                self.wfile.flush()
                time.sleep(0.1)
        else:
            self.wfile.write(body)

    def leave(self, how):
        if how == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        if how == "stall":
            self.hang()
        raise Gone

    def hang(self):
        """Until the client goes away."""
        self.connection.settimeout(None)
        while self.connection.recv(4096):
            pass
        raise Gone


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):
            super().handle_error(request, client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    args = parser.parse_args()

    server = Server(("127.0.0.1", args.port), Handler)
    server.dir = os.path.realpath(args.dir)
    server.stats = Stats()
    server.named = {}
    server.tokens = {}
    server.tls = bool(args.tls)
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*args.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
