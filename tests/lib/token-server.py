#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server of tokens, as docker-registry wants them: RS256, with the certificate in them.

    token-server.py KEY CERT LOG [--life SECONDS]

KEY and CERT are PEM, made by openssl. The user is "anna" with the password "secret"; the identity
token "anna-identity" buys tokens too. Without a user a token says that nothing is allowed, a wrong
password is answered with 401. --life: a token is good for so long, counted with the minute that
docker-registry allows clocks to differ; the answer itself speaks of five minutes, so that a client
learns of the end when it is refused. Each request is a line in LOG: how it came, for whom, what it
asked for; and the fifth word says what was given. The port is the first line on standard output; the
server ends with its standard input."""
import argparse
import base64
import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.parse

PASSWORDS = {"anna": "secret"}
REFRESH = {"anna-identity": "anna"}
LEEWAY = 60  # of docker-registry

parser = argparse.ArgumentParser()
parser.add_argument("key")
parser.add_argument("cert")
parser.add_argument("log")
parser.add_argument("--life", type=int, default=300)
args = parser.parse_args()
lock = threading.Lock()
der = "".join(line for line in open(args.cert).read().split("\n") if line and "-----" not in line)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(user, service, scopes):
    now = int(time.time())
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":", 2)
        if user:
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
    claims = {"iss": "tests", "sub": user, "aud": service, "iat": now, "nbf": now - LEEWAY,
              "exp": now + args.life - LEEWAY, "jti": str(time.time_ns()), "access": access}
    head = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
    text = b64(json.dumps(head).encode()) + b"." + b64(json.dumps(claims).encode())
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", args.key], input=text,
                            check=True, stdout=subprocess.PIPE)
    return (text + b"." + b64(signed.stdout)).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *unused):
        pass

    def note(self, *words):
        with lock, open(args.log, "a") as log:
            print(*(w or "-" for w in words), file=log)

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def give(self, how, user, good, query):
        service = query.get("service", [""])[0]
        scopes = [one for s in query.get("scope", []) for one in s.split(" ") if one]
        self.note(how, user, service, ",".join(scopes), "token" if good else "refused")
        if not good:
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})
        return self.answer(200, {"token": token(user, service, scopes), "expires_in": 300})

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if not kind:
            return self.give("nobody", "", True, query)
        user, _, password = base64.b64decode(value).decode().partition(":")
        return self.give("basic", user, PASSWORDS.get(user) == password, query)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        query = urllib.parse.parse_qs(body)
        if query.get("grant_type") == ["refresh_token"]:
            user = REFRESH.get(query.get("refresh_token", [""])[0], "")
            return self.give("refresh", user, user != "", query)
        user = query.get("username", [""])[0]
        return self.give("password", user,
                         user != "" and PASSWORDS.get(user) == query.get("password", [""])[0], query)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
