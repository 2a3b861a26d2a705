#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of fuzz_rows to corpus/rows/, named as make_corpus.py names them."""
import hashlib
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent / "corpus" / "rows"
KEPT = "weir rows 1\n%s\n10.0.0.1:80\ta\tp\t3\t9\tdrain\tbackup\t{\\t}\n"
SEEDS = [
    "L10.0.0.1:80\n10.0.0.2:80 weight=3 state=drain # c\n\n# no\n[::1]:80\r\nunix:/run/x\napp:80",
    "L10.0.0.1:80 id=a pool=p max_connections=9 metadata=m weight=1001 state=odd wait=3 x\n"
    "10.0.0.2:80 id=a\n10.0.0.1:80\nnonsense\n:80\n1.2.3:80\nhttp://a:1/\n",
    "L[10.0.0.1:80]", "L{backends: [a:1]}", "L\0a:1\0b:2", "L" + "a" * 300 + ":80\n",
    "Y- 10.0.0.1:80\n- {address: \"10.0.0.2:80\", weight: 2, id: x}\n- [a]\n-\n",
    "Ybackends:\n- address: a:1\n  state: disabled\n  odd: 1\n  weight: [2]\n",
    "Y{\"backends\": [{\"address\": \"a:1\", \"metadata\": \"{\\\"a\\\": \\\"\\t\\n\\\"}\"}]}",
    "Y- [b", "Yx: 1", "Y&a [*a]", "Y",
    "K" + KEPT % "0123456789abcdef", "Kweir rows 1\n", "K",
]

FOLDER.mkdir(parents=True, exist_ok=True)
for seed in SEEDS:
    data = seed.encode()
    (FOLDER / hashlib.sha1(data).hexdigest()).write_bytes(data)
