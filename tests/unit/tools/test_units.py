# SPDX-License-Identifier: Apache-2.0
"""The systemd units: systemd-analyze has nothing to say, and finds little exposed."""
import pathlib
import re
import subprocess

ETC = pathlib.Path(__file__).resolve().parents[3] / "etc"
EXPOSURE_MAX = 2.0
NAMES = ("weir.service", "weir.socket")


def prepared(folder):
    """The units with a program that is there: weir need not be installed."""
    for name in NAMES:
        text = (ETC / name).read_text().replace("=weir ", "=/bin/true ")
        pathlib.Path(folder, name).write_text(text)
    return folder


def analyze(folder, *words):
    return subprocess.run(["systemd-analyze", *words], cwd=folder, capture_output=True, text=True,
                          timeout=60, check=False)


def test_they_are_clean(tmp_path):
    prepared(tmp_path)
    for name in NAMES:
        done = analyze(tmp_path, "verify", "--man=no", f"./{name}")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), name


def test_little_is_exposed(tmp_path):
    done = analyze(prepared(tmp_path), "security", "--offline=true", "./weir.service")
    level = re.search(r"Overall exposure level for weir.service: ([0-9.]+)", done.stdout)
    assert level, done.stdout + done.stderr
    assert float(level[1]) <= EXPOSURE_MAX


def test_a_hole_would_be_seen(tmp_path):
    prepared(tmp_path)
    unit = tmp_path / "weir.service"
    unit.write_text(re.sub(r"(?m)^(Protect|Private|Restrict|SystemCall|NoNew|Capability).*$", "",
                           unit.read_text()))
    done = analyze(tmp_path, "security", "--offline=true", "./weir.service")
    level = re.search(r"Overall exposure level for weir.service: ([0-9.]+)", done.stdout)
    assert float(level[1]) > EXPOSURE_MAX
