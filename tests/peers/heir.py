# SPDX-License-Identifier: Apache-2.0
"""A program that takes over as another weir would (src/control/handover.h, tunnels.h), gets tunnels,
and then does with them what a test wants. The keeper that becomes it becomes a weir again at once."""
import pathlib
import shutil

from .net import until
from .weir import BINARY, replace_program

SCRIPT = r'''#!/usr/bin/python3
import os, pathlib, socket, sys, time
HERE = pathlib.Path(@HERE@)
def note(text):
    with open(HERE / "said", "a") as file:
        file.write(text + "\n")

if "_WEIR_KEEPER" in os.environ:
    note("keeper")
    os.execv(HERE / "real", sys.argv)

def await_file(name):
    while not (HERE / name).exists():
        time.sleep(0.005)

def claim(fd):
    os.set_blocking(fd, False)
    try:
        os.read(fd, 8)
        note("claimed")
        return True
    except BlockingIOError:
        note("too late")
        return False

lines = os.pread(int(os.environ["_WEIR_INHERIT"]), 1 << 20, 0).decode().splitlines()
given = dict(line.split(" ", 1) for line in lines if line.startswith("channel "))
keeper = socket.socket(fileno=int(given["channel"]))
keeper.send(b"R")
tunnels = None
while True:
    data, fds, _, _ = socket.recv_fds(keeper, 5000, 1)
    if not data or data[:1] == b"S":
        os._exit(0)
    if data[:1] == b"B" and fds:
        tunnels = socket.socket(fileno=fds[0])
        break
tunnels.send(b"K@VERSION@")
parcel = {}
while True:
    data, fds, _, _ = socket.recv_fds(tunnels, 5000, 1)
    if not data:
        note("end")
        break
    kind = data[:1].decode()
    if fds:
        parcel[kind] = fds[0]
    if kind == "Z":
        note("through")
    if kind == "E":
        note("whole")
        break
@THEN@
while True:
    data = keeper.recv(5000)
    if not data or data[:1] == b"S":
        os._exit(0)
'''

# What it does with the first tunnel that it gets.
SILENT = "pass"
CLAIMS = '''
claim(parcel["T"])
socket.socket(fileno=os.dup(parcel["C"])).send(b"mine")
'''
CLAIMS_LATE = 'await_file("go"); claim(parcel["T"])'
DIES = 'await_file("go"); os._exit(1)'


class Heir:
    """In place of the program at `path`, which a weir was started from."""

    def __init__(self, path, then, version=2):
        self.path, self.folder = path, pathlib.Path(path).parent
        if not (self.folder / "real").exists():
            shutil.copy(BINARY, self.folder / "real")
        replace_program(path, SCRIPT.replace("@HERE@", repr(str(self.folder)))
                        .replace("@VERSION@", str(version)).replace("@THEN@", then))

    def go(self):
        (self.folder / "go").touch()

    def said(self):
        path = self.folder / "said"
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def wait_said(self, text):
        until(lambda: text in self.said(), f"the heir to say {text!r}, said {self.said()}")

    def leave(self):
        """Whoever comes next is a weir again. The keeper has become it by then, and is one already."""
        self.wait_said("keeper")
        replace_program(self.path)
