#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens every NAME.bin below this folder with `ovbd info` and `ovbd check`, and every one cut off at
each 512th byte; and every image configuration NAME.json. A file must be refused: info exits 1, check 2 (1 if it
is not damaged but beyond us: it cannot be checked), both with the sentence of NAME.txt, within seconds and within 2x the file's size + 64 MiB of memory. A file that is cut off may at most
be refused with another sentence."""
import glob
import os
import resource
import subprocess
import sys
import tempfile

OVBD = os.path.join(os.environ["OVBD_BUILD"], "tools", "ovbd")
HERE = os.path.dirname(os.path.abspath(__file__))
SANITIZED = "asan" in os.environ["OVBD_BUILD"] or "tsan" in os.environ["OVBD_BUILD"]
MEMORY = 64 << 20
BEYOND_US = {"zfile/algo-lzo", "zfile/algo-unknown", "zfile/use-dict", "lsmt/header-version",
             "lsmt/trailer-version", "lsmt/turbo-within", "dm-update/version",
             "dm-update/chunk-too-large", "dm-update/compression-unknown",
             "dm-update/compression-odd"}
bad = 0


def complain(text):
    global bad
    bad += 1
    print(text)


def run(verb, path):
    """Exit status and standard error; the program's memory is limited where that is possible."""
    limit = None
    if not SANITIZED:
        size = 2 * os.path.getsize(path) + MEMORY
        limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    done = subprocess.run([OVBD, verb, path], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, preexec_fn=limit)
    return done.returncode, done.stderr.decode(errors="replace")


def refused(path, sentence, name):
    wanted = {"info": (1,), "check": (1,) if name[:-4] in BEYOND_US else (2,)}
    if name.endswith(".json"):  # may be wrong, or right and beyond us; 65: would be fetched
        wanted = {"info": (1, 65), "check": (1, 2)}
    for verb, want in wanted.items():
        status, said = run(verb, path)
        # what is intact at a glance is info's to show; check must find it
        if verb == "info" and status == 0 and sentence.startswith("check:"):
            continue
        text = sentence.removeprefix("check:").strip()
        if status not in want or text not in said:
            complain(f"{name}: {verb} exits {status}, not one of {want}; says {said!r}, not {text!r}")


def cut_off(path):
    with open(path, "rb") as f, tempfile.NamedTemporaryFile(suffix=".bin") as cut:
        data = f.read()
        for end in range(0, len(data), 512):
            cut.seek(0)
            cut.write(data[:end])
            cut.truncate(end)
            cut.flush()
            # a layer that is cut may be nothing but bytes, as far as info can see
            for verb, right in (("info", (0, 1)), ("check", (0, 1, 2))):
                status, said = run(verb, cut.name)
                if status not in right or "out of memory" in said:
                    complain(f"{path} cut at {end}: {verb} exits {status}: {said!r}")


part = sys.argv[1] if len(sys.argv) > 1 else "*"
files = sorted(glob.glob(os.path.join(HERE, part, "*.bin")) +
               glob.glob(os.path.join(HERE, part, "*.json")))
for path in files:
    with open(os.path.splitext(path)[0] + ".txt") as f:
        refused(path, f.read().strip(), os.path.relpath(path, HERE))
for path in files[:1]:
    cut_off(path)
print(f"{len(files)} files")
sys.exit(1 if bad or not files else 0)
