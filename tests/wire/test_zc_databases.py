# SPDX-License-Identifier: Apache-2.0
"""weir migrate and weir backends, on SQLite and PostgreSQL; the sqlite3 command and psql look at what
they left."""
import hashlib
import pathlib
import re
import shutil
import subprocess

import pytest

from peers.weir import BINARY, Weir, settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEED = """
    CREATE TABLE IF NOT EXISTS workers(
        worker_address VARCHAR(255) NOT NULL PRIMARY KEY
    );

    INSERT INTO workers(worker_address) VALUES 
    ('127.0.0.1:8000'),
    ('127.0.0.1:8001'),
    ('127.0.0.1:8002'),
    ('127.0.0.1:8003'),
    ('127.0.0.1:8004');
"""
FIVE = [f"127.0.0.1:{8000 + number}" for number in range(5)]
WEIR = str(pathlib.Path(BINARY).resolve())


class Place:
    """A folder with a .env that names a database."""

    def __init__(self, folder, kind, server):
        self.folder, self.kind, self.server = folder, kind, server
        self.url = "sqlite:workers.db" if kind == "sqlite" else server.url()
        (folder / ".env").write_text(f"DATABASE_URL={self.url}\n")

    def weir(self, *args, code=0):
        done = subprocess.run([WEIR, *args], cwd=self.folder, stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def sql(self, query):
        if self.kind == "postgres":
            return self.server.psql(query)
        return subprocess.run(["sqlite3", str(self.folder / "workers.db"), query], check=True,
                              stdout=subprocess.PIPE, text=True).stdout.splitlines()

    def put(self, name, text):
        (self.folder / "migrations").mkdir(exist_ok=True)
        (self.folder / "migrations" / name).write_text(text)

    def workers(self):
        return self.sql("SELECT worker_address FROM workers ORDER BY 1")


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    kind = request.param
    if kind == "sqlite" and not shutil.which("sqlite3"):
        pytest.skip("sqlite3 is not installed")
    server = request.getfixturevalue("server") if kind == "postgres" else None
    if server:
        server.psql("SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return Place(tmp_path, kind, server)


def test_the_readme_of_seed_4(place):
    """S4.4: create and run, word for word; twice: the same five rows and exit 0."""
    made = place.weir("migrate", "add", "migration_name")
    assert re.fullmatch(r"Creating migrations/\d{14}_migration_name\.sql\n", made)
    file = place.folder / made.split()[1]
    assert file.read_text() == "-- Add migration script here\n"
    file.write_text(SEED)
    version = file.name.split("_")[0]
    assert place.weir("migrate", "status") == f"{version}/pending migration name\n"
    assert re.fullmatch(rf"Applied {version}/migrate migration name \(\d+\.\d+ms\)\n",
                        place.weir("migrate", "run"))
    assert place.weir("migrate", "run") == ""
    assert place.weir("migrate", "status") == f"{version}/installed migration name\n"
    assert place.workers() == FIVE
    # What is noted is what sqlx-cli would note.
    hexed = ("encode(checksum, 'hex')" if place.kind == "postgres" else "lower(hex(checksum))")
    noted = place.sql(f"SELECT version, description, {hexed} FROM _sqlx_migrations")
    assert noted == [f"{version}|migration name|{hashlib.sha384(SEED.encode()).hexdigest()}"]


def test_the_shipped_ones(place):
    source = ["--source", str(ROOT / "etc" / "migrations" / place.kind)]
    place.weir("migrate", "run", *source)
    assert place.workers() == FIVE
    place.weir("backends", "add", "10.0.0.1:80", "weight=3", "state=drain")
    assert place.sql("SELECT weight, state FROM workers WHERE weight IS NOT NULL") == ["3|drain"]
    count = len(place.weir("migrate", "status", *source).splitlines())
    for _ in range(count):
        assert "/revert " in place.weir("migrate", "revert", *source)
    assert place.weir("migrate", "revert", *source) == "No migrations available to revert\n"
    assert place.weir("migrate", "status", *source).count("/pending ") == count
    place.weir("migrate", "run", *source)
    assert place.workers() == FIVE


def test_a_failing_one_is_rolled_back(place):
    place.put("1_workers.sql", SEED)
    place.put("2_broken.sql", "INSERT INTO workers VALUES ('10.0.0.1:80');\nSELECT nonsense;\n")
    place.put("3_later.sql", "INSERT INTO workers VALUES ('10.0.0.2:80');\n")
    said = place.weir("migrate", "run", code=1)
    assert "Applied 1/migrate workers" in said
    assert "migration 2 failed and was rolled back: " in said and "nonsense" in said
    assert "1 of 3 migrations are installed" in said
    assert place.workers() == FIVE
    assert place.weir("migrate", "status") == ("1/installed workers\n2/pending broken\n"
                                               "3/pending later\n")
    place.put("2_broken.sql", "INSERT INTO workers VALUES ('10.0.0.1:80');\n")
    place.weir("migrate", "run")
    assert place.workers() == ["10.0.0.1:80", "10.0.0.2:80", *FIVE]


def test_many_at_once(place):
    """Each migration runs once, and nobody fails."""
    for number in range(1, 9):
        place.put(f"{number}_step.sql", ("CREATE TABLE workers(worker_address VARCHAR(255));\n"
                                         if number == 1 else "")
                  + f"INSERT INTO workers VALUES ('10.0.0.{number}:80');\n")
    running = [subprocess.Popen([WEIR, "migrate", "run"], cwd=place.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
               for _ in range(6)]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * 6, said
    assert sorted("".join(said).count(f"Applied {number}/") for number in range(1, 9)) == [1] * 8
    assert place.workers() == [f"10.0.0.{number}:80" for number in range(1, 9)]


def test_what_stands_in_the_way(place):
    place.put("1_workers.sql", SEED)
    place.put("2_more.up.sql", "SELECT 1;")
    place.put("2_more.down.sql", "SELECT nonsense;")
    place.weir("migrate", "run")
    assert "reverting migration 2 failed, it is still there: " in place.weir(
        "migrate", "revert", code=1)
    assert "2/installed more" in place.weir("migrate", "status")
    place.put("2_more.down.sql", "SELECT 1;")
    place.weir("migrate", "revert")
    assert "cannot be reverted: there is no .down.sql" in place.weir("migrate", "revert", code=1)
    place.put("1_workers.sql", SEED + "-- a word more\n")
    assert "1/installed (different checksum) workers" in place.weir("migrate", "status")
    assert "previously applied but has been modified" in place.weir("migrate", "run", code=1)
    place.put("1_other.sql", "SELECT 1;")
    assert "have the same number" in place.weir("migrate", "run", code=1)
    for file in (place.folder / "migrations").iterdir():
        file.unlink()
    assert "is missing in the folder" in place.weir("migrate", "run", code=1)
    assert "cannot be opened" in place.weir("migrate", "run", "--source", "nowhere", code=1)


def test_backends(place):
    assert "Create it: weir migrate run" in place.weir("backends", "list", code=1) \
        or place.kind == "sqlite"
    place.put("1_workers.sql", SEED)
    place.weir("migrate", "run")
    assert place.weir("backends", "list").split() == ["ADDRESS", *FIVE]
    assert place.weir("backends", "add", "10.0.0.1:80") == "10.0.0.1:80 added\n"
    assert place.weir("backends", "add", "10.0.0.1:80") == "10.0.0.1:80 is there already\n"
    assert place.weir("backends", "remove", FIVE[0]) == f"{FIVE[0]} removed\n"
    assert "is not in the table" in place.weir("backends", "remove", FIVE[0], code=1)
    assert place.workers() == ["10.0.0.1:80", *FIVE[1:]]
    assert "is no address" in place.weir("backends", "add", "'; DROP TABLE workers --", code=2)
    assert "is no COLUMN=VALUE" in place.weir("backends", "add", "10.0.0.2:80", "weight=2", code=2)
    place.sql("ALTER TABLE workers ADD COLUMN weight INTEGER")
    place.weir("backends", "add", "10.0.0.1:80", "weight=7")
    assert "weight '1001' is no number" in place.weir(
        "backends", "add", "10.0.0.1:80", "weight=1001", code=2)
    assert place.sql("SELECT weight FROM workers WHERE worker_address = '10.0.0.1:80'") == ["7"]
    assert re.search(r"10\.0\.0\.1:80 +7\n", place.weir("backends", "list"))


def test_no_database(tmp_path):
    place = Place(tmp_path, "sqlite", None)
    said = place.weir("backends", "list", "--no-env-file", "--admin", f"unix:{tmp_path}/no", code=69)
    assert f"{tmp_path}/no" in said
    place.put("1_a.sql", "SELECT 1;")
    assert "no database is named" in place.weir("migrate", "run", "--no-env-file", code=78)
    said = place.weir("migrate", "run", "--database-url", "mysql://me:geheim@x/y", code=78)
    assert "DATABASE_URL" in said and "geheim" not in said
    assert "Did you mean run" in place.weir("migrate", "rum", code=2)
    assert "needs a name" in place.weir("migrate", "add", code=2)


def test_wrong_password(server, tmp_path):
    """S4.5: the variable is named, the password is not shown."""
    place = Place(tmp_path, "postgres", server)
    place.put("1_a.sql", "SELECT 1;")
    for password in ("geheim", "geheim%40x", "geheim@x", "geheim/x", "geheim:x"):
        (tmp_path / ".env").write_text(f"DATABASE_URL={server.url(password=password)}\n")
        said = place.weir("migrate", "run", code=1)
        assert "DATABASE_URL" in said and "geheim" not in said, said


def test_without_a_database_those_of_the_running_weir_are_listed(tmp_path):
    place, address = Place(tmp_path, "sqlite", None), f"unix:{tmp_path}/admin"
    tree, where = settings(["127.0.0.1:1", {"id": "two", "address": "127.0.0.1:2", "weight": 3}])
    with Weir({**tree, "admin": {"bind": address}}, address=where):
        said = place.weir("backends", "list", "--no-env-file", "--admin", address)
        lines = [line.split() for line in said.splitlines()]
        assert lines[0] == ["POOL", "ID", "ADDRESS", "WEIGHT", "STATE", "REASON"]
        assert lines[1][:4] == ["app", "127.0.0.1:1", "127.0.0.1:1", "1"]
        assert lines[2][:4] == ["app", "two", "127.0.0.1:2", "3"]
