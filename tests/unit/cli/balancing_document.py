#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps docs/balancing.md honest: whoever types a command of it gets what stands there.

Usage: balancing_document.py WEIR DOCUMENT [--renew]

Runs every `$ weir simulate` of the document. A plot must be the one in the folder beside the
document, byte for byte; a table that stands below a command must be the one that it prints. A
command that replays a log gets a small one that is made here, and must succeed. Every algorithm has
its heading and is in a plot, and every plot is shown. With --renew the plots are written instead
(tables are not: the text around them quotes them). Prints TAP.
"""
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
SVG_BYTES_MAX = 60000


class Command:
    def __init__(self, line, output):
        self.line, self.output = line, output
        self.words = shlex.split(line)[1:]
        self.svg = self.value("--svg")
        self.replays = self.value("--replay") is not None

    def value(self, option):
        return self.words[self.words.index(option) + 1] if option in self.words else None


def read_commands(text):
    """Each command with the lines below it, of all blocks."""
    found = []
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            if line.startswith("weir simulate"):
                found.append(Command(line, output))
    return found


def make_log(path):
    """Requests to two backends, one of them slower."""
    lines = [json.dumps({"timestamp": f"2026-11-21T04:00:{i // 50:02}.{i % 50 * 20:03}Z",
                         "client.address": f"10.0.0.{i % 17}", "url.path": f"/{i % 23}",
                         "backend": f"app-{i % 2}", "tries": 1,
                         "total_us": 9000 + 6000 * (i % 2) + 100 * (i % 31)})
             for i in range(1000)]
    path.write_text("\n".join(lines) + "\n")


class Checks:
    def __init__(self):
        self.lines = []
        self.failed = False

    def add(self, title, complaint):
        self.lines.append(f"{'not ok' if complaint else 'ok'} {len(self.lines) + 1} - {title}")
        if complaint:
            self.failed = True
            self.lines[-1] += "".join(f"\n# {line}" for line in complaint.splitlines())

    def print(self):
        print(f"1..{len(self.lines)}")
        print("\n".join(self.lines))


def check_command(weir, command, folder, work, renew):
    run = subprocess.run([weir, *command.words], cwd=work, capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        return f"ended with {run.returncode}: {run.stderr}"
    if command.svg:
        made, kept = work / command.svg, folder / command.svg
        if command.replays:
            return "" if made.read_text().endswith("</svg>\n") else "no whole plot"
        if renew:
            kept.write_bytes(made.read_bytes())
        if not kept.exists() or kept.read_bytes() != made.read_bytes():
            return f"{kept.name} is another plot; to renew them: {__file__} WEIR DOCUMENT --renew"
    if command.output and not command.replays and command.output != run.stdout:
        return f"prints something else:\n{run.stdout}"
    return ""


def check_plots(text, commands, folder):
    shown = {pathlib.PurePath(path).name for path in SHOWN.findall(text)}
    made = {command.svg for command in commands if command.svg and not command.replays}
    there = {path.name for path in folder.iterdir()}
    large = [name for name in there if (folder / name).stat().st_size >= SVG_BYTES_MAX]
    if not shown or not shown == made == there:
        return f"shown {sorted(shown)}, made {sorted(made)}, there {sorted(there)}"
    return f"too large: {large}" if large else ""


def algorithms(weir):
    run = subprocess.run([weir, "simulate", "--json", "requests=1"], capture_output=True, check=True)
    return [entry["algorithm"] for entry in json.loads(run.stdout)["algorithms"]]


def check_algorithm(name, text, plots):
    if f"\n### {name}\n" not in text:
        return "has no heading"
    return "" if re.search(rf">{name}\b", plots) else "is in no plot"


def main():
    weir, document = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    renew = "--renew" in sys.argv[3:]
    folder = document.with_suffix("")
    text = document.read_text()
    commands = read_commands(text)
    checks = Checks()
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        make_log(work / "access.log")
        for command in commands:
            checks.add(command.line, check_command(weir, command, folder, work, renew))
    checks.add("plots", check_plots(text, commands, folder))
    plots = "".join(path.read_text() for path in folder.glob("*.svg"))
    for algorithm in algorithms(weir):
        checks.add(algorithm, check_algorithm(algorithm, text, plots))
    checks.print()
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
