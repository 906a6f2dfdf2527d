#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An image of files, as an OCI layout has it.

    oci-image.py DIR TAG [--index] [--attest] [--nest] [--diff-id DIGEST] [--config-type TYPE]
                 [--platform OS/ARCH[/VARIANT]] TAR... [--platform ... TAR...]

Adds the image TAG to the layout DIR. A TAR may end in .gz or .zst. Documents are indented, and have
fields that nobody knows. --index, or several --platform: an index; --nest: an index around that.
--attest: an attestation for each image, as BuildKit's. --diff-id: instead of that of the first layer."""
import argparse
import hashlib
import json
import os
import subprocess

OCI = "application/vnd.oci.image."


def put(data):
    digest = hashlib.sha256(data).hexdigest()
    os.makedirs(f"{args.dir}/blobs/sha256", exist_ok=True)
    with open(f"{args.dir}/blobs/sha256/{digest}", "wb") as f:
        f.write(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def put_json(value, media):
    return {"mediaType": media, **put(json.dumps(value, indent=2).encode())}


def layer(path):
    """Its descriptor and its diff_id."""
    data = open(path, "rb").read()
    kind, tool = {".gz": ("+gzip", "gzip"), ".zst": ("+zstd", "zstd")}.get(os.path.splitext(path)[1], ("", None))
    plain = subprocess.run([tool, "-dc", path], check=True, capture_output=True).stdout if tool else data
    d = {"mediaType": OCI + "layer.v1.tar" + kind, **put(data),
         "annotations": {"org.example.layer": path, "containerd.io/snapshot/stargz/toc.digest": "sha256:old"},
         "x-unknown": [1, 2.5, None]}
    return d, "sha256:" + hashlib.sha256(plain).hexdigest()


def manifest(platform, tars):
    system, arch, *variant = (platform or "linux/amd64").split("/")
    layers = [layer(tar) for tar in tars]
    ids = [d for _, d in layers]
    if args.diff_id:
        ids[0] = args.diff_id
    config = put_json({
        "created": "2020-01-01T00:00:00Z", "x-unknown": {"z": 1, "a": "\u00e9<&>"},
        "architecture": arch, "os": system, **({"variant": variant[0]} if variant else {}),
        "config": {"Env": ["A=b"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": ids},
        "history": [{"created_by": f"layer {i}"} for i in range(len(layers))] + [{"empty_layer": True}],
    }, args.config_type or OCI + "config.v1+json")
    d = put_json({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config,
                  "layers": [d for d, _ in layers], "annotations": {"org.example.image": arch},
                  "x-unknown": True}, OCI + "manifest.v1+json")
    d["platform"] = {"architecture": arch, "os": system, **({"variant": variant[0]} if variant else {})}
    return d


def attestation(about):
    statement = put(json.dumps({"about": about["digest"]}).encode())
    config = put_json({"architecture": "unknown", "os": "unknown",
                       "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]}}, OCI + "config.v1+json")
    d = put_json({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config,
                  "layers": [{"mediaType": "application/vnd.in-toto+json", **statement}]}, OCI + "manifest.v1+json")
    return {**d, "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {"vnd.docker.reference.digest": about["digest"],
                            "vnd.docker.reference.type": "attestation-manifest"}}


parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("tag")
parser.add_argument("--index", action="store_true")
parser.add_argument("--attest", action="store_true")
parser.add_argument("--nest", action="store_true")
parser.add_argument("--diff-id")
parser.add_argument("--config-type")
args, rest = parser.parse_known_args()
images, platform, tars = [], None, []
for word in rest + [None]:
    if word in ("--platform", None):
        if tars or word is None and not images:
            images.append(manifest(platform, tars))
        tars, platform = [], ""
    elif platform == "":
        platform = word
    else:
        tars.append(word)
top = images[0]
if len(images) > 1 or args.index:
    if args.attest:
        images += [attestation(i) for i in images]
    top = put_json({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": images,
                    "annotations": {"org.example.index": "yes"}}, OCI + "index.v1+json")
if args.nest:
    top = put_json({"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [top]},
                   OCI + "index.v1+json")
top["annotations"] = {"org.opencontainers.image.ref.name": args.tag}
index = {"schemaVersion": 2, "manifests": []}
if os.path.exists(f"{args.dir}/index.json"):
    index = json.load(open(f"{args.dir}/index.json"))
index["manifests"].append(top)
json.dump(index, open(f"{args.dir}/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{args.dir}/oci-layout", "w"))
print(top["digest"])
