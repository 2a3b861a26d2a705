# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal: a pseudo terminal, and an emulator that shows what it draws."""
import fcntl
import os
import pty
import select
import signal
import struct
import termios

import pyte

from .net import until
from .weir import BINARY


class Terminal:
    def __init__(self, *args, columns=80, rows=24, env=None, program=BINARY):
        self.program = program
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""  # all that was written to it
        self.code = None
        master, slave = pty.openpty()
        self.master = master
        self.set_size(columns, rows)
        self.before = termios.tcgetattr(slave)
        self.pid = os.fork()
        if self.pid == 0:
            self.become(slave, args, env)
        self.slave = slave  # stays open, so that what is written last can be read

    def become(self, slave, args, env):
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # it may have been ignored here
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(slave, number)
            os.closerange(3, 256)
            names = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}
            kept = {key: value for key, value in os.environ.items()
                    if key not in ("NO_COLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE")}
            os.execve(self.program, [self.program, *args], {**kept, **names})
        finally:
            os._exit(127)

    def set_size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        self.set_size(columns, rows)  # which tells the foreground process

    def read(self, wait_s=0.05):
        """Takes what has been written; False when nothing was."""
        waiter = select.poll()  # select() knows no descriptor above 1,023
        waiter.register(self.master, select.POLLIN)
        ready = waiter.poll(wait_s * 1000)
        if not ready:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.bytes += data
        self.stream.feed(data)
        return True

    def type(self, keys):
        os.write(self.master, keys.encode())

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def flat(self):
        """As one line, for what is wrapped."""
        return " ".join(self.text.split())

    def wait(self, what):
        """Until the screen shows a text, wrapped or not, or a condition over the lines holds."""
        def is_there():
            while self.read():
                pass
            return what in self.text or what in self.flat if isinstance(what, str) else what(self.lines)
        try:
            until(is_there, f"{what!r} on the screen")
        except AssertionError:
            raise AssertionError(f"not on the screen: {what!r}\n{self.text}") from None
        return self.lines

    def cell(self, row, column):
        return self.screen.buffer[row][column]

    def signal(self, number):
        os.kill(self.pid, number)

    def is_over(self):
        if self.code is None:
            while self.read(0):
                pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def ended(self):
        """Waits for the end; the exit code, negative for a signal."""
        until(self.is_over, f"the end of the program\n{self.text}")
        while self.read():
            pass
        return self.code

    def is_as_before(self):
        """What a shell would find: the terminal's modes, and neither another screen nor a hidden cursor."""
        modes = [number for number in (1049, 25)
                 if self.bytes.rfind(b"\033[?%dh" % number) > self.bytes.rfind(b"\033[?%dl" % number)]
        return termios.tcgetattr(self.slave) == self.before and modes == [25]

    def close(self):
        if not self.is_over():
            os.kill(self.pid, signal.SIGCONT)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.slave)
        os.close(self.master)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
