#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""on_terminal.py COLUMNS ROWS COMMAND...: runs COMMAND on a terminal, and prints as JSON what a user has seen of
it: "screen", the lines at the end; "most", the most lines that were ever on it; "seen", all lines that were; and
"status". The terminal knows what a line of text needs: \\r, \\n, CSI A, CSI K, CSI J."""
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios

columns, rows = int(sys.argv[1]), int(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.read(0, 1)  # the size is set
    os.execvp(sys.argv[3], sys.argv[3:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
tty = termios.tcgetattr(fd)
tty[3] &= ~termios.ECHO
termios.tcsetattr(fd, termios.TCSANOW, tty)
os.write(fd, b"\n")

screen, x, y, most, seen = [""], 0, 0, 0, set()


def down():
    global y
    y += 1
    if y == len(screen):
        screen.append("")


def put(text):
    global x
    for c in text:
        if x == columns:
            x = 0
            down()
        screen[y] = screen[y][:x].ljust(x) + c + screen[y][x + 1:]
        x += 1


def take(data):
    global x, y, most
    for text, csi, n, kind, other in re.findall(r"([^\r\n\x1b]+)|(\x1b\[)(\d*)([A-Z])|([\r\n])", data):
        if text:
            put(text)
        elif other == "\r":
            x = 0
        elif other == "\n":
            down()
        elif kind == "A":
            y -= int(n or 1)
            assert y >= 0, "above the screen"
        elif kind == "K":
            screen[y] = screen[y][:x]
        elif kind == "J":
            screen[y] = screen[y][:x]
            del screen[y + 1:]
        else:
            raise AssertionError(f"unknown: {csi}{n}{kind}")
        seen.update(filter(None, screen))
        most = max(most, len([line for line in screen if line]))


rest = ""
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    rest += data.decode("utf-8", "replace")
    last = rest.rfind("\x1b")
    # a sequence may be cut in the middle
    cut = last if last >= 0 and not re.match(r"\x1b\[\d*[A-Z]", rest[last:]) else len(rest)
    take(rest[:cut])
    rest = rest[cut:]
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
json.dump({"screen": [line for line in screen if line], "most": most, "seen": sorted(seen), "status": status},
          sys.stdout)
