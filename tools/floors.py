#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that src/ keeps its floors, and that nobody calls what is banned.

A file may include its own folder and lower floors: never a sibling on its floor, never upwards.
Prints every breach as FILE:LINE and ends with 1 if there is any. With --longest it also prints the
longest functions and files, which is news and never a failure.
"""
import argparse
import pathlib
import re
import sys

FLOORS = {
    "base": 0,
    "loop": 1, "proto": 1, "decide": 1,
    "conf": 2, "net": 2,
    "upstream": 3,
    "proxy": 4,
    "control": 5,
    "admin": 6, "discover": 6,
    "cli": 7,
}
CODE = {".c", ".h", ".cc", ".def"}
# A function that fits a screen, and a file with one subject.
FUNCTION_LINES, FILE_LINES = 70, 1000

# What is banned, why, and the folders in which it is at home.
UNBOUNDED = "it does not know the size of its target"
SILENT = "it cannot tell a number from rubbish"
CLOCK = "the clock is read in loop/ only, so that tests can move it"
HEAP = "memory comes from base/ (mem.h, slab.h, arena.h)"
DICE = "randomness comes from base/rng.h, so that a run can be repeated"
MUTE = "floors 0 to 3 never log; they return what happened"
NOTHING = frozenset()
QUIET_FLOORS = {folder for folder, floor in FLOORS.items() if floor <= 3}
BANNED = [
    # (regular expression of the call, reason, folders where it is allowed)
    (r"strcpy|stpcpy|strcat|sprintf|vsprintf|gets|strncpy|strncat", UNBOUNDED, NOTHING),
    (r"atoi|atol|atoll|atof", SILENT, NOTHING),
    (r"strtok", "it keeps its state where every thread can see it", NOTHING),
    (r"time|clock_gettime|gettimeofday|timespec_get|ftime|clock", CLOCK, {"loop"}),
    (r"malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf|aligned_alloc"
     r"|posix_memalign|memalign", HEAP, {"base"}),
    (r"rand|srand|random|srandom|drand48|rand_r", DICE, NOTHING),
    (r"printf|vprintf|puts|putchar|perror|syslog", MUTE, set(FLOORS) - QUIET_FLOORS),
    (r"fprintf\s*\(\s*std(?:err|out)\b|fputs\s*\([^;]*\bstderr", MUTE, set(FLOORS) - QUIET_FLOORS),
]
# (file, call) -> the reason why this one may.
EXCEPTIONS = {
    ("base/base.c", "fprintf"): "a failed ASSERT speaks before the process dies",
    ("base/arena.c", "fprintf"): "as mem.c, where it needs a chunk",
    ("base/mem.c", "fprintf"): "memory that is missing at start ends the process with a message",
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def strip(text):
    """The code without comments and the inside of literals; every line stays where it was."""
    def blank(match):
        word = match.group(0)
        return ("\"\"" if word[0] == '"' else " ") + "\n" * word.count("\n")
    return NOT_CODE.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Tree:
    """The source files below one folder, and what they include."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.texts = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and path.suffix in CODE:
                self.texts[str(path.relative_to(self.root))] = path.read_text(errors="replace")
        self.includes = {name: self.includes_of(text) for name, text in self.texts.items()}

    @staticmethod
    def includes_of(text):
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                found.append((number, match.group(1) == '"', match.group(2)))
        return found

    def check_floors(self):
        for name, includes in self.includes.items():
            folder = name.split("/")[0]
            if folder not in FLOORS or "/" not in name:
                yield f"{name}:1: src/{name} stands on no floor; tools/floors.py lists them"
                continue
            for number, quoted, target in includes:
                if quoted:
                    yield from self.check_include(name, folder, number, target)

    def check_include(self, name, folder, number, target):
        where = f"{name}:{number}: "
        other = target.split("/")[0]
        if target not in self.texts:
            yield where + f'"{target}" is not in src/; includes are written from there'
        elif other != folder and FLOORS.get(other, 99) == FLOORS[folder]:
            yield where + f"{folder}/ may not include its sibling {other}/ on floor {FLOORS[folder]}"
        elif other != folder and FLOORS.get(other, 99) > FLOORS[folder]:
            yield where + (f"{folder}/ on floor {FLOORS[folder]} may not include {other}/ "
                           f"on floor {FLOORS.get(other, '?')}")

    def check_cycles(self):
        """Each circle of headers once, named from its first header in the alphabet."""
        graph = {name: sorted({target for _, quoted, target in includes
                               if quoted and target in self.texts})
                 for name, includes in self.includes.items()}
        done = set()
        for start in sorted(graph):
            path, stack = [], [(start, False)]
            while stack:
                name, leaving = stack.pop()
                if leaving:
                    path.pop()
                    done.add(name)
                elif name in path:
                    circle = path[path.index(name):] + [name]
                    yield f"{name}:1: headers in a circle: " + " -> ".join(circle)
                elif name not in done:
                    path.append(name)
                    stack.append((name, True))
                    stack.extend((target, False) for target in graph[name])

    def check_calls(self):
        for name, text in self.texts.items():
            if name.endswith(".cc"):
                continue  # The C++ library that it wraps owns its memory and its strings.
            code = strip(text)
            folder = name.split("/")[0]
            for pattern, reason, homes in BANNED:
                if folder in homes:
                    continue
                call = pattern if r"\(" in pattern else rf"(?:{pattern})\s*\("
                for match in re.finditer(rf"(?<![\w.])(?<!->)(?:{call})", code):
                    word = re.match(r"\w+", match.group(0)).group(0)
                    if (name, word) not in EXCEPTIONS:
                        yield f"{name}:{line_of(code, match.start())}: {word}() is banned: {reason}"

    def breaches(self):
        found = [*self.check_floors(), *self.check_cycles(), *self.check_calls()]
        if not self.texts:
            found.append(f"{self.root}: no source file found; nothing was checked")
        return found

    def functions(self):
        """(lines, file, line, head) of each function: its braces stand alone in column 0."""
        for name, text in self.texts.items():
            lines = text.splitlines()
            opened = None
            for number, line in enumerate(lines, 1):
                if line == "{" and opened is None:
                    opened = number
                elif line == "}" and opened is not None:
                    head = opened - 1
                    while head > 1 and lines[head - 2].strip() and lines[head - 2][0] not in "}#/":
                        head -= 1
                    yield number - head + 1, name, head, lines[head - 1].strip()
                    opened = None

    def print_longest(self, out, count=10):
        functions = sorted(self.functions(), reverse=True)
        files = sorted(((text.count("\n"), name) for name, text in self.texts.items()), reverse=True)
        print(f"Longest functions (a screen is {FUNCTION_LINES} lines):", file=out)
        for length, name, line, head in functions[:count]:
            mark = "*" if length > FUNCTION_LINES else " "
            print(f" {mark}{length:5}  {name}:{line}  {head[:70]}", file=out)
        print(f"Longest files (one subject fits in {FILE_LINES} lines):", file=out)
        for length, name in files[:count]:
            print(f" {'*' if length > FILE_LINES else ' '}{length:5}  {name}", file=out)


def main(arguments):
    default = pathlib.Path(__file__).resolve().parent.parent / "src"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", default=default)
    parser.add_argument("--longest", action="store_true", help="print the longest functions, files")
    options = parser.parse_args(arguments)
    tree = Tree(options.root)
    breaches = tree.breaches()
    for breach in breaches:
        print(breach)
    if options.longest:
        tree.print_longest(sys.stdout)
    includes = sum(quoted for found in tree.includes.values() for _, quoted, _ in found)
    print(f"{len(tree.texts)} files, {includes} includes, {len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
