# SPDX-License-Identifier: Apache-2.0
"""Sessions of TLS go on with the process that follows: at an upgrade and after a crash."""
import contextlib
import os
import pathlib
import re
import signal
import ssl

import pytest

from peers.backend import Backend
from peers.net import until
from peers.papers import TlsClient, papers
from peers.weir import start

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
SECURE = {"frontend": {"tls": True}}


def words(**more):
    return {"certificates": [papers().files("site")], **SECURE, **more}


class Visitor:
    """A client that comes again with its last ticket."""

    def __init__(self, weir, version):
        self.weir, self.session = weir, None
        self.context = papers().client_context()
        self.context.minimum_version = self.context.maximum_version = version

    def comes(self, session=None):
        """Whether its session was resumed. With TLS 1.3 a ticket comes behind the handshake."""
        with TlsClient(self.weir.address, self.context, session=session or self.session) as client:
            assert client.ask().status == 200
            self.session = client.sock.session
            return client.sock.session_reused


def another(weir, how, count):
    before = weir.serving
    if how == "crash":
        os.kill(before, signal.SIGKILL)
        until(lambda: weir.stderr.count('"msg":"started again') == count, "the next one")
    else:
        weir.signal(signal.SIGUSR2)
        until(lambda: weir.stderr.count("this process serves alone") == count, "the next one")
        until(lambda: weir.serving not in (before, weir.pid), "its process")
        until(lambda: weir.stderr.count('"msg":"stopped"') == count, "the end of the one before")


def held(pid):
    """Where a process has what keys are made of; its descriptors come and go meanwhile."""
    fds, found = pathlib.Path(f"/proc/{pid}/fd"), []
    for fd in os.listdir(fds):
        with contextlib.suppress(FileNotFoundError):
            found += [fds / fd] if "memfd:tickets" in os.readlink(fds / fd) else []
    return found


@pytest.mark.parametrize("how", ["upgrade", "crash"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_is_good_in_the_next_process(how, version):
    """Also one of the process before the last."""
    with Backend() as backend, start(backend, workers=2, **words()) as weir:
        visitor = Visitor(weir, version)
        assert not visitor.comes()
        first = visitor.session
        for count in (1, 2):
            another(weir, how, count)
            assert visitor.comes()
        if version == ssl.TLSVersion.TLSv1_2:  # a client of 1.3 uses a ticket once
            assert visitor.comes(first)


@pytest.mark.parametrize("version", VERSIONS)
def test_both_processes_take_each_others_tickets(version):
    """While one begins beside the other, clients reach either."""
    with Backend() as backend, start(backend, workers=2, **words()) as weir:
        visitor = Visitor(weir, version)
        visitor.comes()
        weir.signal(signal.SIGUSR2)
        while "this process serves alone" not in weir.stderr:
            assert visitor.comes()
        assert visitor.comes()


def test_a_restart_of_everything_begins_anew():
    with Backend() as backend, start(backend, **words()) as weir:
        visitor = Visitor(weir, VERSIONS[1])
        visitor.comes()
    with start(backend, **words()) as weir:
        visitor.weir = weir
        with TlsClient(weir.address, visitor.context, session=visitor.session) as client:
            assert not client.sock.session_reused


def test_tickets_do_not_go_further_than_their_frontend():
    """Another process, the same rules: who a ticket is for is not forgotten on the way."""
    with Backend() as backend, start(backend, **words()) as weir:
        visitor = Visitor(weir, VERSIONS[1])
        visitor.comes()
        tree = pathlib.Path(weir.config_path).read_text()
        pathlib.Path(weir.config_path).write_text(tree.replace('"web"', '"other"'))
        another(weir, "upgrade", 1)
        assert not visitor.comes()
        assert visitor.comes()


def test_what_keys_are_made_of_is_in_memory_alone():
    with Backend() as backend, start(backend, **words()) as weir:
        visitor = Visitor(weir, VERSIONS[1])
        visitor.comes()
        (place,) = until(lambda: held(weir.pid), "the keeper to have it")
        text = place.read_text()
        assert re.fullmatch(r"weir tickets 1\n[0-9a-f]{16}\nsecret\t\d+\t[0-9a-f]{64}\n", text), text
        secret = text.split("\t")[-1].strip()
        another(weir, "upgrade", 1)
        assert visitor.comes()
        assert secret in until(lambda: held(weir.pid), "the next keeper to have it")[0].read_text()
        assert not held(weir.serving)  # it has read it, and closed it
        assert secret not in weir.stderr and secret not in weir.stdout
        for file in weir.state.rglob("*"):
            assert not file.is_file() or secret.encode() not in file.read_bytes()


def test_what_cannot_be_read_costs_sessions_only():
    """The keeper holds it by number; here somebody writes over it."""
    with Backend() as backend, start(backend, **words()) as weir:
        visitor = Visitor(weir, VERSIONS[1])
        visitor.comes()
        (place,) = until(lambda: held(weir.pid), "the keeper to have it")
        with open(place, "r+b") as file:
            file.seek(40)
            file.write(b"z")
        another(weir, "upgrade", 1)
        weir.wait_log('"msg":"keys of session tickets cannot be taken over"')
        assert not visitor.comes()
        assert visitor.comes()
