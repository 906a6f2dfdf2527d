#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# COW files written by Android's own tools, made into layers over their base, with references and
# without: the stack of both reads as the manifest says.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

[ -d "${OVBD_FIXTURES:?}/android-cow" ] || {
	echo "SKIP: no $OVBD_FIXTURES/android-cow in this clone"
	exit 77
}
python3 - "$OVBD_FIXTURES/android-cow" "$ovbd" <<'PYTHON' || fail "see above"
import gzip
import hashlib
import os
import struct
import subprocess
import sys

folder, ovbd = sys.argv[1:]


def load(name):
    for path, opener in ((name, open), (name + ".gz", gzip.open)):
        path = os.path.join(folder, path)
        if os.path.exists(path):
            data = opener(path, "rb").read()
            return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    raise FileNotFoundError(name)


def load_base(name):
    first, _, delta = name.partition("+")
    base = bytearray(load(first))
    data = load(delta) if delta else b""
    for at in range(0, len(data) - 4099, 4100):
        off = struct.unpack_from("<I", data, at)[0] * 4096
        base[off:off + 4096] = data[at + 4:at + 4100]
    return bytes(base)


def run(*args):
    done = subprocess.run([ovbd, *args], capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{args}: {done.stderr.decode()}")
    return done.stdout


count, smaller = 0, 0
for line in open(os.path.join(folder, "MANIFEST.tsv")).read().splitlines()[1:]:
    name, _, _, base, kind, wanted = line.split("\t")[:6]
    if kind not in ("ok", "ok-view", "ok-partial", "crash-recovery"):
        continue
    with open("base", "wb") as f:
        f.write(load_base(base))
    with open("cow", "wb") as f:
        f.write(load(name + ".cow"))
    sizes = []
    for how in ([], ["--no-references"]):
        run("convert", "-q", "--force", *how, "-B", "base", "cow", "layer")
        sizes.append(os.path.getsize("layer"))
        got = hashlib.sha256(run("convert", "-q", "-O", "raw", "base", "layer", "-")).hexdigest()
        if got != wanted:
            sys.exit(f"{name} ({kind}) {how}: {got}, not {wanted}")
    count += 1
    smaller += sizes[0] < sizes[1]
print(f"{count} COW files, {smaller} of them smaller with references")
if count < 40 or smaller < 15:
    sys.exit("that is too few")
PYTHON
ok "as the manifest says"
