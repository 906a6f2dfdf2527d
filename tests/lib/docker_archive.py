#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker_archive.py OUT [--name NAME] [--links] [--old] TAR...: an image of layers as `docker save` writes it: with
the layout that docker has had since 25 (blobs/sha256), or --old: ID/layer.tar, with --links symbolic ones to another
layer of the same bytes. With a Python statement in --change, x has what is about to be written: x["manifest"]
(manifest.json), x["files"] (names and bytes, in their order), x["links"] (names and where they lead)."""
import argparse
import gzip
import hashlib
import io
import json
import subprocess
import tarfile

parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("--name", action="append", default=[])
parser.add_argument("--old", action="store_true")
parser.add_argument("--links", action="store_true")
parser.add_argument("--change", default="")
parser.add_argument("tars", nargs="*")
args = parser.parse_intermixed_args()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def plain(data):
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return data


files, links, names, ids, seen = {}, {}, [], [], {}
for i, path in enumerate(args.tars):
    data = open(path, "rb").read()
    ids.append("sha256:" + sha256(plain(data)))
    name = f"{i:064x}/layer.tar" if args.old else "blobs/sha256/" + sha256(data)
    names.append(name)
    if args.links and data in seen.values():
        target = [n for n, d in seen.items() if d == data][0]
        links[name] = "../" + target
        continue
    seen[name] = data
    files[name] = data
config = json.dumps({"created": "2020-01-01T00:00:00Z", "architecture": "amd64", "os": "linux", "config": {},
                     "rootfs": {"type": "layers", "diff_ids": ids}}).encode()
config_name = sha256(config) + ".json" if args.old else "blobs/sha256/" + sha256(config)
files[config_name] = config
x = {"manifest": [{"Config": config_name, "RepoTags": args.name or None, "Layers": names}], "files": files,
     "links": links}
exec(args.change)
with tarfile.open(args.out, "w", format=tarfile.PAX_FORMAT) as tar:
    for name, data in [*x["files"].items(), *([("manifest.json", json.dumps(x["manifest"]).encode())]
                                              if x["manifest"] is not None else [])]:
        for copy in data if isinstance(data, list) else [data]:
            member = tarfile.TarInfo(name)
            member.size = len(copy)
            tar.addfile(member, io.BytesIO(copy))
    for name, target in x["links"].items():
        member = tarfile.TarInfo(name)
        member.type = tarfile.SYMTYPE
        member.linkname = target
        tar.addfile(member)
