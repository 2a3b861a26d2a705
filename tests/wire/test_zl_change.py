# SPDX-License-Identifier: Apache-2.0
"""Changes that can be looked at before, tested, taken back and written down."""
import json

import pytest

from peers.weir import run

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
