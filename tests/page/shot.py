#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the README's picture of the dashboard at URL: a PNG of at most 200 KB.

    tests/page/shot.py http://127.0.0.1:9900 docs/dashboard.png
"""
import argparse
import pathlib
import struct
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from page.browser import Browser  # noqa: E402

SIZE_MAX = 200_000


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pixels_of(png):
    """(width, height, RGB bytes) of what Chromium writes: 8 bits, RGB or RGBA, not interlaced."""
    at, packed, width, height, channels = 8, b"", 0, 0, 3
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        data = png[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", data)
            assert depth == 8 and colour in (2, 6) and rest[2] == 0
            channels = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            packed += data
        at += size + 12
    raw, stride = zlib.decompress(packed), width * channels
    rows, before = [], bytearray(stride)
    for y in range(height):
        way, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride) if way else ():
            left = line[i - channels] if i >= channels else 0
            up, corner = before[i], before[i - channels] if i >= channels else 0
            if way == 1:
                add = left
            elif way == 2:
                add = up
            elif way == 3:
                add = (left + up) // 2
            else:
                p = left + up - corner
                add = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
            line[i] = (line[i] + add) & 255
        rows.append(line)
        before = line
    if channels == 3:
        return width, height, b"".join(rows)
    flat = b"".join(rows)
    out = bytearray(width * height * 3)
    for k in range(3):
        out[k::3] = flat[k::4]
    return width, height, bytes(out)


def with_palette(png):
    """The picture in 256 colours: the most frequent ones, and for each other the nearest of them."""
    width, height, rgb = pixels_of(png)
    counted = {}
    colours = [rgb[i:i + 3] for i in range(0, len(rgb), 3)]
    for colour in colours:
        counted[colour] = counted.get(colour, 0) + 1
    # Colours that differ in their last bits only count as one.
    coarse = {}
    for colour, n in counted.items():
        coarse.setdefault(bytes(part >> 3 for part in colour), []).append((n, colour))
    groups = sorted(coarse.values(), key=lambda group: -sum(n for n, _ in group))
    palette = [max(group)[1] for group in groups[:256]]
    index = {}
    for colour in counted:
        index[colour] = min(range(len(palette)), key=lambda i, c=colour: sum((a - b) ** 2 for a, b in zip(palette[i], c)))
    lines = b"".join(b"\0" + bytes(index[colour] for colour in colours[y * width:(y + 1) * width]) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)) +
            chunk(b"PLTE", b"".join(palette)) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("png", type=pathlib.Path)
    parser.add_argument("--view", default="overview")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=1120)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--after", type=float, default=3, help="seconds of live data before the picture")
    parser.add_argument("--click", help="CSS selector of what is clicked before")
    parser.add_argument("--keys", default="", help="keys that are pressed before")
    parser.add_argument("--scroll", type=int, default=0)
    parser.add_argument("--raw", action="store_true", help="as Chromium writes it, however large")
    options = parser.parse_args()
    browser = Browser(options.width, options.height, options.scale)
    try:
        browser.prefer(options.scheme)
        browser.open(options.url.rstrip("/"), options.view)
        if options.after:
            browser.wait_live()
        time.sleep(options.after)
        if options.click:
            browser.click(options.click)
            time.sleep(1.5)
        for key in options.keys:
            browser.press(key)
            time.sleep(0.6)
        if options.scroll:
            browser.js("window.scrollTo(0, arguments[0])", options.scroll)
            time.sleep(1.2)
        png = browser.shot(options.png)
    finally:
        browser.close()
    if len(png) > SIZE_MAX and not options.raw:
        png = with_palette(png)
        options.png.write_bytes(png)
    print(f"{options.png}: {len(png)} bytes")
    if len(png) > SIZE_MAX and not options.raw:
        sys.exit(f"{options.png} is larger than {SIZE_MAX} bytes; take a smaller window")


if __name__ == "__main__":
    main()
