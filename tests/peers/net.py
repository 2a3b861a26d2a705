# SPDX-License-Identifier: Apache-2.0
"""Addresses and sockets."""
import fcntl
import os
import random
import socket
import struct
import tempfile
import time

# Turns a hang into a failure. Sanitizers and a busy machine stay far below it.
HANG_SECONDS = 30

# All of 127/8 is loopback: servers of different processes that run at once keep apart.
HOST = "127.{}.{}.{}".format(64 + (os.getpid() >> 16 & 63), os.getpid() >> 8 & 255,
                             1 + os.getpid() % 254)


def _ports():
    """Every port once, in random order, that no connect() is given: below the range from which
    the kernel takes the ports of clients. One of those, even in TIME_WAIT and on any address,
    would keep a server from "*" and from 127.0.0.1."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        end = int(file.read().split()[0])
    return iter(random.sample(range(10000, end), end - 10000))


PORTS = _ports()
# Each claimed port is a locked byte of this file; the kernel unlocks them when the process ends.
CLAIMS = os.open(os.path.join(tempfile.gettempdir(), f"weir-test-ports-{os.getuid()}"),
                 os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def free_port():
    """A port on which nobody listens, on no address. It stays this process's until its end."""
    for port in PORTS:
        try:
            fcntl.lockf(CLAIMS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            for family, any_address in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
                with socket.socket(family) as probe:
                    probe.bind((any_address, port))
        except OSError:
            continue
        return port
    raise AssertionError("no free port is left")


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


def in_kernel(*addresses):
    """Bytes in the kernel's queues, both ways, of all IPv4 connections to and from these addresses.
    What their receiver has not yet acknowledged counts twice."""
    ports = {split_address(address)[1][1] for address in addresses}
    queued = 0
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in list(file)[1:]:
            local, remote, state, queues = line.split()[1:5]
            is_ours = ports & {int(name.split(":")[1], 16) for name in (local, remote)}
            if is_ours and state != "0A":  # LISTEN, whose queue is of connections
                queued += sum(int(number, 16) for number in queues.split(":"))
    return queued


def until(condition, what):
    """Waits for something that must come; `what` is what the failure says."""
    end = time.monotonic() + HANG_SECONDS
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError(f"waited in vain for: {what}")
