# SPDX-License-Identifier: Apache-2.0
"""A site behind weir, in a browser: a page of two hundred resources over HTTP/2."""
import json
import random
import shutil

import pytest

from peers.backend import Backend, serve
from peers.http1 import response
from peers.net import until
from peers.papers import papers
from peers.weir import start

COUNT = 200
# Of every size that a site has, some larger than a window of HTTP/2.
DICE = random.Random(200)
TEXTS = ["%0*x" % (size, DICE.getrandbits(4 * size)) for size in
         (DICE.choice((10, 700, 9_000, 40_000, 150_000)) for _ in range(COUNT))]

HASHES = """
return got.map((text) => {
    let hash = 2166136261;
    for (let i = 0; i < text.length; i++)
        hash = Math.imul(hash ^ text.charCodeAt(i), 16777619) >>> 0;
    return [text.length, hash];
});
"""


def hash_of(text):
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ byte) * 16777619) & 0xffffffff
    return [len(text), value]


def answer(message):
    target = message.target
    if target == "/":
        tags = "".join(f'<script async src="/r/{i}.js"></script>' for i in range(COUNT))
        body = f"<!doctype html><title>many</title><script>got = []</script>{tags}"
        return response(200, "Content-Type: text/html", body=body.encode())
    if target.startswith("/r/"):
        number = int(target[3:-3])
        return response(200, "Content-Type: text/javascript", "Cache-Control: no-store",
                        body=f'got[{number}]="{TEXTS[number]}"'.encode())
    return response(404, body=b"")


@pytest.fixture(name="browser")
def fixture_browser():
    pytest.importorskip("selenium", reason="needs python3-selenium")
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromium-driver")
    from page.browser import Browser

    one = Browser(flags=["--ignore-certificate-errors"])
    yield one
    one.close()


def test_two_hundred_resources_by_http2(browser, tmp_path):
    log = tmp_path / "access"
    words = {"certificates": [papers().files("site")], "frontend": {"tls": True},
             "log": {"access": {"output": str(log)}}}
    with Backend(serve(answer)) as backend, start(backend, **words) as weir:
        browser.driver.get(f"https://{weir.address}/")
        browser.until(lambda: browser.js("return got.filter((text) => text).length") == COUNT,
                      "all resources")
        assert browser.js(HASHES) == [hash_of(text) for text in TEXTS]
        entries = browser.js("return performance.getEntriesByType('resource')"
                             ".filter((one) => one.name.includes('/r/'))"
                             ".map((one) => [one.nextHopProtocol, one.responseStatus])")
        assert len(entries) == COUNT
        assert {entry[0] for entry in entries} == {"h2"}
        page = browser.js("return performance.getEntriesByType('navigation')[0].nextHopProtocol")
        assert page == "h2"
        lines = until(lambda: (lambda lines: lines if len(lines) > COUNT else None)(
            [json.loads(line) for line in log.read_text().splitlines()]), "the access log")
        ours = [line for line in lines if line["url.path"].startswith("/r/")]
        assert len(ours) == COUNT
        assert {line["network.protocol.version"] for line in ours} == {"2"}
        # One is enough; a browser may open another one while the first is not there yet.
        assert len({line["client.port"] for line in ours}) <= 3
