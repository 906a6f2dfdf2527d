#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Random chains of updates of all kinds (COWs, dm-update files, deltas with references and without), and what
# convert makes of each part of them: right, or refused as something below is needed. The seed of a round that fails is
# printed; UPDATES_ROUNDS and UPDATES_SEED say how many, and from where.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"

python3 - "$ovbd" "${UPDATES_SEED:-1}" "${UPDATES_ROUNDS:-5}" <<'PYTHON' || fail "see above"
import random
import subprocess
import sys

ovbd, first, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
BLOCK, NBLOCKS = 4096, 128


def run(*args):
    done = subprocess.run([ovbd, *args], capture_output=True)
    return done.returncode, done.stderr.decode()


def changed(r, old):
    new = bytearray(old)
    for _ in range(r.randrange(1, 12)):
        kind, n = r.randrange(5), r.randrange(1, 20)
        to, at = r.randrange(NBLOCKS - n) * BLOCK, r.randrange(NBLOCKS - n) * BLOCK
        for i in range(n if kind == 4 else 0):
            new[to + i * BLOCK + r.randrange(BLOCK)] ^= 1
        if kind < 4:
            new[to:to + n * BLOCK] = (old[at:at + n * BLOCK], bytes(n * BLOCK), r.randbytes(n * BLOCK),
                                      old[at + 100:at + 100 + n * BLOCK])[kind]
    return bytes(new)


MAKE = {
    "cow": lambda old, new, out: ("cow", "create", "-q", "--force", "--from", old, new, out),
    "cow2": lambda old, new, out: ("cow", "create", "-q", "--force", "--no-xor", "-O", "v2", "--from", old,
                                   new, out),
    "dm-update": lambda old, new, out: ("convert", "-q", "--force", "-O", "dm-update", "-B", old, new, out),
    "references": lambda old, new, out: ("convert", "-q", "--force", "--references", "-B", old, new, out),
    "delta": lambda old, new, out: ("convert", "-q", "--force", "-B", old, new, out),
}
for seed in range(first, first + rounds):
    r = random.Random(seed)
    images = [b"".join(r.choice((bytes(BLOCK), r.randbytes(BLOCK), bytes([r.randrange(256)]) * BLOCK))
                       for _ in range(NBLOCKS))]
    kinds = [r.choice(list(MAKE)) for _ in range(3)]

    def must(*args):
        status, said = run(*args)
        if status != 0:
            sys.exit(f"seed {seed}, {kinds}: {' '.join(args)}: {status} {said}")

    for i in range(3):
        images.append(changed(r, images[-1]))
    for i, image in enumerate(images):
        with open(f"v{i}", "wb") as f:
            f.write(image)
    for i, kind in enumerate(kinds):
        must(*MAKE[kind](f"v{i}", f"v{i + 1}", f"u{i}"))
    must("compare", "-q", "v0", "u0", "u1", "u2", "v3")
    for a, b in ((0, 3), (1, 3), (0, 2)):
        part = [f"u{i}" for i in range(a, b)]
        status, said = run("convert", "-q", "--force", *part, "squashed")
        if status == 0:
            must("compare", "-q", "v0", *[f"u{i}" for i in range(a)], "squashed",
                 *[f"u{i}" for i in range(b, 3)], "v3")
        elif "needed: name it" not in said:
            sys.exit(f"seed {seed}, {kinds}, {part}: {said}")
        # with what lies below; a layer is a device of its own there
        over = part if kinds[a] not in ("references", "delta") else [f"v{a}", *part]
        for how in ([], ["--no-references"], ["-O", "dm-update"], ["-O", "android-cow"]):
            must("convert", "-q", "--force", *how, "-B", f"v{a}", *over, "made")
            must("compare", "-q", f"v{a}", "made", f"v{b}")
print(f"{rounds} rounds")
PYTHON
ok "right or refused"
