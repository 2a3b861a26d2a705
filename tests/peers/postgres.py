# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of the test's own: a folder that is thrown away, a port of loopback, a socket
in that folder, and a user who is not root, since root may not run one."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from .net import HOST, free_port, until

FOLDERS = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda f: int(f.split("/")[4]))
BIN = FOLDERS[-1] if FOLDERS else None
USER, PASSWORD, DATABASE = "user", "pass/word:s@crt", "db_name"
TABLE = "CREATE TABLE workers(worker_address VARCHAR(255) NOT NULL PRIMARY KEY)"
QUOTED = "pass%2Fword%3As%40crt"


def available():
    """None, or why no server can be started here."""
    if not BIN:
        return "PostgreSQL is not installed"
    if os.getuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "there is no user postgres"
    return None


class Postgres:
    """Starts with `user`, who owns the empty database db_name."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="weir-pg-")
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.process = None
        self.as_user = []
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.as_user = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}",
                            "--clear-groups"]
        os.chmod(self.folder, 0o755)
        secret = os.path.join(self.folder, "secret")
        with open(secret, "w", encoding="ascii") as file:
            file.write(PASSWORD + "\n")
        os.chmod(secret, 0o644)
        try:
            self.run("initdb", "-D", self.data, "-U", USER, "-E", "UTF8", "--locale=C", "--no-sync",
                     "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}")
            self.start()
            self.psql(f"CREATE DATABASE {DATABASE}", database="postgres")
        except BaseException:
            self.stop()
            raise

    def run(self, name, *args):
        subprocess.run([*self.as_user, os.path.join(BIN, name), *args], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/",
                       env={**os.environ, "LC_ALL": "C"})

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [*self.as_user, os.path.join(BIN, "postgres"), "-D", self.data, "-p", str(self.port),
                 "-k", self.folder, "-c", f"listen_addresses={HOST}", "-c", "fsync=off",
                 "-c", "shared_buffers=16MB", "-c", "max_connections=50"],
                stdin=subprocess.DEVNULL, cwd="/", env={**os.environ, "LC_ALL": "C"},
                stdout=subprocess.DEVNULL, stderr=log)
        until(lambda: subprocess.run(
            [os.path.join(BIN, "pg_isready"), "-q", "-h", self.folder, "-p", str(self.port)],
            check=False).returncode == 0, "the database server")

    def kill(self):
        """Like a crash: at once, with all its children."""
        if self.process:
            self.process.send_signal(signal.SIGQUIT)  # its "immediate" shutdown
            self.process.wait()
            self.process = None

    def pause(self, paused):
        """Hangs, or goes on: all of its processes."""
        number = signal.SIGSTOP if paused else signal.SIGCONT
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], check=False,
                                  stdout=subprocess.PIPE, text=True).stdout.split()
        for pid in [self.process.pid, *map(int, children)]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def stop(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, user=USER, password=QUOTED, database=DATABASE):
        return f"postgres://{user}:{password}@{HOST}:{self.port}/{database}"

    def psql(self, *statements, database=DATABASE):
        """As somebody else, by psql; gives what it prints, one line for each row."""
        return subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p",
             str(self.port), "-U", USER, "-d", database,
             *[part for text in statements for part in ("-c", text)]],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True).stdout.splitlines()
