#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs everything that must pass; ends with the line `N passed, N failed, N skipped`.

The parts stand in PARTS, in an order in which the first failure is the simplest. A part whose
folder does not exist yet is not listed; a part that exists and finds no test has failed. Builds
take the whole machine in turn, the other parts run six at a time; each prints one line when it and
all before it are done, and a part that failed prints all that it said.

What the parts may rely on:
  unit    every program that tests/*/meson.build registers with test(); it prints TAP (cmocka does)
          or counts as one test by its exit code
  fuzz    tests/fuzz/meson.build names the targets; the corpus is tests/fuzz/corpus/NAME/
  diff    tests/diff/run.py BUILD_FOLDER         ends with `N passed, N failed[, N skipped]`
  sim     BUILD_FOLDER/tests/sim/sim --seeds N   ends with the same line
  mutants tests/mutants/NAME.patch               a bug for the simulation to find (tools/mutants.py), only
          when named, because each is a build of its own
  wire    pytest in tests/wire, with TEST_WEIR (the program), TEST_IO (epoll or io_uring) and
          TEST_BUILD (the build folder) in the environment
  page    pytest in tests/page: the dashboard in a browser, with an imagined and with a real weir
  drill   tests/drill/*.py, timed, only when named; the same environment, exit code 0 is a pass
"""
import argparse
import concurrent.futures
import ctypes
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
SEEDS = 20000
CORPUS_MIN = 200  # distinct inputs from which each fuzz target starts
# No part comes near it. It turns one that hangs into a failure with its output.
HANG_SECONDS = 1800
FORMATTED = ("src", "tests", "bench")


class Result:
    """What one part came to; several of them add up."""

    def __init__(self, passed=0, failed=0, skipped=0, output="", note=""):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.output, self.note = output, note
        self.seconds = 0.0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.output += other.output
        self.note = ", ".join(filter(None, (self.note, other.note)))

    @property
    def good(self):
        return self.failed == 0 and self.passed + self.skipped > 0

    def counts(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def failure(output):
    return Result(failed=1, output=output if output.endswith("\n") else output + "\n")


class Run:
    """A finished child: exit code (None when it was ended for hanging) and what it printed."""

    def __init__(self, command, code, out, err, leaked):
        self.command, self.code, self.out, self.err, self.leaked = command, code, out, err, leaked

    @property
    def good(self):
        return self.code == 0 and not self.leaked

    def ending(self):
        if self.code is None:
            return f"did not end in {HANG_SECONDS} s"
        if self.leaked:
            return f"ended with {self.code} and left processes behind"
        if self.code < 0:
            return f"died by {signal.Signals(-self.code).name}"
        return f"ended with {self.code}"

    def story(self):
        words = " ".join(str(word) for word in self.command)
        return "".join(text if text.endswith("\n") or not text else text + "\n"
                       for text in (f"$ {words}", self.out, self.err, f"({self.ending()})"))


def members(group):
    """The processes of a group that still run; the dead whom nobody has collected do not count."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # it ended while we looked
        if int(its_group) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def wait_for_none(group, seconds=2):
    """Lets a group whose leader has ended come to its own end."""
    until = time.monotonic() + seconds
    while members(group) and time.monotonic() < until:
        time.sleep(0.05)


class Children:
    """Every child leads a process group of its own, so that nothing outlives this program."""

    def __init__(self):
        self.lock = threading.Lock()
        self.groups = set()
        self.closed = False

    def run(self, command, env=None, cwd=ROOT):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with self.lock:
                if self.closed:
                    return Run(command, -signal.SIGTERM, "", "", False)
                try:
                    child = subprocess.Popen(
                        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=out,
                        stderr=err, cwd=cwd, env={**os.environ, **(env or {})},
                        start_new_session=True)
                except OSError as error:
                    return Run(command, 127, "", f"{command[0]}: {error.strerror}", False)
                self.groups.add(child.pid)
            try:
                code = child.wait(HANG_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            if code is not None:
                wait_for_none(child.pid)
            leaked = self.end(child.pid) and code is not None
            child.wait()
            texts = []
            for stream in (out, err):
                stream.seek(0)
                texts.append(stream.read().decode(errors="replace"))
            return Run(command, code, *texts, leaked)

    def end(self, group):
        """Ends what is left of a group; true if there was anything."""
        with self.lock:
            self.groups.discard(group)
        left = members(group)
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        return bool(left)

    def close(self):
        with self.lock:
            self.closed = True
            groups = list(self.groups)
        for group in groups:
            self.end(group)


CHILDREN = Children()


def fixed_addresses():
    """A prefix that switches address randomisation off: with more than 28 random bits the
    sanitizers of gcc 12 now and then find their shadow memory taken. Empty where it is refused."""
    command = ["setarch", platform.machine(), "-R"]
    try:
        allowed = subprocess.run(command + ["true"], stderr=subprocess.DEVNULL, check=False)
    except OSError:
        return []
    return command if allowed.returncode == 0 else []


def io_uring_refusal():
    """Why this kernel gives no io_uring to this process, or None when it does."""
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(120)
    fd = libc.syscall(425, 4, params)  # io_uring_setup, the same number on every architecture
    if fd >= 0:
        os.close(fd)
        return None
    return os.strerror(ctypes.get_errno())


class Context:
    """What the person asked for, and what the parts share."""

    def __init__(self, options):
        self.options = options
        self.fixed = fixed_addresses()
        self.scratch = None  # a temporary folder, set while the parts run

    def under(self, build):
        """(environment, command prefix) for programs of one build folder."""
        if build not in ("build-asan", "build-tsan"):
            return {}, []
        return {
            "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:abort_on_error=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:abort_on_error=1",
            "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:abort_on_error=1",
        }, self.fixed


# -- reading what tests print ---------------------------------------------------------------------

TAP_PLAN = re.compile(r"^1\.\.(\d+)", re.MULTILINE)
TAP_LINE = re.compile(r"^(not )?ok\b(.*)$", re.MULTILINE)
LAST_LINE = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", re.MULTILINE)


def from_tap(run):
    """Counts TAP. A program that dies before its plan is done has that much more failed."""
    planned = sum(int(number) for number in TAP_PLAN.findall(run.out))
    result = Result()
    for wrong, rest in TAP_LINE.findall(run.out):
        if re.search(r"#\s*skip", rest, re.IGNORECASE):
            result.skipped += 1
        elif wrong:
            result.failed += 1
        else:
            result.passed += 1
    seen = result.passed + result.failed + result.skipped
    if not planned and not seen:
        result = Result(passed=1) if run.good else Result(failed=1)
    elif seen < planned or (not run.good and result.failed == 0):
        result.failed += max(planned - seen, 1)
    elif planned == 0 or seen > planned:
        result.failed += 1  # more was said than promised: the count means nothing
    if result.failed:
        result.output = run.story()
    return result


def from_last_line(run):
    """Counts a program that ends with `N passed, N failed, N skipped`."""
    found = LAST_LINE.findall(run.out)
    if not found:
        return failure(run.story() + "(no line `N passed, N failed, N skipped`)\n")
    result = Result(*(int(number or 0) for number in found[-1]))
    if not run.good and result.failed == 0:
        result.failed = 1
    if not result.good:
        result.output = run.story()
    return result


def from_junit(path, run):
    """Counts what pytest wrote to its XML file."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        return failure(run.story() + f"(no result from pytest: {error})\n")
    result = Result()
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif case.find("skipped") is not None:
            result.skipped += 1
            result.note = f"skipped: {case.find('skipped').get('message', '')[:60]}"
        else:
            result.passed += 1
    if not run.good and result.failed == 0:
        result.failed = 1
    if not result.good:
        result.output = run.story()
    return result


def from_exit(run, note=""):
    return Result(passed=1, note=note) if run.good else failure(run.story())


# -- the parts ------------------------------------------------------------------------------------

def run_floors(_context):
    return from_exit(CHILDREN.run([PYTHON, "tools/floors.py"]))


def run_format(_context):
    files = [path.relative_to(ROOT) for folder in FORMATTED
             for path in sorted((ROOT / folder).rglob("*"))
             if path.suffix in (".c", ".h", ".cc")]
    run = CHILDREN.run(["clang-format-14", "--dry-run", "-Werror", *files])
    return from_exit(run, f"{len(files)} files") if files else Result()


def run_pytest(context, folder, name, env=None, prefix=()):
    report = context.scratch / f"{name}.xml"
    command = [*prefix, PYTHON, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
               f"--junitxml={report}", *context.options.pytest, folder]
    env = {"PYTHONDONTWRITEBYTECODE": "1",
           "HYPOTHESIS_STORAGE_DIRECTORY": str(context.scratch / f"{name}.hypothesis"),
           **(env or {})}
    return from_junit(report, CHILDREN.run(command, env))


def run_tools(context):
    return run_pytest(context, "tests/unit/tools", "tools")


def run_build(_context, folder):
    run = CHILDREN.run(["tools/build", folder], {"QUIET": "1"})
    # When ninja configures again, all that Meson says stands before the first error.
    start = run.out.find("FAILED: ")
    run.out = run.out[max(start, 0):]
    return from_exit(run)


def run_unit(context, build):
    env, prefix = context.under(build)
    listed = CHILDREN.run(["meson", "introspect", "--tests", build])
    if not listed.good:
        return failure(listed.story())
    total = Result()
    for test in json.loads(listed.out):
        run = CHILDREN.run([*prefix, *test["cmd"]],
                           {"CMOCKA_MESSAGE_OUTPUT": "tap", **env, **test["env"]},
                           test["workdir"] or ROOT / build)
        total.add(from_tap(run))
    return total


def fuzz_targets():
    text = (ROOT / "tests/fuzz/meson.build").read_text()
    return sorted(path.stem.removeprefix("fuzz_") for path in (ROOT / "tests/fuzz").glob("fuzz_*.c")
                  if repr(path.stem.removeprefix("fuzz_")) in text)


def run_fuzz(context, build):
    env, prefix = context.under(build)
    total, inputs = Result(), 0
    forgotten = {path.stem.removeprefix("fuzz_")
                 for path in (ROOT / "tests/fuzz").glob("fuzz_*.c")} - set(fuzz_targets())
    for name in sorted(forgotten):
        total.add(failure(f"tests/fuzz/meson.build does not name {name}\n"))
    for name in fuzz_targets():
        corpus = sorted(path for path in (ROOT / "tests/fuzz/corpus" / name).glob("*")
                        if path.is_file())
        inputs += len(corpus)
        distinct = len({path.read_bytes() for path in corpus})
        if distinct < CORPUS_MIN:
            total.add(failure(f"tests/fuzz/corpus/{name} has {distinct} distinct inputs, "
                              f"not {CORPUS_MIN}\n"))
        else:
            run = CHILDREN.run([*prefix, f"{build}/tests/fuzz/replay_{name}", *corpus], env)
            run.command = run.command[:len(prefix) + 1] + ["…"]
            run.out = "\n".join(run.out.splitlines()[-3:])  # the last name is the culprit's
            total.add(from_exit(run))
    total.note = f"{inputs} inputs"
    return total


def run_diff(context, build):
    env, _ = context.under(build)
    return from_last_line(CHILDREN.run([PYTHON, "tests/diff/run.py", build], env))


def run_sim(context, build):
    env, prefix = context.under(build)
    return from_last_line(CHILDREN.run(
        [*prefix, f"{build}/tests/sim/sim", "--seeds", context.options.seeds], env))


def run_mutants(context):
    return from_last_line(CHILDREN.run(
        [PYTHON, "tools/mutants.py", "--seeds", context.options.seeds]))


def run_wire(context, build, io):
    refusal = io_uring_refusal() if io == "io_uring" else None
    if refusal:
        return Result(skipped=1, note=f"the kernel gives no io_uring: {refusal}")
    env, prefix = context.under(build)
    name = f"wire-{build}-{io}"
    # Sanitizers write files of their own, so that no test can overlook what its child said.
    env = {key: f"{value}:log_path={context.scratch / name}.report" for key, value in env.items()}
    env |= {"TEST_WEIR": str(ROOT / build / "weir"), "TEST_IO": io, "TEST_BUILD": build}
    result = run_pytest(context, "tests/wire", name, env, prefix)
    for report in sorted(context.scratch.glob(f"{name}.report.*")):
        result.add(failure(f"{report.name}:\n{report.read_text(errors='replace')}"))
    return result


def run_page(context):
    return run_pytest(context, "tests/page", "page",
                      {"TEST_WEIR": str(ROOT / "build/weir"), "TEST_IO": context.options.io[0],
                       "TEST_BUILD": "build"})


def run_drill(context):
    total = Result()
    for script in sorted((ROOT / "tests/drill").glob("*.py")):
        for io in context.options.io:
            env = {"TEST_WEIR": str(ROOT / "build/weir"), "TEST_IO": io, "TEST_BUILD": "build"}
            run = CHILDREN.run([PYTHON, script], env)
            total.add(from_exit(run))
            print(run.story(), end="", flush=True)
    return total


class Part:
    """One line of the report. It exists when `sign` (a glob) is in the tree; `build` is the build
    folder that must stand before it."""

    def __init__(self, name, title, run, sign, build=None, io=None):
        self.name, self.title, self.run, self.sign = name, title, run, sign
        self.build, self.io = build, io


# Which --build means which folders; parts without a build folder run when none is named.
KINDS = {"build": "normal", "build-test": "normal", "build-clang": "normal",
         "build-asan": "asan", "build-tsan": "tsan"}


def parts():
    """All of them, in the order of the report."""
    found = [
        Part("floors", "floors", run_floors, "src"),
        Part("format", "format", run_format, "src"),
        Part("tools", "tools", run_tools, "tests/unit/tools"),
    ]

    def build(folder, title):
        found.append(Part("build", title, lambda c: run_build(c, folder), "src", folder))

    def unit(folder, title):
        found.append(Part("unit", title, lambda c: run_unit(c, folder),
                          "tests/unit/*/meson.build", folder))

    def wire(folder, title):
        for io in ("epoll", "io_uring"):
            found.append(Part("wire", f"{title}, {io}", lambda c, io=io: run_wire(c, folder, io),
                              "tests/wire", folder, io))

    build("build-test", "gcc -O1")
    unit("build-test", "unit")
    build("build-clang", "clang -O1")
    build("build-asan", "gcc ASan+UBSan")
    build("build", "gcc -O3 LTO")
    unit("build-asan", "unit, ASan+UBSan")
    found.append(Part("fuzz", "fuzz corpora, ASan+UBSan", lambda c: run_fuzz(c, "build-asan"),
                      "tests/fuzz/corpus", "build-asan"))
    found.append(Part("diff", "diff", lambda c: run_diff(c, "build-test"),
                      "tests/diff", "build-test"))
    found.append(Part("sim", "sim", lambda c: run_sim(c, "build-test"),
                      "tests/sim", "build-test"))
    found.append(Part("mutants", "sim finds planted bugs", run_mutants, "tests/mutants/*.patch"))
    wire("build", "wire")
    found.append(Part("page", "page", run_page, "tests/page/test_*.py", "build"))
    wire("build-asan", "wire, ASan+UBSan")
    build("build-tsan", "gcc TSan")
    unit("build-tsan", "unit, TSan")
    wire("build-tsan", "wire, TSan")
    found.append(Part("drill", "drill", run_drill, "tests/drill", "build"))
    return found


def chosen(everything, options, root=ROOT):
    """The parts to run: those that exist and that the options name, and the builds they need."""
    def named(part):
        if options.only:
            if part.name not in options.only:
                return False
        elif part.name in ("drill", "mutants"):
            return False
        if options.build:
            return KINDS.get(part.build) in options.build
        if (part.name, part.build, part.io) == ("wire", "build-asan", "epoll") and not options.only:
            return False  # all but the loop is the same as on the other twin; `make asan` has both
        return options.tsan or part.build != "build-tsan"

    wanted = [part for part in everything if named(part) and any(root.glob(part.sign))
              and part.io in (None, *options.io)]
    needed = {part.build for part in wanted if part.build}
    return [part for part in everything
            if part in wanted or (part.name == "build" and part.build in needed)]


# -- the run --------------------------------------------------------------------------------------

class Reporter:
    """Prints the parts in their order, however they end."""

    def __init__(self, count, out=sys.stdout):
        self.results = [None] * count
        self.printed = 0
        self.total = Result()
        self.failed = []
        self.out = out

    def add(self, index, part, result):
        if result.failed == 0 and result.passed + result.skipped == 0:
            result.failed, result.output = 1, result.output + "(the part has no test)\n"
        self.results[index] = (part, result)
        while self.printed < len(self.results) and self.results[self.printed]:
            self.show(*self.results[self.printed])
            self.printed += 1

    def show(self, part, result):
        word = "ok  " if result.good else "FAIL"
        note = f"  ({result.note})" if result.note else ""
        print(f"{word}  {part.title:<28} {result.counts():<40} {result.seconds:6.1f} s{note}",
              file=self.out)
        if not result.good:
            self.failed.append(part.title)
            print("".join(f"    {line}\n" for line in result.output.splitlines()), end="",
                  file=self.out)
        self.out.flush()
        self.total.passed += result.passed
        self.total.failed += result.failed
        self.total.skipped += result.skipped

    def finish(self):
        """The last line, and the exit code."""
        if not self.results:
            print("Nothing was chosen, so nothing was tested.", file=self.out)
            self.total.failed += 1
        if self.failed:
            print("Failed: " + "; ".join(self.failed), file=self.out)
        print(self.total.counts(), file=self.out)
        self.out.flush()
        return 1 if self.total.failed else 0


def timed(part, context, broken):
    started = time.monotonic()
    if part.build in broken:
        result = failure(f"not run: {part.build} did not build\n")
    else:
        try:
            result = part.run(context)
        except Exception as error:  # a bug of ours must not swallow the other parts
            result = failure(f"{type(error).__name__}: {error}\n")
    result.seconds = time.monotonic() - started
    return result


def run_all(todo, context, reporter):
    """Builds one after the other, everything between them six at a time."""
    broken = set()
    with concurrent.futures.ThreadPoolExecutor(context.options.jobs) as pool:
        waiting = []
        for index, part in enumerate(todo):
            if part.name == "build":
                concurrent.futures.wait(waiting)
                result = timed(part, context, broken)
                if not result.good:
                    broken.add(part.build)
                reporter.add(index, part, result)
                continue
            task = pool.submit(timed, part, context, broken)
            waiting.append(task)
            task.add_done_callback(
                lambda task, index=index, part=part: report(reporter, index, part, task.result()))


REPORT = threading.Lock()


def report(reporter, index, part, result):
    with REPORT:
        reporter.add(index, part, result)


def read_options(arguments):
    names = sorted({part.name for part in parts()})
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=names, metavar="PART",
                        help="run this part (repeatable): " + " ".join(names))
    parser.add_argument("--build", action="append", default=[], choices=sorted(set(KINDS.values())),
                        help="run only what uses this kind of build")
    parser.add_argument("--io", action="append", default=[], choices=["epoll", "io_uring"],
                        help="only this twin of the loop")
    parser.add_argument("--tsan", action="store_true", help="the thread sanitizer as well")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds the simulation runs")
    parser.add_argument("--jobs", type=int, default=6,
                        help="parts at a time; most of them wait most of the time")
    parser.add_argument("pytest", nargs="*", help="after --: more words for pytest, as -k NAME")
    options = parser.parse_args(arguments)
    options.io = options.io or ["epoll", "io_uring"]
    return options


def main(arguments):
    options = read_options(arguments)
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    context = Context(options)
    todo = chosen(parts(), options)
    reporter = Reporter(len(todo))
    scratch = tempfile.mkdtemp(prefix="weir-test-")
    context.scratch = pathlib.Path(scratch)
    try:
        run_all(todo, context, reporter)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    finally:
        CHILDREN.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return reporter.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
