#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry in memory that keeps account of subjects (OCI distribution-spec 1.1, "Referrers API"), which Debian's
does not: referrers-registry.py LOG, ending with standard input. Prints its port. What was asked is in LOG, a line
each. A manifest under /v2/forgetful/ is accepted, but not accounted for; a large blob under /v2/slow/ takes two seconds."""
import hashlib
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse

blobs, manifests, referrers, lock = {}, {}, {}, threading.Lock()
log = open(sys.argv[1], "a", buffering=1)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/octet-stream", **headers):
        log.write(f"{self.command} {self.path} {status}\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("/v2/slow/") and len(data) > 10000:
            time.sleep(2)
        return data

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/v2/":
            return self.answer(200)
        if m := re.fullmatch(r"/v2/(.+)/blobs/(.+)", path):
            data = blobs.get((m[1], m[2]))
            if data is None:
                return self.answer(404)
            if r := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                end = min(int(r[2] or len(data)), len(data) - 1)
                return self.answer(206, data[int(r[1]):end + 1],
                                   Content_Range=f"bytes {r[1]}-{end}/{len(data)}")
            return self.answer(200, data, Accept_Ranges="bytes")
        if m := re.fullmatch(r"/v2/(.+)/manifests/(.+)", path):
            found = manifests.get((m[1], m[2]))
            return self.answer(404) if found is None else self.answer(
                200, found[1], found[0], Docker_Content_Digest="sha256:" + hashlib.sha256(found[1]).hexdigest())
        if m := re.fullmatch(r"/v2/(.+)/referrers/(.+)", path):
            wanted = urllib.parse.parse_qs(query).get("artifactType")
            entries = [e for e in referrers.get((m[1], m[2]), []) if not wanted or e["artifactType"] in wanted]
            return self.answer(200, json.dumps({"schemaVersion": 2, "manifests": entries}).encode(),
                               "application/vnd.oci.image.index.v1+json", OCI_Filters_Applied="artifactType")
        self.answer(404)

    def do_POST(self):
        m = re.fullmatch(r"/v2/(.+)/blobs/uploads/(?:\?(.*))?", self.path)
        query = urllib.parse.parse_qs(m[2] or "")
        self.body()
        if "mount" in query and (query["from"][0], query["mount"][0]) in blobs:
            blobs[m[1], query["mount"][0]] = blobs[query["from"][0], query["mount"][0]]
            return self.answer(201, Location=f"/v2/{m[1]}/blobs/{query['mount'][0]}")
        with lock:
            number = str(len(uploads))
            uploads[number] = b""
        self.answer(202, Location=f"/v2/{m[1]}/blobs/uploads/{number}", Range="0-0")

    def do_PATCH(self):
        number = self.path.rsplit("/", 1)[1]
        uploads[number] += self.body()
        self.answer(202, Location=self.path, Range=f"0-{len(uploads[number]) - 1}")

    def do_PUT(self):
        data, path = self.body(), self.path.partition("?")
        if m := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.+)", path[0]):
            data = uploads[m[2]] + data
            digest = urllib.parse.parse_qs(path[2])["digest"][0]
            assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
            blobs[m[1], digest] = data
            return self.answer(201, Location=f"/v2/{m[1]}/blobs/{digest}", Docker_Content_Digest=digest)
        m = re.fullmatch(r"/v2/(.+)/manifests/(.+)", path[0])
        digest, kind, doc = "sha256:" + hashlib.sha256(data).hexdigest(), self.headers["Content-Type"], json.loads(data)
        manifests[m[1], m[2]] = manifests[m[1], digest] = (kind, data)
        headers = {}
        if "subject" in doc and m[1] != "forgetful":
            entry = {"mediaType": kind, "digest": digest, "size": len(data), "artifactType": doc["artifactType"]}
            entries = referrers.setdefault((m[1], doc["subject"]["digest"]), [])
            entries.extend([] if entry in entries else [entry])
            headers["OCI_Subject"] = doc["subject"]["digest"]
        self.answer(201, Docker_Content_Digest=digest, Location=path[0], **headers)

    def do_DELETE(self):
        self.answer(204)


uploads = {}
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
