#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An image of layers that are there already, as skopeo takes it: in an OCI layout.

    oci-layout.py DIR TAG [--docker] [--plain] [--type TYPE] [--trace FILE]
                  [--platform OS/ARCH[/VARIANT]] LAYER... [--platform ... LAYER...]

Adds the image TAG to the layout DIR. Without --plain the layers have the annotations of overlaybd's
convertor. --type: their media type (default: OCI's of a tar). --docker: docker's types, and as the
folder DIR-TAG, of skopeo's "dir:", since a layout has no such images. --trace: an acceleration layer
on top. --platform, several times: an index with one image each."""
import argparse
import hashlib
import json
import os
import sys

NOTE = "containerd.io/snapshot/overlaybd/"
OCI = "application/vnd.oci.image."


def put(folder, data):
    digest = hashlib.sha256(data).hexdigest()
    if args.docker:
        os.makedirs(f"{folder}-{args.tag}", exist_ok=True)
        with open(f"{folder}-{args.tag}/{digest}", "wb") as f:
            f.write(data)
        return f"sha256:{digest}", len(data)
    os.makedirs(f"{folder}/blobs/sha256", exist_ok=True)
    with open(f"{folder}/blobs/sha256/{digest}", "wb") as f:
        f.write(data)
    return f"sha256:{digest}", len(data)


def put_json(folder, value, media):
    digest, size = put(folder, json.dumps(value).encode())
    return {"mediaType": media, "digest": digest, "size": size}


def descriptor(args, path, notes):
    digest, size = put(args.dir, open(path, "rb").read())
    d = {"mediaType": args.type, "digest": digest, "size": size}
    if not args.plain:
        d["annotations"] = {NOTE + "version": "0.1.0", NOTE + "blob-digest": digest,
                            NOTE + "blob-size": str(size), **notes}
    return d


def manifest(args, platform, layers):
    system, arch, *variant = (platform or "linux/amd64").split("/")
    all_layers = [descriptor(args, path, {}) for path in layers]
    if args.trace:
        all_layers.append(descriptor(args, args.trace, {NOTE + "acceleration-layer": "yes"}))
    config = put_json(args.dir, {
        "os": system, "architecture": arch, "config": {},
        "rootfs": {"type": "layers", "diff_ids": [d["digest"] for d in all_layers]},
        "history": [{"created_by": "tests"} for d in all_layers],
    }, "application/vnd.docker.container.image.v1+json" if args.docker else OCI + "config.v1+json")
    media = ("application/vnd.docker.distribution.manifest.v2+json" if args.docker
             else OCI + "manifest.v1+json")
    d = put_json(args.dir, {"schemaVersion": 2, "mediaType": media, "config": config,
                            "layers": all_layers}, media)
    if platform:
        d["platform"] = {"os": system, "architecture": arch}
        if variant:
            d["platform"]["variant"] = variant[0]
    return d


parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("tag")
parser.add_argument("--docker", action="store_true")
parser.add_argument("--plain", action="store_true")
parser.add_argument("--type")
parser.add_argument("--trace")
args, rest = parser.parse_known_args()
if not args.type:
    args.type = ("application/vnd.docker.image.rootfs.diff.tar" if args.docker
                 else OCI + "layer.v1.tar")
if not args.docker:
    os.makedirs(args.dir, exist_ok=True)
images, platform, layers = [], None, []
for word in rest + [None]:
    if word in ("--platform", None):
        if layers:
            images.append(manifest(args, platform, layers))
        layers, platform = [], ""
    elif platform == "":
        platform = word
    else:
        layers.append(word)
if not images:
    sys.exit("no layers")
top = images[0]
if len(images) > 1:
    top = put_json(args.dir, {"schemaVersion": 2, "mediaType": OCI + "index.v1+json",
                              "manifests": images}, OCI + "index.v1+json")
if args.docker:
    folder = f"{args.dir}-{args.tag}"
    os.rename(f"{folder}/{top['digest'][7:]}", f"{folder}/manifest.json")
    with open(f"{folder}/version", "w") as f:
        print("Directory Transport Version: 1.1", file=f)
    print(top["digest"])
    sys.exit()
top["annotations"] = {"org.opencontainers.image.ref.name": args.tag}
index = {"schemaVersion": 2, "manifests": []}
if os.path.exists(f"{args.dir}/index.json"):
    index = json.load(open(f"{args.dir}/index.json"))
index["manifests"].append(top)
json.dump(index, open(f"{args.dir}/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{args.dir}/oci-layout", "w"))
print(top["digest"])
