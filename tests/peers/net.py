# SPDX-License-Identifier: Apache-2.0
"""Addresses and sockets."""
import os
import socket
import struct
import time

# Turns a hang into a failure. Sanitizers and a busy machine stay far below it.
HANG_SECONDS = 30

# All of 127/8 is loopback. A process that has an address of its own can let the kernel choose a
# port, give it back, and still find it free: nobody else binds there.
HOST = "127.{}.{}.{}".format(64 + (os.getpid() >> 16 & 63), os.getpid() >> 8 & 255,
                             1 + os.getpid() % 254)


def free_port(host=HOST):
    """A port on which nobody listens, chosen by the kernel."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def split_address(text):
    """(family, address for connect) of "host:port", "[v6]:port" or "unix:/path"."""
    if text.startswith("unix:"):
        path = text[5:]
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path
    host, _, port = text.rpartition(":")
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


def connect(address, source=None):
    """A connected stream socket; `source` is a local address to come from."""
    family, target = split_address(address)
    sock = socket.socket(family)
    sock.settimeout(HANG_SECONDS)
    try:
        if source:
            sock.bind((source, 0))
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reset(sock):
    """Closes with a reset instead of an orderly end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def refuses(address):
    """Whether nobody listens there (any more). A listener that closes at this very moment resets what
    its kernel had accepted; that is not yet a refusal."""
    try:
        connect(address).close()
        return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except ConnectionResetError:
        return False


def until(condition, what):
    """Waits for something that must come; `what` is what the failure says."""
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError(f"waited in vain for: {what}")
