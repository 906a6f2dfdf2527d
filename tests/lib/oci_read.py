#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oci_read.py DIR TAG [PLATFORM]: the manifest of an image in a layout, through all indexes, with what
of it can be checked without knowing layers: every digest, every size, that diff_ids and layers agree,
overlaybd's annotations, and that documents are compact. Prints {"manifest": ..., "config": ...,
"index": ... or null, "entry": ...} as JSON."""
import hashlib
import json
import os
import sys

root, tag, *platform = sys.argv[1:]
NOTE = "containerd.io/snapshot/overlaybd/"


def blob(d):
    data = open(os.path.join(root, "blobs", *d["digest"].split(":")), "rb").read()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == d["digest"], d
    assert len(data) == d["size"], d
    return data


def document(d):
    data = blob(d)
    value = json.loads(data)
    assert data == json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(), data
    assert "mediaType" not in value or value["mediaType"] == d["mediaType"], d
    return value


def wanted(d):
    p = d.get("platform", {})
    return not platform or "/".join(filter(None, (p.get("os"), p.get("architecture"), p.get("variant")))) == platform[0]


names = json.load(open(f"{root}/index.json"))["manifests"]
entry = [d for d in names if d.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag]
assert len(entry) == 1, entry
d, index = entry[0], None
while "manifests" in (value := document(d)):
    index = value
    d = [m for m in value["manifests"] if "image.index" in m["mediaType"] or wanted(m)][0]
config = document(value["config"])
assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in value["layers"]]
for layer in value["layers"]:
    blob(layer)
    notes = layer["annotations"]
    assert notes[NOTE + "version"] == "0.1.0" and notes[NOTE + "blob-fs-type"] == "ext4", notes
    assert notes[NOTE + "blob-digest"] == layer["digest"] and notes[NOTE + "blob-size"] == str(layer["size"]), notes
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar", layer
json.dump({"manifest": value, "config": config, "index": index, "entry": entry[0]}, sys.stdout)
