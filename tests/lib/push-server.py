#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that makes it hard to put something there.

    push-server.py LOG

The first parts of a repository's name say how, up to the last part: /v2/LIE/.../NAME/...

    cut-N        a connection is reset once N bytes of an upload have come; they stay. Several: at each of them once
    forget-N     the upload is forgotten (404) once N bytes of it have come, once
    amnesia      each time
    short-N      of a PATCH the first N bytes are taken, and that is said
    none-N       of the first N PATCHes nothing is taken, and that is said
    min-N        OCI-Chunk-Min-Length
    max-N        a PATCH of more than N bytes is answered with 413
    nopatch      a PATCH is answered with 405
    busy-N       the first N PATCHes are answered with 503, before they are read
    stuck        all of them are
    later        they are answered with 429, and a day to wait
    lost         the answer to the first PUT of a blob does not come: the connection is reset
    away         PATCH and PUT of uploads are answered with 307, to another host (localhost), which gets no login
    where        uploads have absolute URLs there
    token-N      each token is good for N requests; it is wanted for pull,push
    other        a manifest is put, and another digest said
    readonly     uploads are answered with 403
    noreset      DELETE of an upload is answered with 405

/raw/NAME/TAG is a manifest without all that. What is asked is in LOG, a line each: METHOD PATH STATUS LENGTH. The port is the first line on standard output; the
server ends with its standard input."""
import hashlib
import http.server
import json
import re
import socket
import struct
import sys
import threading
import urllib.parse
import uuid

lock = threading.Lock()
uploads, blobs, manifests = {}, {}, {}
counts = {}
tokens = {}


class Upload:
    def __init__(self, repo):
        self.repo, self.data = repo, bytearray()


class Cut(Exception):
    pass


def once(key):
    with lock:
        counts[key] = counts.get(key, 0) + 1
        return counts[key] == 1


def below(key, n):
    with lock:
        counts[key] = counts.get(key, 0) + 1
        return counts[key] <= n


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repo, lies = "", {}

    def log_message(self, *unused):
        pass

    def note(self, status, length):
        with lock, open(sys.argv[1], "a") as log:
            print(self.command, self.path, status, length, file=log)

    def answer(self, status, headers=(), body=b"", length=0):
        self.note(status, length)
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        left = int(self.headers.get("Content-Length") or 0) - length
        if left > 0:  # what was not read would be the next request
            self.close_connection = True
        return None

    def refuse(self, status, code, message, headers=(), length=0):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        return self.answer(status, headers, body, length)

    def reset(self, length):
        self.note(0, length)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise Cut

    def host(self):
        return self.headers["Host"].split(":")[0]

    def is_away(self):
        return self.host() == "localhost"

    def may(self):
        if "token" not in self.lies:
            return True
        if self.is_away():
            return "Authorization" not in self.headers
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        with lock:
            left = tokens.get(token, 0) if kind == "Bearer" else 0
            if left > 0:
                tokens[token] = left - 1
                return True
        self.refuse(401, "UNAUTHORIZED", "who are you", {
            "WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{port}/token/{self.lies["token"][0]}",'
                                f'service="x",scope="repository:{self.repo}:pull"'})
        return False

    def token(self, n, query):
        scope = " ".join(urllib.parse.parse_qs(query).get("scope", []))
        text = uuid.uuid4().hex
        with lock:
            tokens[text] = n if "pull,push" in scope else 0
        return self.answer(200, {"Content-Type": "application/json"}, json.dumps({"token": text}).encode())

    def where(self, name):
        path = f"/v2/{self.repo}/blobs/uploads/{name}?state=a%3Db"
        return f"http://127.0.0.1:{port}{path}" if "where" in self.lies else path

    # ---- uploads

    def range(self, upload):
        return f"0-{max(len(upload.data) - 1, 0)}"

    def take(self, upload, n):
        """n bytes of the body; -1: the upload is forgotten."""
        done = 0
        while done < n:
            data = self.rfile.read(min(n - done, 1 << 16))
            if not data:
                raise Cut
            for at in self.lies.get("cut", []):
                if len(upload.data) < at <= len(upload.data) + len(data) and once(f"{self.repo} cut {at}"):
                    upload.data += data[:at - len(upload.data)]
                    self.reset(done + len(data))
            upload.data += data
            done += len(data)
        return done

    def patch(self, name, upload):
        length = int(self.headers["Content-Length"])
        start, last = (int(n) for n in self.headers["Content-Range"].split("-"))
        if "nopatch" in self.lies:
            return self.refuse(405, "UNSUPPORTED", "no chunks")
        if "later" in self.lies:
            return self.refuse(429, "TOOMANYREQUESTS", "tomorrow", {"Retry-After": "86400"})
        if "stuck" in self.lies or ("busy" in self.lies and below(f"{self.repo} busy", self.lies["busy"][0])):
            return self.refuse(503, "UNAVAILABLE", "later", {"Retry-After": "0"})
        if length > self.lies.get("max", [1 << 60])[0]:
            return self.refuse(413, "SIZE_INVALID", "too long")
        if start != len(upload.data) or last - start + 1 != length:
            return self.refuse(416, "RANGE_INVALID", "elsewhere", {"Range": self.range(upload)})
        take = min(length, self.lies.get("short", [length])[0])
        if "none" in self.lies and below(f"{self.repo} none", self.lies["none"][0]):
            take = 0
        self.take(upload, take)
        self.rfile.read(length - take)
        for at in self.lies.get("forget", []):
            if len(upload.data) >= at and ("amnesia" in self.lies or once(f"{self.repo} forget {at}")):
                uploads.pop(name, None)
        return self.answer(202, {"Location": self.where(name), "Range": self.range(upload)}, length=length)

    def put(self, name, upload, digest):
        length = int(self.headers.get("Content-Length") or 0)
        self.take(upload, length)
        if "sha256:" + hashlib.sha256(upload.data).hexdigest() != digest:
            return self.refuse(400, "DIGEST_INVALID", "another digest", length=length)
        blobs[self.repo, digest] = bytes(upload.data)
        uploads.pop(name)
        if "lost" in self.lies and once(f"{self.repo} lost {digest}"):
            self.reset(length)
        return self.answer(201, {"Location": f"/v2/{self.repo}/blobs/{digest}"}, length=length)

    def upload(self, name, query):
        upload = uploads.get(name)
        if self.command == "POST":
            if "readonly" in self.lies:
                return self.refuse(403, "DENIED", "not here")
            name = uuid.uuid4().hex
            uploads[name] = Upload(self.repo)
            headers = {"Location": self.where(name), "Range": "0-0"}
            if "min" in self.lies:
                headers["OCI-Chunk-Min-Length"] = str(self.lies["min"][0])
            return self.answer(202, headers)
        if "away" in self.lies and not self.is_away() and self.command in ("PATCH", "PUT"):
            return self.answer(307, {"Location": f"http://localhost:{port}{self.path}"})
        if not upload or upload.repo != self.repo or query.get("state") != ["a=b"]:
            return self.refuse(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
        if self.command == "GET":
            return self.answer(204, {"Location": self.where(name), "Range": self.range(upload)})
        if self.command == "DELETE":
            if "noreset" in self.lies:
                return self.refuse(405, "UNSUPPORTED", "no")
            uploads.pop(name)
            return self.answer(204)
        if self.command == "PATCH":
            return self.patch(name, upload)
        return self.put(name, upload, query.get("digest", [""])[0])

    # ---- the rest

    def manifest(self, name):
        if self.command == "PUT":
            length = int(self.headers["Content-Length"])
            text = self.rfile.read(length)
            digest = "sha256:" + hashlib.sha256(text).hexdigest()
            for key in (name, digest):
                manifests[self.repo, key] = (text, self.headers["Content-Type"])
            said = "sha256:" + "0" * 64 if "other" in self.lies else digest
            return self.answer(201, {"Docker-Content-Digest": said}, length=length)
        text, kind = manifests.get((self.repo, name), (None, None))
        if text is None:
            return self.refuse(404, "MANIFEST_UNKNOWN", "no such manifest")
        return self.answer(200, {"Content-Type": kind}, text)

    def blob(self, digest):
        data = blobs.get((self.repo, digest))
        if data is None:
            return self.refuse(404, "BLOB_UNKNOWN", "no such blob")
        found = re.match(r"bytes=(\d+)-(\d+)$", self.headers.get("Range", ""))
        if self.command == "HEAD" or not found:
            self.note(200, 0)
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            return self.wfile.write(data) if self.command == "GET" else None
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        return self.answer(206, {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first:last + 1])

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/token/"):
            return self.token(int(url.path[7:]), url.query)
        if url.path.startswith("/raw/"):
            self.repo, _, name = url.path[5:].rpartition("/")
            return self.manifest(name)
        found = re.match(r"/v2/(.*)/(blobs/uploads|blobs|manifests)/([^/]*)$", url.path)
        if not found:
            return self.refuse(404, "NAME_UNKNOWN", "what")
        self.repo, kind, name = found.groups()
        self.lies = {}
        for part in self.repo.split("/")[:-1]:
            word, _, n = part.partition("-")
            self.lies.setdefault(word, []).append(int(n or 0))
        if not self.may():
            return None
        if kind == "blobs/uploads":
            return self.upload(name, urllib.parse.parse_qs(url.query))
        return self.manifest(name) if kind == "manifests" else self.blob(name)

    def do_GET(self):
        try:
            self.handle_any()
        except Cut:
            self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *unused):
        pass


server = Server(("127.0.0.1", 0), Handler)
port = server.server_address[1]
threading.Thread(target=server.serve_forever, daemon=True).start()
print(port, flush=True)
sys.stdin.read()
