#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What Prometheus' promtool says of our metrics and of our alert rules. Prints TAP; skips all of it
where promtool is not installed (Debian's package prometheus).

Usage: promtool.py EXPOSE_TOOL SOURCE_ROOT
"""
import pathlib
import re
import shutil
import subprocess
import sys


def metrics(tool, backends):
    """promtool check metrics reads what Prometheus would scrape, and has opinions on names."""
    text = subprocess.run([tool, "prometheus", str(backends)], capture_output=True, check=True).stdout
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          check=False)
    said = (done.stdout + done.stderr).decode().strip()
    return [] if done.returncode == 0 and not said else said.splitlines() or ["failed"]


def rules(root, *words):
    folder = pathlib.Path(root, "etc", "prometheus")
    done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, check=False)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).decode().splitlines()


def untested(root):
    """Alerts of which weir.test.yml does not say when they fire."""
    folder = pathlib.Path(root, "etc", "prometheus")
    alerts = set(re.findall(r"- alert: (\w+)", (folder / "weir.rules.yml").read_text()))
    tested = set(re.findall(r'alertname="(\w+)"', (folder / "weir.test.yml").read_text()))
    return [f"not tested: {name}" for name in sorted(alerts ^ tested)]


def main(tool, root):
    tests = [
        ("check metrics", lambda: metrics(tool, 10)),
        ("check rules", lambda: rules(root, "check", "rules", "weir.rules.yml")),
        ("test rules", lambda: rules(root, "test", "rules", "weir.test.yml")),
        ("every rule is tested", lambda: untested(root)),
    ]
    print(f"1..{len(tests)}")
    missing = shutil.which("promtool") is None
    bad = 0
    for number, (name, run) in enumerate(tests, 1):
        if missing:
            print(f"ok {number} {name} # SKIP promtool is not installed")
            continue
        said = run()
        bad += bool(said)
        print(f"{'not ok' if said else 'ok'} {number} {name}")
        for line in said:
            print(f"# {line}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
