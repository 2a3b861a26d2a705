# SPDX-License-Identifier: Apache-2.0
"""Another process, seen and held through the kernel."""
import ctypes
import os
import pathlib

import pytest


def is_pending(pid, number):
    """Two of the same signal are one until the first is taken."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("ShdPnd:"):
            return int(line.split()[1], 16) >> number - 1 & 1
    return False


class Stopped:
    """One thread of another process, stopped by ptrace."""
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, tid):
        self.tid, self.libc = tid, ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long] * 4
        self.libc.ptrace.restype = ctypes.c_long

    def call(self, request):
        if self.libc.ptrace(request, self.tid, 0, 0) != 0:
            pytest.skip("this machine allows no ptrace")

    def __enter__(self):
        self.call(self.SEIZE)
        self.call(self.INTERRUPT)
        os.waitpid(self.tid, 0x40000000)  # __WALL

    def __exit__(self, *_):
        self.call(self.DETACH)
