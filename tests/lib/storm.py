#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Eight clients ask ovbdd for anything, at random, while it is killed and started again; then all
must be in order: every listed device reads as its image, and when all are detached nothing is left.

  storm.py OVBD OVBDD DIR SECONDS SEED      DIR has the images image0 .. image3 and an empty state/
"""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

ovbd, ovbdd, top, seconds, seed = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
NCLIENTS, NIDS, NIMAGES, PATIENCE = 8, 6, 4, 60
state = os.path.join(top, "state")
os.environ["OVBD_SOCKET"] = os.path.join(state, "ovbdd.sock")
images = [os.path.join(top, f"image{i}") for i in range(NIMAGES)]
content = {path: open(path, "rb").read() for path in images}
log = open(os.path.join(top, "daemon.log"), "ab")
over = threading.Event()
faults = []
count = {}
lock = threading.Lock()


def fault(text):
    faults.append(text)
    over.set()


def start():
    with open(log.name, "rb") as f:
        f.seek(0, 2)
        at = f.tell()
    process = subprocess.Popen([ovbdd, "--state-dir", state], stderr=log)
    for _ in range(PATIENCE * 20):
        with open(log.name, "rb") as f:
            f.seek(at)
            if b"ready: listening" in f.read():
                return process
        if process.poll() is not None:
            raise SystemExit(f"ovbdd does not start: {process.returncode}")
        time.sleep(0.05)
    raise SystemExit("ovbdd is not ready")


def run(*words):
    """(status, standard output, standard error)"""
    try:
        done = subprocess.run([ovbd, *words], capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        fault(f"{words} hangs")
        return 1, "", ""
    with lock:
        key = (words[0], done.returncode)
        count[key] = count.get(key, 0) + 1
    if done.returncode not in (0, 1, 69):
        fault(f"{words} ended with {done.returncode}: {done.stderr}")
    if done.returncode != 0 and not done.stderr:
        fault(f"{words} failed without a word")
    return done.returncode, done.stdout, done.stderr


def read(path, image, all_of_it):
    """What can be read must be right; the daemon may be dead, or the device gone."""
    want = content[image]
    off = 0 if all_of_it else random.randrange(len(want))
    try:
        with open(path, "rb", buffering=0) as f:
            f.seek(off)
            got = f.read(len(want) if all_of_it else 65536)
    except OSError:
        return False
    # in the storm another client may have attached another image there meanwhile
    right = [want] if all_of_it else content.values()
    if not any(got == c[off:off + len(got)] for c in right) and os.path.ismount(path):
        fault(f"{path}: wrong bytes at {off}")
    return len(got) == len(want)


def attach(rng, name):
    image = images[rng.randrange(NIMAGES)] if rng.random() < 0.3 else images[hash(name) % NIMAGES]
    words = ["attach", "-f", "raw", "--id", name, image]
    if rng.random() < 0.2:
        words[1:1] = ["-t", "nbd-socket"]
    status, out, _ = run(*words)
    path = out.strip()
    if status == 0 and not path.startswith("nbd"):
        read(path, image, False)


def client(number):
    rng = random.Random(seed * 100 + number)
    how = [[], ["--lazy"], ["--force"]]
    while not over.is_set():
        name = f"d{rng.randrange(NIDS)}"
        what = rng.random()
        if what < 0.45:
            attach(rng, name)
        elif what < 0.8:
            run("detach", *how[rng.randrange(3)], name)
        elif what < 0.88:
            run("list")
        elif what < 0.94:
            run("status", name)
        elif what < 0.97:
            run("reload")
        elif what < 0.98:
            run("drain", *how[rng.randrange(3)])
        else:  # an attach whose client is killed
            p = subprocess.Popen([ovbd, "attach", "-q", "--id", name, images[0]],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() / 50)
            p.kill()
            p.wait()


def devices():
    status, out, err = run("list", "--output=json")
    if status != 0:
        raise SystemExit(f"list: {err}")
    return json.loads(out)["devices"]


def settled():
    for _ in range(PATIENCE * 10):
        found = devices()
        if all(d["state"] in ("serving", "failed") for d in found):
            return found
        time.sleep(0.1)
    raise SystemExit(f"devices that do not settle: {found}")


def process_size(pid):
    """Threads and descriptors."""
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


def mounts():
    return [line for line in open("/proc/self/mountinfo") if line.split()[4].startswith(state)]


def check_end(daemon, fresh):
    for d in settled():
        if d["state"] != "serving":
            fault(f"not served: {d}")
        elif d["transport"] == "fuse" and not read(d["path"], d["images"][0], True):
            fault(f"cannot be read: {d}")
    run("drain", "--force")
    for _ in range(200):
        now = process_size(daemon.pid)
        if not devices() and now[0] <= fresh[0] + 1 and now[1] <= fresh[1] + 2:
            break
        time.sleep(0.05)
    else:
        fault(f"threads, descriptors {now}, fresh {fresh}; devices {devices()}")
    left = os.listdir(os.path.join(state, "devices"))
    files = sorted(set(os.listdir(state)) - {"devices", "ovbdd.sock"})
    if left or files or mounts():
        fault(f"left: state files {left}, files {files}, mounts {mounts()}")


print(f"seed {seed}, {seconds:.0f} s")
daemon = start()
fresh = process_size(daemon.pid)
clients = [threading.Thread(target=client, args=(n,)) for n in range(NCLIENTS)]
for c in clients:
    c.start()
rng = random.Random(seed)
end = time.monotonic() + seconds
kills = 0
while time.monotonic() < end and not over.is_set():
    over.wait(rng.uniform(0.05, 1.5))
    daemon.send_signal(signal.SIGKILL if rng.random() < 0.7 else signal.SIGTERM)
    daemon.wait()
    kills += 1
    daemon = start()
over.set()
for c in clients:
    c.join()
if not faults:
    check_end(daemon, fresh)
daemon.terminate()
if daemon.wait() != 0:
    fault(f"ovbdd ended with {daemon.returncode}")
print(f"{kills} ends of the daemon, {sum(count.values())} requests:",
      ", ".join(f"{verb} {n} (status {s})" for (verb, s), n in sorted(count.items())))
for text in faults:
    print("FAULT:", text)
sys.exit(1 if faults else 0)
