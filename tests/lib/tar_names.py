#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tar_names.py make TAR LIST DIR ADD... : a tar of empty files in DIR, and LIST, the names that are there then.
tar_names.py look DIR LIST: the kernel finds each name of LIST in DIR, in an order of no meaning, and no others.

An ADD is FROM:TO:LENGTH (names of LENGTH letters with the numbers from FROM to TO - 1), -FROM:TO:LENGTH (their
whiteouts) or same:FROM:TO (names of 208 letters, of the same hash for the oldest of ext4's functions)."""
import io
import os
import random
import sys
import tarfile
import time

# found by going through 3e7 of them: behind 200 times "n" these have one hash
SAME = """
wxQfaaoA imxgaa7V txziaalj AbHjaaAw ZMFlaaY9 8nynaam2 7JCpaaHd axlqaazG ItpqaagP PnHqaaXY zNasaaUZ rO8saag9
jqwuaa0t sKTuaaPv WXrwaaqr CXIwaaKb KRAxaaTL 8ANxaag9 7BwyaaW1 tzn2aaPt Mx14aaHG vrv9aaWw 0cuBaa4P IjKCaaew
WSUCaaRF SaWCaa08 yMZDaaPO HrwFaa6O CZ8Paaxl 0OjQaaMW UcURaa44 VDuSaaO6 vLuSaav5 KK4Uaala R5NVaaKP 9T8YaadW
312abac1 wl2fbaGy B7dibaNo IKKjbaa0 12azbaws oF71baMj XM32bawq Mca4baME 3Ek7baZW 8Ji8baB4 pYC8baap mTD8bagC
""".split()


def name_of(number, length):
    return f"{number:06}-" + ("\u00e9" if number % 3 == 0 and length > 20 else "ee") * ((length - 7) // 2)


def names_of(what):
    if what.startswith("same:"):
        first, last = map(int, what.split(":")[1:])
        return ["n" * 200 + end for end in SAME[first:last]]
    first, last, length = map(int, what.lstrip("-").split(":"))
    return [name_of(n, length) for n in range(first, last)]


def make(path, names, folder, adds):
    there = set(open(names).read().split()) if os.path.exists(names) else set()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for add in adds:
            for name in names_of(add):
                i = tarfile.TarInfo(f"{folder}/{'.wh.' if add[0] == '-' else ''}{name}")
                i.mtime = 1600000000
                tar.addfile(i, io.BytesIO())
                (there.discard if add[0] == "-" else there.add)(name)
    with open(names, "w") as f:
        f.write("".join(name + "\n" for name in sorted(there)))


def look(folder, names):
    want = open(names).read().split()
    random.Random(len(want)).shuffle(want)
    start = time.monotonic()
    inodes = {os.lstat(f"{folder}/{name}").st_ino for name in want}
    took = time.monotonic() - start
    assert len(inodes) == len(want)
    assert sorted(os.listdir(folder)) == sorted(want)
    for name in want[:1000]:
        assert not os.path.lexists(f"{folder}/{name[:-1]}?"), name
    print(f"{len(want)} names, {1e6 * took / len(want):.1f} us each")


if sys.argv[1] == "make":
    make(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
else:
    look(*sys.argv[2:])
