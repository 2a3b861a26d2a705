#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs each libFuzzer target of build-fuzz for a bounded time; ends with 1 if one finds anything.

What is new and interesting is kept in build-fuzz/corpus/NAME/ for the next run, and an input that
breaks the target in build-fuzz/found/NAME/. With --merge the new inputs that reach new code are
copied to tests/fuzz/corpus/NAME/, where `make test` replays them for ever. With --coverage nothing
is fuzzed: the corpora are replayed in build-coverage, and what is printed is how many lines of each
source file they reach.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-fuzz"
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1",
           "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def targets():
    """Name -> program; a program that is not there did not build, and ninja has said so."""
    return {path.name.removeprefix("fuzz_"): path
            for path in sorted((BUILD / "tests/fuzz").glob("fuzz_*"))
            if path.is_file() and os.access(path, os.X_OK)}


def run(name, program, *words):
    seeds = ROOT / "tests/fuzz/corpus" / name
    kept, found = BUILD / "corpus" / name, BUILD / "found" / name
    for folder in (kept, found):
        folder.mkdir(parents=True, exist_ok=True)
    command = [program, f"-artifact_prefix={found}/", "-print_final_stats=1", "-timeout=25",
               "-rss_limit_mb=2048", *words, kept, *([seeds] if seeds.is_dir() else [])]
    dictionary = ROOT / "tests/fuzz" / f"{name}.dict"
    if dictionary.is_file():
        command.insert(1, f"-dict={dictionary}")
    return subprocess.run([str(word) for word in command], env={**os.environ, **OPTIONS},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)


def fuzz(name, program, seconds):
    child = run(name, program, f"-max_total_time={seconds}")
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", child.stdout)
    cover = re.findall(r"cov: (\d+)", child.stdout)
    count = int(runs.group(1)) if runs else 0
    good = child.returncode == 0 and count > 0
    print(f"{'ok  ' if good else 'FAIL'}  {name:<24} {count} runs, "
          f"{cover[-1] if cover else '?'} edges", flush=True)
    if not good:
        print(child.stdout, flush=True)
    return good


def merge(name, program):
    """libFuzzer copies from its second folder to its first what reaches new code."""
    seeds = ROOT / "tests/fuzz/corpus" / name
    seeds.mkdir(parents=True, exist_ok=True)
    before = len(list(seeds.iterdir()))
    child = subprocess.run([str(program), "-merge=1", str(seeds), str(BUILD / "corpus" / name)],
                           env={**os.environ, **OPTIONS}, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace", check=False)
    if child.returncode != 0:
        print(child.stdout)
        return False
    print(f"{name}: {len(list(seeds.iterdir())) - before} new inputs kept")
    return True


def coverage(names):
    """For each target, the files of which its corpus reaches anything, and how much of them."""
    build = ROOT / "build-coverage"
    subprocess.run(["tools/build", build.name], cwd=ROOT, env={**os.environ, "QUIET": "1"},
                   stdout=subprocess.DEVNULL, check=True)
    programs = {path.name.removeprefix("replay_"): path
                for path in sorted((build / "tests/fuzz").glob("replay_*")) if path.is_file()}
    for name, program in programs.items():
        if names and name not in names:
            continue
        corpus = [path for path in (ROOT / "tests/fuzz/corpus" / name).glob("*") if path.is_file()]
        raw, profile = build / f"{name}.profraw", build / f"{name}.profdata"
        subprocess.run([program, *corpus], env={**os.environ, "LLVM_PROFILE_FILE": str(raw)},
                       stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["llvm-profdata-14", "merge", "-o", profile, raw], check=True)
        told = subprocess.run(["llvm-cov-14", "export", "-summary-only",
                               f"-instr-profile={profile}", program],
                              stdout=subprocess.PIPE, check=True)
        print(f"{name}: {len(corpus)} inputs")
        for file in json.loads(told.stdout)["data"][0]["files"]:
            lines = file["summary"]["lines"]
            where = pathlib.Path(file["filename"]).resolve()
            if lines["covered"] and where.is_relative_to(ROOT / "src"):
                print(f"  {lines['percent']:5.1f} % of {lines['count']:4} lines  "
                      f"{where.relative_to(ROOT)}")
    return 0 if programs else 1


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="targets; all when none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--merge", action="store_true", help="keep what the runs have found")
    parser.add_argument("--coverage", action="store_true", help="count the lines that they reach")
    options = parser.parse_args(arguments)
    if options.coverage:
        return coverage(options.names)
    known = targets()
    unknown = set(options.names) - set(known)
    if unknown or not known:
        print(f"fuzz: no such target in {BUILD.name}: {' '.join(unknown)}" if unknown else
              "fuzz: there is no target")
        return 1
    wanted = {name: known[name] for name in options.names or known}
    if options.merge:
        results = [merge(name, program) for name, program in wanted.items()]
    else:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            results = list(pool.map(lambda item: fuzz(*item, options.seconds), wanted.items()))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
