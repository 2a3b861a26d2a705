# SPDX-License-Identifier: Apache-2.0
"""docs/tour.md leads to every file below src/, once, and to none that is not there."""
import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
SUFFIXES = (".c", ".h", ".cc")
TITLE = re.compile(r"^## Floor \d.*`(\w+)/`")
ROW = re.compile(r"^\| (`[^|]*`) \|")


def rows(text):
    """(folder, name) of everything in the first column of the tables about floors."""
    folder = None
    for line in text.splitlines():
        title = TITLE.match(line)
        if title or line.startswith("## "):
            folder = title.group(1) if title else None
        row = ROW.match(line)
        if folder and row:
            for name in re.findall(r"`([^`]+)`", row.group(1)):
                yield folder, name


def files_of(folder, name, there):
    """The files that a name stands for: without a suffix for its .h and its .c."""
    if name.endswith("/"):
        return {file for file in there if file.startswith(f"{folder}/{name}")}
    names = [name] if "." in name else [name + suffix for suffix in SUFFIXES]
    return {f"{folder}/{one}" for one in names} & there


def faults(text, there):
    """What the tour lacks, has twice, or invents."""
    found = []
    told = collections.Counter()
    for folder, name in rows(text):
        files = files_of(folder, name, there)
        if not files:
            found.append(f"{folder}/{name} is not there")
        told.update(files)
    found += [f"{file} is in {told[file]} rows" for file in told if told[file] > 1]
    found += [f"{file} is missing" for file in there
              if file not in told and file.endswith((*SUFFIXES, ".def"))]
    return sorted(found)


def test_the_tour_leads_to_every_file_once():
    source = ROOT / "src"
    there = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert not faults((ROOT / "docs/tour.md").read_text(), there)


def test_what_is_wrong_is_found():
    text = ("## Floor 0: x — `base/`\n| `a`, `b.def`, `gone` | y |\n| `a.h` | again |\n| `page/` | z |\n"
            "## Tests\n| `other/` | not of a floor |\n")
    there = {"base/a.c", "base/a.h", "base/b.def", "base/c.c", "base/page/x.js"}
    assert faults(text, there) == [
        "base/a.h is in 2 rows", "base/c.c is missing", "base/gone is not there"]
