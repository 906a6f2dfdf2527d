#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every symbol that a library of the house shows to others begins with ovbd_, or, where it stays
within its folder, with the folder's own short prefix."""
import glob
import os
import subprocess
import sys

PREFIXES = {"zfile": ("zfile_",), "lsmt": ("lsmt_",), "image": ("tar_",), "remote": ("cache_", "download_", "http_", "verity_"),
            "daemon": ("confine_", "devices_", "dmuser_", "fuse_", "genl_", "metrics_", "nbd_", "serve_",
                       "snapuserd_", "ublk_"),
            "ota": ("cow_", "dm_update_", "exceptions_"), "oci": ("oci_",), "base": (), "bow": ("bow_",), "fs": ("ext4_", "fs_", "tar_")}

build = os.environ["OVBD_BUILD"]
bad = 0
for folder, own in PREFIXES.items():
    for archive in glob.glob(f"{build}/{folder}/libovbd_*.a"):
        out = subprocess.run(["nm", "--defined-only", "-g", archive], check=True,
                             capture_output=True, text=True).stdout
        for line in out.splitlines():
            words = line.split()
            if len(words) == 3 and not words[2].startswith(("ovbd_", "__", *own)):
                print(f"{folder}/: {words[2]} has no prefix")
                bad += 1
sys.exit(1 if bad else 0)
