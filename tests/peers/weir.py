# SPDX-License-Identifier: Apache-2.0
"""weir as a child process."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import tempfile

from .client import Client
from .net import HANG_SECONDS, HOST, free_port, until

BINARY = os.environ.get("TEST_WEIR", "build/weir")
IO = os.environ.get("TEST_IO", "epoll")
BUILD = os.environ.get("TEST_BUILD", "build")
IS_SANITIZED = BUILD != "build"

AGAIN = " again in the last second"


def told(log, message):
    """(lines about it, how often it happened by what they say): the first time is told at once,
    what follows within a second is only counted."""
    lines = [line for line in log if line["msg"] in (message, message + AGAIN)]
    return lines, sum(line["times"] if line["msg"].endswith(AGAIN) else 1 for line in lines)


# Whatever a sanitizer or a failed assertion prints.
REPORTS = ("Sanitizer", "runtime error:", "assertion failed", "ASSERT", "was refused (runtime.confine)")


def config_file(config):
    """Writes a tree as JSON, or a text as it is, to a file of its own."""
    text = config if isinstance(config, str) else json.dumps(config, indent=1)
    suffix = ".yaml" if isinstance(config, str) else ".json"
    with tempfile.NamedTemporaryFile("w", prefix="weir-test-", suffix=suffix,
                                     delete=False) as file:
        file.write(text)
    return file.name


class Weir:
    """A running weir. Its exit is part of every test: stop() closes all clients, sends TERM, and
    wants an orderly end without any report."""

    def __init__(self, config=None, args=(), io=IO, cwd=None, env=None, wrapper=(), stdout=None,
                 ready="serves", address=None):
        self.address = address
        self.clients = []
        self.scratch = tempfile.TemporaryDirectory(prefix="weir-test-")
        self.stderr_path = pathlib.Path(self.scratch.name, "stderr")
        self.stdout_path = pathlib.Path(self.scratch.name, "stdout")
        self.config_path = None
        command = [*wrapper, BINARY]
        self.state = pathlib.Path(self.scratch.name, "state")
        env = {"XDG_STATE_HOME": str(self.state), **(env or {})}  # and nobody else's
        if "admin" not in (config or {}):  # tests run side by side, and its address is one
            env.setdefault("WEIR_ADMIN__BIND", "none")
        if config is not None:
            self.config_path = config_file(config)
            command += ["-c", self.config_path]
        if io:
            command += ["--io", io]
        command += args
        with open(self.stderr_path, "wb") as err, open(self.stdout_path, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=err, cwd=cwd,
                env={**os.environ, **env})
        self.pid = self.process.pid
        try:
            until(lambda: self.process.poll() is not None or ready in self.stderr,
                  f"weir's line with {ready!r}")
            assert self.process.poll() is None, \
                f"weir ended with {self.process.returncode}:\n{self.stderr}"
        except AssertionError:
            self.kill()
            raise

    @property
    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    @property
    def stdout(self):
        return self.stdout_path.read_text(errors="replace")

    def log(self):
        """Its log so far as a list of dictionaries (format json). A line that is not whole yet is for
        the next look."""
        whole = self.stderr.rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def wait_log(self, text):
        return until(lambda: [line for line in self.stderr.splitlines() if text in line],
                     f"a log line with {text!r} in\n{self.stderr}")

    def client(self, address=None, source=None):
        client = Client(address or self.address, source)
        self.clients.append(client)
        return client

    def ask(self, method="GET", target="/", *fields, address=None, source=None, **rest):
        """One request on a connection of its own."""
        with self.client(address, source) as client:
            return client.ask(method, target, *fields, **rest)

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self):
        """Waits for the end and gives the exit code."""
        try:
            return self.process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"weir did not end:\n{self.stderr}") from None

    @property
    def serving(self):
        """The process that serves: the newest child of the keeper, which is the one that was
        started; itself where there is no keeper."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[-1]) if children else self.pid

    @property
    def workers(self):
        """How many it has. The environment, which says so of all tests, has the last word."""
        return until(lambda: [line["workers"] for line in self.log() if "workers" in line],
                     "the line that tells its workers")[-1]

    def rss(self):
        """Resident bytes."""
        for line in pathlib.Path(f"/proc/{self.serving}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.serving}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fds(self):
        return len(os.listdir(f"/proc/{self.serving}/fd"))

    def threads(self):
        return os.listdir(f"/proc/{self.serving}/task")

    def check(self):
        """No report so far."""
        text = self.stderr
        for word in REPORTS:
            assert word not in text, f"weir reported:\n{text}"

    def ended(self, code=0):
        """It has ended, or is about to: with this code and nothing to report."""
        got = self.wait()
        self.check()
        assert got == code, f"weir ended with {got}:\n{self.stderr}"

    def stop(self):
        for client in self.clients:
            client.close()
        try:
            self.signal(signal.SIGTERM)
            self.ended()
        finally:
            self.kill()

    def slay(self):
        """Ends it as a crash of the machine would: the keeper first, or there would be another
        serving process."""
        serving = self.serving
        self.process.kill()
        if serving != self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(serving, signal.SIGKILL)
        self.process.wait()

    def kill(self):
        if self.process.poll() is None:
            self.slay()
        if self.config_path and os.path.exists(self.config_path):
            os.unlink(self.config_path)

    def done(self):
        """Cleans up, whatever happened before."""
        self.kill()
        self.last_log = self.log()
        self.scratch.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.process.poll() is None:
                self.stop()
            elif kind is not None:
                print(f"weir said:\n{self.stderr}")
        finally:
            self.done()


# For what is about a limit that each worker has, or about one connection to a backend.
ONE_WORKER = {"WEIR_RUNTIME__WORKERS": "1"}

# Nobody is judged by what happens: what the tests of single failures stand on.
CALM = {"health_check": "none",
        "outliers": {"connect_failures": "none", "errors": "none", "timeouts": "none"},
        "circuit_breaker": {"failure_threshold": 1000000}}


def settings(backends=(), *, protocol=None, bind=None, workers=1, frontend=None, pool=None,
             **top):
    """A configuration with one frontend `web` and one pool `app`; gives (tree, address). The pool
    is CALM where `pool` does not say otherwise."""
    address = bind or f"{HOST}:{free_port()}"
    web = {"bind": address, **(frontend or {})}
    if protocol:
        web["protocol"] = protocol
    tree = {"runtime": {"workers": workers}, "frontends": {"web": web}}
    if backends:
        web.setdefault("pool", "app")
        tree["pools"] = {"app": {"backends": [
            each if isinstance(each, (str, dict)) else each.address for each in backends],
            **CALM, **(pool or {})}}
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            tree[key] = {**tree[key], **value}
        else:
            tree[key] = value
    return tree, address


def start(*backends, args=(), io=IO, wrapper=(), env=None, stdout=None, ready="serves",
          **rest):
    """A weir with settings(...) in front of these backends."""
    tree, address = settings(backends, **rest)
    return Weir(tree, args=args, io=io, wrapper=wrapper, env=env, stdout=stdout, ready=ready,
                address=address)


def run_as(path):
    """A wrapper by which another program is started than BINARY."""
    return ("sh", "-c", f'shift; exec {path} "$@"', "sh")


def replace_program(path, text=None):
    """As a package manager does: another file of the same name. Without a text the same program."""
    new = path.with_suffix(".new")
    if text is None:
        shutil.copy(BINARY, new)
    else:
        new.write_text(text)
    new.chmod(new.stat().st_mode | stat.S_IXUSR)
    os.replace(new, path)


def run(*args, cwd=None, env=None, text=""):
    """Runs weir to its end; gives (exit code, stdout, stderr)."""
    done = subprocess.run([BINARY, *args], input=text, capture_output=True, text=True, cwd=cwd,
                          env={**os.environ, **(env or {})}, timeout=HANG_SECONDS, check=False)
    for word in REPORTS:
        assert word not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr
