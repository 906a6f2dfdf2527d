#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up ctest's JUnit files: says why each skipped test was, names the failed ones, and prints
"N passed, N failed, N skipped". Exit 1 if anything failed or nothing ran."""
import sys
import xml.etree.ElementTree as tree

passed = failed = skipped = 0
for path in sys.argv[1:]:
    run = path.rsplit("/", 1)[-1].removesuffix(".xml")
    for case in tree.parse(path).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        if status == "run":
            passed += 1
        elif status in ("notrun", "disabled"):
            skipped += 1
            said = (case.findtext("system-out") or "").strip().splitlines()
            print(f"skipped: {run}: {name}: {said[-1] if said else 'no reason given'}")
        else:
            failed += 1
            print(f"failed: {run}: {name}")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or not passed else 0)
