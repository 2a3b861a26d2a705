#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz target for lists of backends to corpus/rows/: lines, YAML and
JSON, and what is kept on the disk, right and wrong. Deterministic, and names as make_corpus.py gives
them.
"""
import hashlib
import json
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
SEED = 7
EACH = 70
ADDRESSES = ("10.0.0.1:80", "[::1]:8080", "[2001:db8::7]:443", "unix:/run/app.sock", "app:80",
             "app-1.internal.example:65535", "localhost:1", "10.0.0.1", "[::1]", ":80", "a:0",
             "a:65536", "1.2.3:80", "http://a:1/", "a:1:2", "", " ", "a b:1", "unix:", "ä:1",
             "x" * 254 + ":80", "10.0.0.300:80", "[::g]:1", "a:-1", "a:+1", "a:080")
VALUES = {
    "id": ("a", "b-2", "", "x" * 200, "a b", "a/b", "é", '"'),
    "pool": ("app", "p", "", "no such", "\t"),
    "weight": ("0", "1", "1000", "1001", "-1", "2.5", "many", "00"),
    "max_connections": ("0", "9", "4294967296", "x"),
    "state": ("active", "drain", "disabled", "odd", "ACTIVE"),
    "metadata": ("m", "{}", '{"a": "b"}', "\\", "=", "\u2028"),
    "wait": ("3",),
}


def words(rng):
    names = rng.sample(sorted(VALUES), rng.randrange(0, 5))
    return {name: rng.choice(VALUES[name]) for name in names}


def lines(rng):
    whole = []
    for _ in range(rng.randrange(0, 8)):
        line = " ".join([rng.choice(ADDRESSES), *(f"{k}={v}" for k, v in words(rng).items())])
        whole.append(line + rng.choice(("", " # why", " #", "\r", "  ", "\0")))
    return "L" + rng.choice(("\n", "\n\n", "\r\n")).join(whole) + rng.choice(("", "\n"))


def entries(rng):
    made = []
    for _ in range(rng.randrange(0, 6)):
        one = {"address": rng.choice(ADDRESSES), **words(rng)}
        if "weight" in one and one["weight"].isdigit() and rng.random() < 0.5:
            one["weight"] = int(one["weight"])
        made.append(rng.choice((one, one["address"], [one], None, 7)) if rng.random() < 0.4 else one)
    return made


def documents(rng):
    whole = entries(rng)
    if rng.random() < 0.5:
        whole = {rng.choice(("backends", "backend", "rows")): whole}
    text = json.dumps(whole, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1)))
    if rng.random() < 0.3:
        text = text[:rng.randrange(len(text))]
    return "Y" + text


def yaml(rng):
    whole = ["backends:"] if rng.random() < 0.5 else []
    for _ in range(rng.randrange(1, 6)):
        whole.append(f"- address: {rng.choice(ADDRESSES)}")
        whole += [f"  {name}: {value}" for name, value in words(rng).items()]
    return "Y" + "\n".join(whole) + rng.choice(("", "\n", "\n...", "\n---\n"))


def kept(rng):
    whole = [rng.choice(("weir rows 1", "weir rows 2", "weir rows", "")),
             rng.choice(("0123456789abcdef", "0123", "g" * 16, ""))]
    for _ in range(rng.randrange(0, 6)):
        cells = [rng.choice(ADDRESSES), *(rng.choice(VALUES[name]) for name in
                 ("id", "pool", "weight", "max_connections", "state")), rng.choice(("", "backup")),
                 rng.choice(("\\t", "{\\n}", "\\", ""))]
        whole.append("\t".join(cells[:rng.choice((8, 8, 8, 7, 1))]))
    return "K" + "\n".join(whole) + rng.choice(("", "\n"))


def main():
    rng = random.Random(SEED)
    folder = HERE / "corpus" / "rows"
    for make in (lines, documents, yaml, kept):
        for _ in range(EACH):
            data = make(rng).encode()
            (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    main()
