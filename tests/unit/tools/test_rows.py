# SPDX-License-Identifier: Apache-2.0
"""Every promise of the seeds has a test, and every test that docs/features-tests.md names exists."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
# How many rows each README makes: seed -> the last number; letters divide a row.
PROMISED = {
    0: ["1", "2", "3", "4", "5", "6", "9"],
    1: ["1", "2", "3", "4", "5"],
    2: ["1", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17a", "17b", "17c",
        "18", "19", "20", "21a", "21b", "21c", "22", "23"],
    3: ["1", "2", "3", "4", "5", "7", "8", "9", "10", "11", "12"],
    4: ["1", "2", "3", "4", "5"],
}
ROW = re.compile(r"^\| (S\d\.\w+) \| (\w) \| (.+) \| (.*) \|$")


def rows(text):
    """(row, kind, tests) of all tables."""
    for line in text.splitlines():
        found = ROW.match(line)
        if found:
            yield found[1], found[2], re.findall(r"`([^`]+)`", found[4])


def is_there(test, folder):
    """A file below `folder`, and the function in it where one is named."""
    name, _, function = test.partition("::")
    path = folder / name
    if not path.is_file():
        return False
    text = path.read_text()
    if name.endswith(".py"):
        return not function or re.search(rf"^def {function}\(", text, re.MULTILINE) is not None
    return not function or f"cmocka_unit_test({function})" in text


def faults(text, folder, promised):
    """What the table lacks, has twice, or invents."""
    found, seen = [], {}
    for row, kind, tests in rows(text):
        if row in seen:
            found.append(f"{row} is there twice")
        seen[row] = kind
        if not tests:
            found.append(f"{row} has no test")
        found += [f"{row}: {test} is not there" for test in tests if not is_there(test, folder)]
    for seed, numbers in promised.items():
        found += [f"S{seed}.{number} is missing" for number in numbers
                  if seen.get(f"S{seed}.{number}") != "R"]
    return found


def test_each_promise_has_its_test():
    text = (ROOT / "docs/features-tests.md").read_text()
    assert not faults(text, ROOT / "tests", PROMISED)


def test_what_is_wrong_is_found(tmp_path):
    (tmp_path / "a.py").write_text("def test_a():\n    pass\n")
    (tmp_path / "b.c").write_text("cmocka_unit_test(test_b),\n")
    text = ("| S0.1 | R | x | `a.py::test_a`, `b.c::test_b`, `b.c` |\n| S0.1 | R | x | `a.py` |\n"
            "| S0.2 | R | y |  |\n| S0.3 | T | z | `a.py::test_b`, `b.c::test_a`, `c.py` |\n")
    assert faults(text, tmp_path, {0: ["1", "2", "3"], 1: ["1"]}) == [
        "S0.1 is there twice", "S0.2 has no test", "S0.3: a.py::test_b is not there",
        "S0.3: b.c::test_a is not there", "S0.3: c.py is not there", "S0.3 is missing",
        "S1.1 is missing"]
