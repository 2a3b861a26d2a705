# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: an authority and what it signs, in a folder of their own, made with the
openssl program; and TLS clients and backends that use them."""
import functools
import pathlib
import re
import ssl
import subprocess
import tempfile
import time

from .backend import Backend
from .client import Client
from .net import HANG_SECONDS


def openssl(*words, cwd=None, text=None, code=0):
    """Runs it; gives what it said on both outputs."""
    done = subprocess.run(["openssl", *map(str, words)], cwd=cwd, input=text, capture_output=True,
                          text=True, timeout=HANG_SECONDS, check=False)
    assert code is None or done.returncode == code, done.stderr
    return done.stdout + done.stderr


KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "rsa": ["-newkey", "rsa:2048"],
        "slow": ["-newkey", "rsa:3072"]}  # to sign with, and much less so to check


class Papers:
    """A folder with ca.crt and, for each make(name), NAME.crt and NAME.key."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-papers-"))
        self.run("req", "-x509", *KEYS["ec"], "-nodes", "-days", "30", "-subj", "/CN=Test authority",
                 "-keyout", "ca.key", "-out", "ca.crt")

    def run(self, *words):
        return openssl(*words, cwd=self.folder)

    def path(self, name):
        return str(self.folder / name)

    def make(self, name, *hosts, key="ec", days=30, stranger=False):
        """A certificate for these names (DNS: or IP: may stand in front), by the authority or by
        itself. `days` below 0: it has expired."""
        names = ",".join(host if ":" in host else f"DNS:{host}" for host in hosts)
        self.run("req", "-new", *KEYS[key], "-nodes", "-subj", f"/CN={name}",
                 "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / "ext").write_text(f"subjectAltName={names}\n" if names else "")
        signer = ["-key", f"{name}.key"] if stranger else ["-CA", "ca.crt", "-CAkey", "ca.key"]
        self.run("x509", "-req", "-in", f"{name}.csr", *signer, "-CAcreateserial", "-extfile", "ext",
                 "-days", str(days), "-out", f"{name}.crt")
        return self

    def revoke(self, *names, file="crl.pem", days=30):
        """Writes the authority's list, in which these names' certificates are, in place of the one
        that was there; gives its path. `days` below 0: it is out of date."""
        folder = self.folder / "revoking"
        folder.mkdir(exist_ok=True)
        (folder / "index").write_text("")
        (folder / "conf").write_text("[ca]\ndefault_ca=own\n[own]\ndatabase=revoking/index\n"
                                     "default_md=sha256\n")
        ca = ["ca", "-config", "revoking/conf", "-keyfile", "ca.key", "-cert", "ca.crt"]
        for name in names:
            self.run(*ca, "-revoke", f"{name}.crt")
        when = ["-crldays", days] if days > 0 else [
            "-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z"]
        self.run(*ca, "-gencrl", *when, "-out", f"{file}.new")
        (self.folder / f"{file}.new").rename(self.folder / file)
        return self.path(file)

    def respond(self, name, file=None, status="good", since=None, until=None, signer="ca"):
        """Writes what the authority says about a certificate (OCSP), in place of what was there;
        gives its path. `since` and `until` (Unix times) are written over what was signed."""
        text = self.run("x509", "-in", f"{name}.crt", "-noout", "-serial", "-enddate", "-dateopt", "iso_8601")
        serial = text.split("serial=")[1].split()[0]
        word = {"good": "V\t491231235959Z\t", "revoked": "R\t491231235959Z\t200101000000Z"}
        (self.folder / "responses").write_text(
            f"{word[status]}\t{serial}\tunknown\t/CN={name}\n" if status in word else "")
        made = self.folder / "response.new"
        self.run("ocsp", "-index", "responses", "-CA", "ca.crt", "-rsigner", f"{signer}.crt",
                 "-rkey", f"{signer}.key", "-issuer", "ca.crt", "-cert", f"{name}.crt", "-ndays", 7,
                 "-respout", made.name)
        der = made.read_bytes()
        times = [found.start() + 2 for found in re.finditer(rb"\x18\x0f\d{14}Z", der)]
        for at, when in ((times[-2], since), (times[-1], until)):
            if when is not None:
                der = der[:at] + time.strftime("%Y%m%d%H%M%SZ", time.gmtime(when)).encode() + der[at + 15:]
        made.write_bytes(der)
        made.rename(self.folder / (file or f"{name}.ocsp"))
        return self.path(file or f"{name}.ocsp")

    def files(self, name):
        """As an entry of `certificates`."""
        return {"cert": self.path(f"{name}.crt"), "key": {"file": self.path(f"{name}.key")}}

    def der(self, name):
        return ssl.PEM_cert_to_DER_cert(pathlib.Path(self.path(f"{name}.crt")).read_text())

    def client_context(self, own=None):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if own:
            context.load_cert_chain(self.path(f"{own}.crt"), self.path(f"{own}.key"))
        return context

    def server_context(self, name, ask=False, alpn=("http/1.1",)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.crt"), self.path(f"{name}.key"))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if ask:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.path("ca.crt"))
        return context


@functools.lru_cache(maxsize=None)
def papers():
    """Those that most tests use, made once."""
    return (Papers().make("site", "site.example", "localhost", "IP:127.0.0.1")
            .make("site-rsa", "site.example", key="rsa")
            .make("wild", "*.wild.example").make("other", "other.example")
            .make("me", "email:me@example.com", "DNS:me.example"))


class TlsClient(Client):
    """A client by TLS. `name` is what it asks for, None: nothing."""

    def __init__(self, address, context, name="site.example", session=None):
        super().__init__(address)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session,
                                            suppress_ragged_eofs=False)
        except BaseException:
            self.sock.close()
            raise
        self.reader.sock = self.sock

    def end(self):
        self.sock = self.reader.sock = self.sock.unwrap()


class TlsBackend(Backend):
    """A backend that speaks TLS with this context. Failed handshakes are in `failures`."""

    def __init__(self, script=None, context=None, **rest):
        self.context, self.failures, self.names, self.reused = context, [], [], []
        super().__init__(script, **rest)

    def run(self, connection):
        try:
            connection.sock = self.context.wrap_socket(connection.sock, server_side=True)
        except OSError as error:
            self.failures.append(error)
            connection.close()
            connection.closed.set()
            return
        self.reused.append(connection.sock.session_reused)
        connection.reader.sock = connection.sock
        super().run(connection)
