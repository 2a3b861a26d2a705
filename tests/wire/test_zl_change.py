# SPDX-License-Identifier: Apache-2.0
"""Changes that can be looked at before, tested, taken back and written down."""
import json

import pytest

from peers.weir import run

from test_zd_reload import Town, named

FILE = {"frontends": {"web": {"bind": ["127.0.0.1:1"], "pool": "app"}},
        "pools": {"app": {"backends": ["10.0.0.1:80", {"id": "b", "address": "10.0.0.2:80"}]}}}


def write(folder, name, tree):
    path = folder / name
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree))
    return str(path)


@pytest.fixture(name="files")
def two_files(tmp_path):
    other = json.loads(json.dumps(FILE))
    other["pools"]["app"]["backends"][1]["weight"] = 9
    return write(tmp_path, "a.json", FILE), write(tmp_path, "b.json", other)


def test_diff_says_what_changes_and_ends_like_diff(files, tmp_path):
    first, second = files
    assert run("diff", first, first) == (
        0, "no change; as before: 1 frontend, 1 pool, 2 backends\n", "")
    code, text, _ = run("diff", first, second)
    assert code == 1
    assert "~ backend app/b\n    ~ weight: 1 → 9  (kept:" in text
    told = json.loads(run("diff", "--json", first, second)[1])
    assert [told["same"], told["count"], told["changes"][0]["effect"]] == [False, 1, "kept"]
    broken = write(tmp_path, "c.json", "{")
    assert run("diff", first, broken)[0] == 2
    assert run("diff", first, str(tmp_path / "nowhere.json"))[0] == 2
    assert run("diff", first)[0] == 2


# ---- Tests in the configuration -------------------------------------------------------------------

TESTED = """
frontends:
  web:
    bind: 127.0.0.1:1
    routes:
      - {name: api, match: {host: api.example.com}, pool: app}
      - {name: old, match: {path: /old}, redirect: {to: /new, status: 301}}
pools:
  app: {backends: [10.0.0.1:80]}
tests:
  - {request: GET http://api.example.com/x, expect: {route: api, pool: app}}
  - name: the old path
    request: GET http://www.example.com/old
    expect:
      status: %s
"""


def test_n6_check_tries_what_the_configuration_expects(tmp_path):
    good = write(tmp_path, "good.yaml", TESTED % 301)
    code, text, error = run("check", good)
    assert (code, error) == (0, "")
    assert text.endswith("1 backend; 2 tests passed\n")
    bad = write(tmp_path, "bad.yaml", TESTED % 308)
    code, text, error = run("check", bad)
    assert (code, text) == (78, "")
    assert (f"{bad}:15:15: error[E032]: test 'the old path' fails: the status is 301, not 308"
            in error)
    found = json.loads(run("check", "--format", "json", bad)[1])
    assert [(one["line"], one["column"], one["code"]) for one in found] == [(15, 15, "E032")]


def test_n6_a_reload_with_a_test_that_fails_is_refused_as_a_whole():
    with named("a") as backend, Town([backend]) as town:
        other = {**town.tree, "tests": [
            {"request": "GET http://any/", "expect": {"pool": "app"}},
            {"request": "GET http://any/lb-health", "expect": {"pool": "app"}}]}
        other["pools"]["app"]["timeouts"] = {"connect": "1s"}
        town.write(other)
        told = town.call("POST", "/api/v1/reload", status=422)
        assert [one["code"] for one in told["errors"]
                if one["kind"] == "error"] == ["E032"]
        assert "the pool is none, not app" in told["text"]
        assert town.state()["generation"] == 1
        # An edit through the API goes on what the files said when they were taken.
        town.call("POST", "/api/v1/pools/app/backends", {"address": "127.0.0.1:9"})
        other["tests"].pop()
        town.write(other)
        assert town.call("POST", "/api/v1/reload")["generation"] == 3
