#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares weir's request parser with Node's own (llhttp, strict) over generated requests.

    tests/diff/run.py BUILD_FOLDER [--seed N] [--show LABEL]

Behind each case comes one more request, so that a difference about where a message ends shows
itself. Of a valid case both must read what the generator wrote. An odd one weir may refuse; what it
takes, Node must take too and read in the same way, but for the classes in LAXER, each with its
reason. Ends with the line `N passed, N failed`.
"""
import argparse
import collections
import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import requests

HERE = pathlib.Path(__file__).resolve().parent
SEED, VALID, CHANGED = 1, 2000, 3000
CASES_MIN, VALID_MIN = 2000, 600

# Where Node refuses what weir takes, or reads it differently: what the case must look like, what
# the comparison may say, and why weir is right.
TAB = re.compile(rb"^(connection|content-length|transfer-encoding):[^\r\n]*\t *\r\n", re.I | re.M)
BLANK_EXTENSION = re.compile(rb"\r\n[0-9a-f]+(;[^\r\n]*)?([ \t]+[;=]|[;=][ \t])", re.I)
UPGRADE = re.compile(rb"^upgrade:", re.I | re.M)
LAXER = {
    "a method Node does not know": (
        re.compile(b""), ["unknown method"],
        "methods are an open set (RFC 9110 9.1) and do not change where a message ends; when the "
        "first message has one, GET is put in its place and the rest is compared"),
    "a tab behind the value": (
        TAB, ["in Content-Length", "invalid `Transfer-Encoding`", "weir closed, node"],
        "white space around a value may be tabs (RFC 9110 5.5); Node skips only spaces there and "
        "refuses the value, or does not understand `close`"),
    "a tab behind keep-alive": (
        TAB, ["node refuses a head: closed"],
        "the same: Node does not understand `keep-alive` of HTTP/1.0 and closes"),
    "white space in a chunk extension": (
        BLANK_EXTENSION, ["HPE_STRICT", "HPE_INVALID_CHUNK_SIZE"],
        "the grammar has it and asks recipients to skip it (RFC 9112 7.1.1); weir forwards no "
        "extension, and writes every chunk line itself"),
    "an upgrade": (
        UPGRADE, ["node refuses a head: ok"],
        "Node stops to read at a request that offers an upgrade; weir's parser goes on, and its "
        "session holds what follows until the answer is known"),
}
# And what weir refuses though it is valid, by decision; the generator counts none of it as valid:
# CONNECT; a comma in Host, which is what two merged Hosts look like; http://host?query,
# which has no slash to forward; IPvFuture hosts and port 0; more than 32 options in Connection;
# expectations other than 100-continue; chunk sizes of more than 16 digits or from 2^63 on, lengths
# from 2^63 on; trailer fields that frame, route or authenticate; codings before chunked.


def hexes(pairs):
    return [{"name": n.hex(), "value": v.hex()} for n, v in pairs]


def ask(command, cases):
    """One line of JSON for each case."""
    data = b"".join(struct.pack("<I", len(text)) + text
                    for text in (case.data + requests.SENTINEL for case in cases))
    child = subprocess.run([str(word) for word in command], input=data, stdout=subprocess.PIPE,
                           check=False)
    answers = [json.loads(line) for line in child.stdout.splitlines()]
    if child.returncode != 0 or len(answers) != len(cases):
        sys.exit(f"diff: {command[0]} ended with {child.returncode} after {len(answers)} of "
                 f"{len(cases)} cases")
    return answers


def without_zeros(field):
    """weir takes the zeros off the front of a length, since some readers would read it as octal."""
    name, value = bytes.fromhex(field["name"]), bytes.fromhex(field["value"])
    if name.lower() != b"content-length" or not value.isdigit():
        return field
    return {"name": field["name"], "value": (value.lstrip(b"0") or b"0").hex()}


def view(message):
    """What two readers of a message must agree on."""
    seen = {key: message[key] for key in ("method", "target", "minor", "body", "whole")}
    seen["fields"] = [without_zeros(field) for field in message["fields"]]
    seen["trailers"] = message.get("trailers", [])
    return seen


SENTINEL_VIEW = view({"method": b"GET".hex(), "target": b"/sentinel".hex(), "minor": 1,
                      "fields": hexes([(b"Host", b"sentinel")]), "body": "", "whole": True})


def expected(case):
    want = case.expect
    return view({"method": want["method"].hex(), "target": want["target"].hex(),
                 "minor": want["minor"], "fields": hexes(want["fields"]),
                 "body": want["body"].hex(), "trailers": hexes(want["trailers"]), "whole": True})


def reads_as_written(case, answer):
    """Why not, or None."""
    views = [view(message) for message in answer["messages"]]
    if not views or views[0] != expected(case):
        return f"reads something else: {answer['end']} {answer['why']}"
    if answer["messages"][0]["keep_alive"]:
        return None if views[1:] == [SENTINEL_VIEW] else "does not find the next request"
    return None if len(views) == 1 and answer["end"] == "closed" else "does not close"


def knows(method_hex):
    return bytes.fromhex(method_hex).decode("latin-1") in requests.METHODS + ["CONNECT"]


def compare(weir, node):
    """Where weir takes more than Node, or takes it differently: a class, or None."""
    for i, message in enumerate(weir["messages"]):
        mine, other = view(message), None
        if not message["whole"] and weir["end"] == "refused":
            return None
        if i >= len(node["messages"]):
            if i > 0 and not knows(mine["method"]):
                return "unknown method"
            return f"node refuses a head: {node['why'] or node['end']}"
        other = view(node["messages"][i])
        if not other["whole"] and node["end"] == "refused":
            return f"node refuses a body: {node['why']}"
        if mine != other:
            return "read differently: " + " ".join(key for key in mine if mine[key] != other[key])
    if weir["end"] != "refused" and weir["end"] != node["end"]:
        return f"weir {weir['end']}, node {node['end']}: {node['why']}"
    return None


def excuse(case, difference):
    """The class of LAXER that a difference belongs to, or None."""
    for name, (looks, says, _) in LAXER.items():
        if looks.search(case.data) and any(words in difference for words in says):
            return name
    return None


def with_known_method(case, answer):
    """Node knows a closed set of methods, RFC 9110 9.1 an open one. A case whose method Node cannot
    know is compared with GET in its place, so that nothing else of it is lost. weir found the
    method at the start."""
    if case.valid or not answer["messages"] or knows(answer["messages"][0]["method"]):
        return case
    method = bytes.fromhex(answer["messages"][0]["method"])
    return requests.Case(case.label, case.data.replace(method, b"GET", 1))


def told(answer):
    messages = [f"{bytes.fromhex(m['method'])} {bytes.fromhex(m['target'])} body {m['body'][:60]}"
                f"{'' if m['whole'] else ' cut'}" for m in answer["messages"]]
    return f"{', '.join(messages)}; {answer['end']} {answer['why']}"


def verdict(case, mine, theirs):
    """(passed, kind)"""
    if case.valid:
        found = [f"{who} {why}" for who, why in (("weir", reads_as_written(case, mine)),
                                                 ("node", reads_as_written(case, theirs))) if why]
        return not found, "valid, both read what was written" if not found else "; ".join(found)
    difference = compare(mine, theirs)
    if difference:
        name = excuse(case, difference)
        return bool(name), f"laxer by decision: {name}" if name else f"LAXER: {difference}"
    if mine["end"] == "refused":
        stricter = "both refuse" if theirs["end"] == "refused" else "only weir refuses"
        return True, f"odd, {stricter}"
    return True, f"odd, both read the same, {mine['end']}"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--show", metavar="TEXT", help="print the cases of kinds that contain this")
    options = parser.parse_args(arguments)
    node = shutil.which("nodejs") or shutil.which("node")
    if not node:
        sys.exit("diff: there is no nodejs; `tools/setup test` installs it")
    weir = [pathlib.Path(options.build) / "tests/diff/weir_parse"]
    cases = requests.make(options.seed, VALID, CHANGED)
    cases = [with_known_method(case, answer) for case, answer in zip(cases, ask(weir, cases))]
    answers = zip(cases, ask(weir, cases), ask([node, "--no-deprecation", HERE / "node_parse.js"],
                                               cases))
    kinds, failed = collections.Counter(), 0
    for case, mine, theirs in answers:
        passed, kind = verdict(case, mine, theirs)
        kinds[kind] += 1
        failed += not passed
        if not passed or (options.show and options.show in kind):
            print(f"{kind}\n  {case.label}: {case.data}\n"
                  f"  weir: {told(mine)}\n  node: {told(theirs)}")
    for kind, count in sorted(kinds.items()):
        print(f"{count:6}  {kind}")
    valid = sum(case.valid for case in cases)
    if len(cases) < CASES_MIN or valid < VALID_MIN:
        print(f"{len(cases)} cases, {valid} valid: too few")
        failed += 1
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
