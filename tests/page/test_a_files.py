# SPDX-License-Identifier: Apache-2.0
"""The files of the dashboard, without a browser."""
import re

from .mock import PAGE

FILES = sorted(PAGE.iterdir())
SIZE_MAX = 100 * 1024


def test_they_fit():
    sizes = {file.name: file.stat().st_size for file in FILES}
    assert sum(sizes.values()) <= SIZE_MAX, sizes


def test_nothing_is_fetched_from_elsewhere():
    for file in FILES:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "").replace("http://localhost:8080/", "")
        assert not re.search(r"https?:|//[a-z]+\.[a-z]|@import|url\(", text), file.name


def test_nothing_parses_markup_or_code():
    banned = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|"
                        r"\beval\b|new Function|setTimeout\(\s*[\"'`]|javascript:|srcdoc")
    for file in FILES:
        assert not banned.search(file.read_text()), file.name


def test_markup_has_no_inline_style_or_script():
    text = (PAGE / "index.html").read_text()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)", text)


def test_every_name_that_a_script_looks_up_is_in_the_page():
    there = set(re.findall(r'\sid="([^"]+)"', (PAGE / "index.html").read_text()))
    made = ("t-saturation", "v-errors_ratio", "v-queued", "live-pause", "sources")  # by scripts
    for file in PAGE.glob("*.js"):
        wanted = set(re.findall(r'\$\("([^"]+)"\)', file.read_text()))
        assert wanted - set(made) <= there, file.name

def test_every_shape_exists():
    text = (PAGE / "dom.js").read_text()
    shapes = set(re.findall(r'^\t([a-z]+): "[~:]?M', text, re.MULTILINE))
    used = re.findall(r'\["[a-z_]+", "([a-z]+)", "(?:ok|warn|bad|mute)"\]', text) + re.findall(r'shape: "([a-z]+)"', text)
    assert len(used) > 15 and set(used) <= shapes
