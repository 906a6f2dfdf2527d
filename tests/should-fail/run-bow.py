#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every bow/NAME.bin is a device that `ovbd bow restore` must refuse with the sentence of NAME.txt
before it has written anything: exit status 1, and the file is as it was. So must `check`. Of a file
that is cut off at any block nothing may be written either, but where what is left is right."""
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

OVBD = os.path.join(os.environ["OVBD_BUILD"], "tools", "ovbd")
HERE = os.path.dirname(os.path.abspath(__file__))
bad = 0


def complain(text):
    global bad
    bad += 1
    print(text)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def run(word, path):
    done = subprocess.run([OVBD, "bow", word, path], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60)
    return done.returncode, done.stderr.decode(errors="replace")


files = sorted(glob.glob(os.path.join(HERE, "bow", "*.bin")))
with tempfile.TemporaryDirectory() as tmp:
    for path in files:
        name = os.path.basename(path)
        with open(path[:-4] + ".txt") as f:
            sentence = f.read().strip()
        copy = os.path.join(tmp, name)
        shutil.copy(path, copy)
        before = digest(copy)
        for word in ("check", "restore"):
            status, said = run(word, copy)
            if status != 1 or sentence not in said:
                complain(f"{name}: {word} exits {status}; says {said!r}, not {sentence!r}")
            if digest(copy) != before:
                complain(f"{name}: {word} wrote something")
    for end in range(0, os.path.getsize(files[0]), 512):
        shutil.copy(files[0], copy)
        os.truncate(copy, end)
        before = digest(copy)
        status, said = run("restore", copy)
        if status != 1 or digest(copy) != before:
            complain(f"{files[0]} cut at {end}: exits {status}: {said!r}")
print(f"{len(files)} files")
sys.exit(1 if bad or not files else 0)
