#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is told while an image is converted: a few lines that stay in their place on a terminal, a line per layer
# elsewhere, events for programs; standard output has the result only.
. "${OVBD_SOURCE:?}/tests/lib/cli.sh"
lib=$OVBD_SOURCE/tests/lib

mkdir d
seq 1 1500000 >d/noise # some time's work for one thread of zstd
tar -cf 1.tar --owner=0 --group=0 -C d .
seq 1 3000 >d/noise
tar -cf 2.tar --owner=0 --group=0 -C d .
gzip -n 2.tar
python3 "$lib/oci-image.py" in two 1.tar 2.tar.gz >/dev/null
python3 "$lib/oci-image.py" in one 1.tar >/dev/null
slow="-j 1 -c zstd:19"

# --- a terminal
# shellcheck disable=SC2086 # words
python3 "$lib/on_terminal.py" 160 24 "$ovbd" convert $slow oci:in:two oci:out:two >seen || fail "a terminal"
python3 - <<'END' || fail "a terminal: $(cat seen)"
import json, re
s = json.load(open("seen"))
assert s["status"] == 0
assert len(s["screen"]) == 2 and s["screen"][1].startswith("ovbd: convert: oci:out:two: sha256:"), s["screen"]
assert s["most"] <= 3, "it scrolls" # two lines and what is said at the end
numbers = r"[ 0-9]{3} %  .* of .*  .*/s"
assert any(re.match(r"0 of 2 layers, 0 were there: " + numbers, line) for line in s["seen"])
assert any(re.match(r"linux/amd64 layer 1 of 2, sha256:[0-9a-f]{12}: " + numbers + ".* left", line) for line in s["seen"])
END
rm -rf out
# shellcheck disable=SC2086
python3 "$lib/on_terminal.py" 30 24 "$ovbd" convert $slow oci:in:one oci:out:one >seen || fail "a narrow terminal"
python3 - <<'END' || fail "a narrow terminal: $(cat seen)"
import json
s = json.load(open("seen"))
assert "".join(s["screen"]).startswith("ovbd: convert: linux/amd64: 1 layer"), s["screen"]
assert s["screen"][-1].endswith(" s"), s["screen"]
assert any(line.startswith("0 of 1 layers, 0 were there:") for line in s["seen"])
END
ok "a terminal"

# --- no terminal: silent, or a line per layer
rm -rf out
"$ovbd" convert oci:in:two oci:out:two 2>said
[ "$(wc -l <said)" = 2 ] || fail "without -p: $(cat said)"
rm -rf out
"$ovbd" convert -p oci:in:two oci:out:two 2>said
grep -q "^ovbd: convert: linux/amd64: layer 1 of 2: sha256:.*: sha256:" said || fail "-p: $(cat said)"
[ "$(wc -l <said)" = 4 ] || fail "-p: $(cat said)"
"$ovbd" convert -p -q oci:in:two oci:out:again 2>said
[ ! -s said ] || fail "-p -q: $(cat said)"
"$ovbd" convert -pq oci:in:two oci:out:again 2>said
[ ! -s said ] || fail "-pq: $(cat said)"
ok "no terminal"

# --- events
rm -rf out
"$ovbd" convert -q oci:in:one oci:out:one
# shellcheck disable=SC2086
"$ovbd" convert --progress=json $slow oci:in:two oci:out:two >stdout 2>said || fail "$(cat said)"
[ ! -s stdout ] || fail "standard output: $(cat stdout)"
"$ovbd" convert --progress=json --output=json oci:in:two oci:out:lz4 >stdout 2>lz4
"$ovbd" convert --progress=json --dry-run oci:in:two oci:none:t >stdout.dry 2>dry
[ ! -s stdout.dry ] || fail "standard output: $(cat stdout.dry)"
python3 - <<'END' || fail "events: $(cat said lz4 dry)"
import json
def events(name):
    return [json.loads(line) for line in open(name)]
def kinds(name):
    return [e["event"] for e in events(name) if e["event"] != "progress"]
assert kinds("said") == ["plan", "layer-begin", "layer", "layer-begin", "layer", "image", "result"], kinds("said")
plan, *rest = events("said")
assert plan["schema"] == "ovbd.convert-events.v1" and plan["source"] == "oci:in:two" and plan["target"] == "oci:out:two"
assert (plan["images"], plan["layers"], plan["layers-there"]) == (1, 2, 0) and plan["total"] > 10000000
steps = [e for e in rest if e["event"] == "progress"]
assert steps, "nothing in between"
for a, b in zip(steps, steps[1:]):
    assert a["done"] <= b["done"] <= b["total"] == plan["total"]
for e in steps:
    assert e["layer-done"] <= e["layer-total"] and e["rate"] > 0 and e["seconds-left"] >= 0, e
    assert e["platform"] == "linux/amd64" and e["of"] == 2
layers = [e for e in rest if e["event"] == "layer"]
assert len(steps) <= sum(e["seconds"] for e in layers) + 1, "more than one a second"
for n, e in enumerate(layers):
    assert e["layer"] == n + 1 and e["digest"].startswith("sha256:") and e["size"] > 0 and not e["there"], e
result = rest[-1]
assert result["digest"] and result["layers"] == 2 and result["layers-there"] == 0 and result["seconds"] > 0
# the first layer is there
assert kinds("lz4") == ["plan", "layer", "layer-begin", "layer", "image", "result"], kinds("lz4")
there = [e for e in events("lz4") if e["event"] == "layer"]
assert [e["there"] for e in there] == [True, False] and "seconds" not in there[0]
out = json.load(open("stdout"))
assert out["digest"] == events("lz4")[-1]["digest"]
assert [l["digest"] for l in out["images"][0]["layers"]] == [e["digest"] for e in there]
assert kinds("dry") == ["plan", "layer", "layer", "image", "result"] and events("dry")[-1]["dry-run"]
END
s=0
"$ovbd" convert --progress=json oci:in:none oci:out:two 2>said || s=$?
[ $s = 69 ] || fail "status $s"
python3 -c '
import json
e, = [json.loads(line) for line in open("said")]
assert e["event"] == "error" and "there is no such image" in e["message"], e' || fail "$(cat said)"
"$ovbd" convert -q --progress=json oci:in:two oci:out:two 2>said
[ ! -s said ] || fail "-q: $(cat said)"
expect 2 "--progress=x: what it may be is json" "$ovbd" convert --progress=x oci:in:two oci:out:two
expect 2 "--progress=json is for an image" "$ovbd" convert --progress=json 1.tar out.ovbd
ok "events"

# --- a registry that takes its time: what is waited for is told
mkfifo hold
exec 7<>hold
python3 "$lib/referrers-registry.py" asked <hold >port 7>&- &
pids="$pids $!"
wait_for test -s port
to=docker://127.0.0.1:$(cat port)/slow
"$ovbd" convert --plain-http --progress=json oci:in:two "$to/a:t" 2>said || fail "$(cat said)"
python3 - <<'END' || fail "pushing: $(cat said)"
import json
events = [json.loads(line) for line in open("said")]
pushing = [e for e in events if e["event"] == "pushing"]
assert pushing and all(e["layers"] in (1, 2) and e["left"] > 10000 for e in pushing), pushing
assert [e["event"] for e in events][-2:] == ["image", "result"]
END
python3 "$lib/on_terminal.py" 200 24 "$ovbd" convert --plain-http oci:in:two "$to/b:t" >seen || fail "a terminal"
python3 - <<'END' || fail "pushing, on a terminal: $(cat seen)"
import json, re
s = json.load(open("seen"))
assert s["status"] == 0 and len(s["screen"]) == 2 and s["most"] <= 3, s
assert any(re.match(r"pushing: [12] layers?, .* to go$", line) for line in s["seen"]), s["seen"]
END
ok "a registry that takes its time"
