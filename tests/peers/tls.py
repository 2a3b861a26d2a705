# SPDX-License-Identifier: Apache-2.0
"""TLS of Python's own for both ends: certificates that are made for the test, servers that echo and
say which name they were asked for, and hellos as bytes."""
import ctypes
import ctypes.util
import functools
import pathlib
import socket
import ssl
import subprocess
import tempfile

from .backend import Backend
from .net import HANG_SECONDS, connect


@functools.cache
def certificate(*names):
    """(path of a file with key and certificate for these names); one for each test run."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-tls-"))
    path = folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", f"/CN={names[0]}", "-keyout", folder / "key", "-out", folder / "cert",
         "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)],
        check=True, capture_output=True, timeout=HANG_SECONDS)
    path.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return str(path)


def client_context(alpn=(), newest=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if newest:
        context.maximum_version = newest
    return context


class TlsBackend(Backend):
    """Ends TLS, tells its own name and the one it was asked for, and sends back what comes."""

    def __init__(self, name, alpn=(), **rest):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate("weir.test", "*.weir.test"))
        if alpn:
            self.context.set_alpn_protocols(list(alpn))
        self.context.sni_callback = self.note_name
        self.asked = []
        super().__init__(self.serve, name=name, **rest)

    def note_name(self, _sock, name, _context):
        self.asked.append(name)

    def serve(self, connection):
        with self.context.wrap_socket(connection.sock, server_side=True) as sock:
            sock.sendall(f"{self.name} {sock.selected_alpn_protocol()}\n".encode())
            while data := sock.recv(256 * 1024):
                sock.sendall(data)
            sock.unwrap()


def dial(address, name, alpn=(), source=None, newest=None, header=b""):
    """A TLS connection through weir; `header` goes before it in the clear."""
    sock = connect(address, source)
    try:
        if header:
            sock.sendall(header)
        return client_context(alpn, newest).wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def line(sock):
    """Up to the next line end."""
    data = b""
    while not data.endswith(b"\n"):
        piece = sock.recv(1)
        assert piece, data
        data += piece
    return data.decode().strip()


class Talk:
    """The client's side of TLS in memory, so that a test decides how its bytes are cut."""

    def __init__(self, name, alpn=(), newest=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = client_context(alpn, newest).wrap_bio(
            self.incoming, self.outgoing, server_hostname=name)

    def hello(self):
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def go_on(self, sock, step=lambda tls: tls.do_handshake()):
        """Until `step` needs nothing more from the socket; gives what it gives."""
        while True:
            try:
                got = step(self.tls)
                if data := self.outgoing.read():
                    sock.sendall(data)
                return got
            except ssl.SSLWantReadError:
                if data := self.outgoing.read():
                    sock.sendall(data)
                data = sock.recv(65536)
                assert data, "the connection ended"
                self.incoming.write(data)


def recut(hello, size):
    """The same hello in records of at most `size` bytes."""
    message = hello[5:]
    return b"".join(b"\x16\x03\x01" + len(message[at:at + size]).to_bytes(2, "big")
                    + message[at:at + size] for at in range(0, len(message), size))


def alert_of(data):
    """The number of the fatal alert that these bytes are, or None."""
    return data[6] if len(data) == 7 and data[:6] == b"\x15\x03\x03\x00\x02\x02" else None


class KeyChanger:
    """One side of TLS 1.3 that changes its keys when it wants to, which Python's ssl cannot do: a client,
    or a server with these files."""

    def __init__(self, sock, cert=None, key=None):
        self.ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
        for name in ("TLS_client_method", "TLS_server_method", "SSL_CTX_new", "SSL_new"):
            getattr(self.ssl, name).restype = ctypes.c_void_p
        method = self.ssl.TLS_server_method if cert else self.ssl.TLS_client_method
        self.context = ctypes.c_void_p(self.ssl.SSL_CTX_new(ctypes.c_void_p(method())))
        if cert:
            assert self.ssl.SSL_CTX_use_certificate_chain_file(self.context, cert.encode()) == 1
            assert self.ssl.SSL_CTX_use_PrivateKey_file(self.context, key.encode(), 1) == 1
        self.sock = sock
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.mine = ctypes.c_void_p(self.ssl.SSL_new(self.context))
        self.ssl.SSL_set_fd(self.mine, self.sock.fileno())
        assert (self.ssl.SSL_accept if cert else self.ssl.SSL_connect)(self.mine) == 1

    def write(self, data):
        return self.ssl.SSL_write(self.mine, data, len(data)) == len(data)

    def read(self):
        room = ctypes.create_string_buffer(65536)
        count = self.ssl.SSL_read(self.mine, room, len(room))
        return room.raw[:max(count, 0)]

    def change(self):
        """True: it has left. The other side is asked to do the same."""
        return self.ssl.SSL_key_update(self.mine, 1) == 1 and \
            self.ssl.SSL_do_handshake(self.mine) == 1

    def close(self):
        self.ssl.SSL_free(self.mine)
        self.ssl.SSL_CTX_free(self.context)
        self.sock.close()
