#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks good configurations in hundreds of ways and reads what weir says about each.

    mutate.py CONF_TOOL [--seed N] [--per-kind N] [--verbose]

Every mutant must be refused with exit code 78 and, for each error, FILE:LINE:COLUMN at the line that
was broken; at least 95 % of the single typos must be answered with the right word; several errors
in one file must all be told in one run; nothing may crash. Prints one line per kind, then
`N passed, N failed`.
"""
import argparse
import collections
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ERROR = re.compile(r"^(?P<file>[^:\n]+):(?P<line>\d+):(?P<column>\d+): error\[E\d{3}\]: ", re.M)
ANY_ERROR = re.compile(r"^.*error\[E\d{3}\]: ", re.M)
LETTERS = "abcdefghijklmnopqrstuvwxyz_"

# Names that the writer of the configuration chose: a slip in one is no unknown key.
CHOSEN = {"web", "db", "app", "catalog", "next", "pg", "x-note", "this", "x-canary", "$schema"}
# Words that schema.def lists, and references to pools.
WORDS = {"epoll", "info", "logfmt", "stdout", "combined", "x-real-ip", "x-forwarded", "http", "tcp",
         "consistent_hash", "ewma", "lrt", "least_response_time", "true", "loopback", "cookie",
         "strict", "prequal", "probe"}

KEY_PATTERNS = {
    ".yaml": re.compile(r"(?:(?<=[{\s,])|^)(\$?[a-z_][\w-]*)(?=:(?:\s|$))", re.M),
    ".json": re.compile(r"\"([a-z_$][\w-]*)\"(?=\s*:)"),
    ".toml": re.compile(r"(?:^|(?<=[{,] ))([a-z_][\w-]*)(?= = )", re.M),
}
VALUE_PATTERNS = {
    ".yaml": re.compile(r"(?<=: )\"?([\w.-]+)\"?(?=[,}\s])"),
    ".json": re.compile(r"(?<=: )\"?([\w.-]+)\"?(?=[,}\s])"),
    ".toml": re.compile(r"(?<= = )\"?([\w.-]+)\"?(?=[,}\s])"),
}

Mutant = collections.namedtuple("Mutant", "kind ending text lines suggestion")


def line_at(text, offset):
    return text.count("\n", 0, offset) + 1


def slip(rng, word):
    """One slip of a finger: a letter left out, doubled, wrong or swapped with the next."""
    at = rng.randrange(len(word))
    kind = rng.choice(["drop", "add", "swap", "change"])
    if kind == "drop" and len(word) > 2:
        return word[:at] + word[at + 1:]
    if kind == "add":
        return word[:at] + rng.choice(LETTERS) + word[at:]
    if kind == "swap" and at + 1 < len(word) and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2:]
    return word[:at] + rng.choice([c for c in LETTERS if c != word[at]]) + word[at + 1:]


def fresh_slip(rng, word, taken):
    while True:
        wrong = slip(rng, word)
        if wrong.lower() not in taken and wrong != word and not wrong.startswith("x-"):
            return wrong


class Maker:
    """Makes mutants of one good file."""

    def __init__(self, rng, path, known):
        self.rng = rng
        self.known = known
        self.ending = path.suffix
        self.text = path.read_text()
        comment = "#" if self.ending != ".json" else "\0"
        self.keys = [m for m in KEY_PATTERNS[self.ending].finditer(self.text)
                     if m.group(1) not in CHOSEN and not self.in_comment(m.start(), comment)]
        self.values = [m for m in VALUE_PATTERNS[self.ending].finditer(self.text)
                       if not self.in_comment(m.start(), comment)]

    def in_comment(self, offset, sign):
        start = self.text.rfind("\n", 0, offset) + 1
        return sign in self.text[start:offset]

    def replace(self, match, new, kind, suggestion=None):
        start, end = match.span(1)
        text = self.text[:start] + new + self.text[end:]
        return Mutant(kind, self.ending, text, [line_at(text, start)], suggestion)

    def key_typo(self):
        match = self.rng.choice(self.keys)
        wrong = fresh_slip(self.rng, match.group(1), self.known)
        return self.replace(match, wrong, "typo in a key", match.group(1))

    def word_typo(self):
        match = self.rng.choice([m for m in self.values if m.group(1) in WORDS])
        wrong = fresh_slip(self.rng, match.group(1), self.known)
        return self.replace(match, wrong, "typo in a word", match.group(1))

    def pool_typo(self):
        pools = {"app", "catalog", "next", "pg"}
        match = self.rng.choice(
            [m for m in self.values if m.group(1) in pools
             and re.search(r"pool\"?(:| =) \"?$", self.text[:m.start(1)])])
        wrong = fresh_slip(self.rng, match.group(1), pools | {"web-3"})
        return self.replace(match, wrong, "typo in a reference", match.group(1))

    def wrong_type(self):
        match = self.rng.choice([m for m in self.values
                                 if m.group(1) not in ("app", "catalog", "next", "pg")
                                 and not self.is_free(m)])
        new = self.rng.choice({".yaml": ["[[1], 2]", "{a: 1}"],
                               ".json": ["[[1], 2]", "{\"a\": 1}"],
                               ".toml": ["[[1], 2]", "{ a = 1 }"]}[self.ending])
        start, end = match.span(0)
        text = self.text[:start] + new + self.text[end:]
        return Mutant("wrong type", self.ending, text, [line_at(text, start)], None)

    def is_free(self, match):
        """Values of keys that take anything: notes, $schema, matched header values."""
        before = self.text[:match.start()]
        return bool(re.search(r"(x-note|this|\$schema|x-canary)\"?(: | = )?[^\n]*$",
                              before[before.rfind("\n") + 1:]))

    def no_unit(self):
        match = self.rng.choice([m for m in self.values
                                 if re.fullmatch(r"\d+(s|ms|m|h|KiB|MB|B)", m.group(1))])
        number = re.match(r"\d+", match.group(1)).group(0)
        return self.replace(match, number, "number without its unit")

    def bad_value(self):
        match = self.rng.choice([m for m in self.values
                                 if re.fullmatch(r"\d+(s|ms|m|h|KiB|MB|B)?", m.group(1))
                                 and not self.is_free(m)])
        new = self.rng.choice(["999999999999999999999", "x7", "many"])
        return self.replace(match, new if self.ending == ".yaml" or match.group(0)[0] == '"'
                            else '"%s"' % new, "value out of bounds")

    def duplicate(self):
        match = self.rng.choice(self.keys)
        start = self.text.rfind("\n", 0, match.start()) + 1
        key, value = match.group(1), "1"
        put = {".yaml": "%s: %s, " if "{" in self.text[start:match.start()] else None,
               ".json": "\"%s\": %s, ", ".toml": "%s = %s, "}[self.ending]
        if self.ending == ".toml" and "{" not in self.text[start:match.start()]:
            put = None
        at = match.start() if put else start
        if put is None:
            indent = " " * (match.start() - start)
            put = indent + ("%s: %s\n" if self.ending == ".yaml" else "%s = %s\n")
            if "- " in self.text[start:match.start()]:
                return self.duplicate()
        text = self.text[:at] + put % (key, value) + self.text[at:]
        return Mutant("key given twice", self.ending, text, None, None)

    def missing_include(self):
        name = "conf.d/%s.yaml" % slip(self.rng, "missing")
        put = {".yaml": "include: [%s]\n", ".toml": "include = [\"%s\"]\n",
               ".json": "{\"include\": [\"%s\"],"}[self.ending] % name
        text = put + (self.text if self.ending != ".json" else self.text.lstrip()[1:])
        return Mutant("missing file", self.ending, text, [1], None)

    def tab(self):
        if self.ending != ".yaml":  # where a tab is a space like any other
            return self.syntax()
        lines = self.text.split("\n")
        at = self.rng.choice([i for i, line in enumerate(lines)
                              if line.startswith("  ") and line.strip()])
        lines[at] = "\t" + lines[at].lstrip()
        return Mutant("tab", self.ending, "\n".join(lines), [at + 1], None)

    def syntax(self):
        """A bracket or a quote less, a stray character: the parser stops somewhere behind it."""
        marks = [m for m in re.finditer(r"[\]}\"]", self.text)]
        if self.ending == ".yaml":
            marks = [m for m in re.finditer(r"[\]}]", self.text)]
        match = self.rng.choice(marks)
        text = self.text[:match.start()] + self.text[match.end():]
        return Mutant("broken syntax", self.ending, text, None, None)

    def not_a_list(self):
        put = self.rng.choice(["certificates", "tests"])
        line = {".yaml": "%s: {}\n", ".toml": "%s = {}\n", ".json": "{\"%s\": {},"}
        text = line[self.ending] % put
        text += self.text if self.ending != ".json" else self.text.lstrip()[1:]
        return Mutant("a map for a list", self.ending, text, [1], None)

    def many(self):
        """Several typos at once: each must be told."""
        text, wrong = self.text, []
        matches = self.rng.sample(self.keys, 5)
        lines = []
        for match in sorted(matches, key=lambda m: -m.start()):
            start, end = match.span(1)
            new = fresh_slip(self.rng, match.group(1), self.known)
            text = text[:start] + new + text[end:]
            wrong.append(start)
            lines.append(line_at(self.text, start))
        # A typo in a key that holds a map hides what is wrong inside of it.
        return Mutant("several typos", self.ending, text, lines, None)


KINDS = ["key_typo", "word_typo", "pool_typo", "wrong_type", "no_unit", "bad_value", "duplicate",
         "missing_include", "tab", "syntax", "not_a_list", "many"]


def run(tool, folder, mutant):
    path = folder / ("mutant" + mutant.ending)
    path.write_text(mutant.text)
    return subprocess.run([tool, "check", path.name], cwd=folder, capture_output=True, text=True,
                          timeout=60, check=False)


def judge(mutant, result):
    """What is wrong with the answer, or None; and whether a suggestion was asked for and right."""
    right = None
    said = result.stderr
    places = [int(m.group("line")) for m in ERROR.finditer(said)]
    if mutant.suggestion:
        right = "'%s'" % mutant.suggestion in "\n".join(
            line for line in said.split("\n") if "did you mean" in line or "| " in line)
    if result.returncode != 78:
        return "exit code %d" % result.returncode, right
    if not places:
        return "no error with a place", right
    if len(places) != len(ANY_ERROR.findall(said)):
        return "an error without line and column", right
    if mutant.lines and mutant.kind != "several typos" and mutant.lines[0] not in places:
        return "line %d is not named" % mutant.lines[0], right
    if mutant.kind == "several typos":
        text = mutant.text.split("\n")
        for line in mutant.lines:
            hidden = any(other < line and text[other - 1].rstrip().endswith((":", "{", "]", "["))
                         for other in mutant.lines if other != line)
            if line not in places and not hidden:
                return "line %d is not named" % line, right
    if mutant.kind == "key given twice" and not re.search(r"first one is at|given here and at",
                                                          said):
        return "the first place is not named", right
    return None, right


def known_words(tool):
    reference = subprocess.run([tool, "reference"], capture_output=True, text=True, check=True)
    return set(re.findall(r"`([\w-]+)`", reference.stdout)) | {"weir"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("tool", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-kind", type=int, default=15)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    tool = args.tool.resolve()
    known = known_words(tool)
    makers = [Maker(rng, path, known) for path in sorted((HERE / "good").glob("full.*"))]
    counts, failures = collections.Counter(), []
    asked = suggested = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind in KINDS:
            for number in range(args.per_kind * len(makers)):
                mutant = getattr(makers[number % len(makers)], kind)()
                result = run(tool, folder, mutant)
                fault, right = judge(mutant, result)
                counts[mutant.kind] += 1
                asked += right is not None
                suggested += bool(right)
                if fault:
                    failures.append(mutant.kind)
                if fault or (args.verbose and right is False):
                    print("--- %s (%s): %s\n%s" % (mutant.kind, mutant.ending,
                                                   fault or "no right suggestion for '%s'"
                                                   % mutant.suggestion, result.stderr))
    for kind, count in counts.items():
        print("%-26s %3d refused with their places, %d not" %
              (kind, count - failures.count(kind), failures.count(kind)))
    print("right suggestion for %d of %d typos (%.1f %%)" % (suggested, asked,
                                                             100 * suggested / asked))
    enough = suggested >= 0.95 * asked
    total = sum(counts.values())
    print("%d passed, %d failed" % (total - len(failures) + enough, len(failures) + (not enough)))
    return 0 if not failures and enough else 1


if __name__ == "__main__":
    sys.exit(main())
