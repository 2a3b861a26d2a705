#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of the fuzz target for what one process leaves to the next to
corpus/bequest/: rows of orders and generations, right and wrong. Deterministic, and names as
make_corpus.py gives them.
"""
import hashlib
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
SEED = 11
EACH = 40
NAMES = ("app", "b2", "a b", "\\t", "\\\\", "", "é", "x" * 300)
NUMBERS = ("0", "1", "7", "1000", "1001", "-1", "4294967296", "many", "")
WORDS = ("drain", "enabled", "disabled", "open", "closed", "auto", "debug", "off", "asleep")


def edit(rng):
    return [rng.choice(("add", "remove")), rng.choice(NAMES), rng.choice(NAMES),
            rng.choice(("10.0.0.1:80", "", "x")), rng.choice(NUMBERS), rng.choice(NUMBERS),
            rng.choice(("0", "1", "2")), rng.choice(NUMBERS), rng.choice(NAMES)]


def order(rng):
    return ["order", rng.choice(("state", "weight", "breaker", "log_level", "colour")),
            rng.choice(NAMES), rng.choice(NAMES), rng.choice(WORDS + NUMBERS),
            rng.choice(NUMBERS), rng.choice(NAMES)]


def generation(rng):
    return ["generation", rng.choice(NUMBERS), rng.choice(NUMBERS), rng.choice(NAMES), "start",
            rng.choice(NAMES)]


def text(rng):
    return ["text", rng.choice(("{}", '{"a":\\n1}', ""))]


def other(rng):
    return [rng.choice(("dropped", "colour", "")), rng.choice(NUMBERS)]


def rows(rng, makers):
    lines = []
    for _ in range(rng.randrange(0, 10)):
        cells = rng.choice(makers)(rng)
        lines.append("\t".join(cells[:rng.choice((99, 99, 99, 3, 1))]))
    return "\n".join(lines) + rng.choice(("\n", ""))


def main():
    rng = random.Random(SEED)
    folder = HERE / "corpus" / "bequest"
    folder.mkdir(exist_ok=True)
    made = [b"Rweir orders 1\n", b"Rweir orders 2\n0123456789abcdef\n", b"R", b"O", b"G"]
    for _ in range(EACH):
        made.append(("O" + rows(rng, (order, edit, other))).encode())
        made.append(("G" + rows(rng, (text, generation, generation, edit, other))).encode())
    for data in made:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    main()
