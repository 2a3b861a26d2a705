#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Plants each bug of tests/mutants/*.patch in a copy of the tree and sees the simulation find it.

A simulation that passes whatever one does to the code proves nothing. Each patch (made with
`git diff`, applied with -p1) puts one bug into src/; with it the simulation has to fail and to name
a seed, and without any it has to pass. Works in build-mutants/, and ends with the line
`N passed, N failed, N skipped`.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ("meson.build", "meson_options.txt", "src", "tests", "etc", "bench", "tools")


def run(command, cwd):
    return subprocess.run([str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", check=False)


def copy_tree(target):
    """Only what changed gets a new time, so that the folder is compiled once and then kept."""
    kept = set()
    for part in PARTS:
        top = ROOT / part
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            copy = target / path.relative_to(ROOT)
            kept.add(copy)
            if not copy.is_file() or copy.read_bytes() != path.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    for path in list(target.rglob("*")):
        if path.is_file() and path not in kept:
            path.unlink()


class Laboratory:
    def __init__(self, folder, seeds):
        self.tree, self.build, self.seeds = folder / "tree", folder / "build", seeds
        self.tree.mkdir(parents=True, exist_ok=True)

    def prepare(self):
        copy_tree(self.tree)
        if (self.build / "build.ninja").is_file():
            return None
        shutil.rmtree(self.build, ignore_errors=True)
        made = run(["meson", "setup", self.build, self.tree, "-Doptimization=1", "-Ddebug=true",
                    "-Dwerror=false"], self.tree)
        return made.stdout if made.returncode else None

    def simulate(self):
        """(whether it built, whether the simulation passed, what was said)"""
        built = run(["ninja", "-C", self.build, "-j", os.cpu_count(), "tests/sim/sim"], self.tree)
        if built.returncode:
            return False, False, built.stdout
        ran = run([self.build / "tests/sim/sim", "--seeds", self.seeds], self.tree)
        return True, ran.returncode == 0, ran.stdout

    def plant(self, patch):
        done = run(["patch", "-p1", "--no-backup-if-mismatch", "-i", patch], self.tree)
        return done.stdout if done.returncode else None

    def try_one(self, patch):
        """None when the bug was found, else why not."""
        copy_tree(self.tree)
        problem = self.plant(patch)
        if problem:
            return "the patch does not apply:\n" + problem
        built, passed, said = self.simulate()
        if not built:
            return "does not compile:\n" + said
        if passed:
            return f"not found in {self.seeds} seeds"
        if "seed" not in said:
            return "the simulation failed, but named no seed:\n" + said
        return None


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="patches by their stem; all when none is named")
    parser.add_argument("--seeds", type=int, default=20000)
    options = parser.parse_args(arguments)
    patches = [patch for patch in sorted((ROOT / "tests/mutants").glob("*.patch"))
               if not options.names or patch.stem in options.names]
    laboratory = Laboratory(ROOT / "build-mutants", options.seeds)
    passed, failed = 0, 0

    def report(name, problem):
        nonlocal passed, failed
        passed, failed = passed + (not problem), failed + bool(problem)
        print(f"{'FAIL' if problem else 'ok  '}  {name}{': ' + problem if problem else ''}",
              flush=True)

    problem = laboratory.prepare()
    if not problem:
        built, good, said = laboratory.simulate()
        problem = None if built and good else said
    report("without a bug", problem)
    for patch in patches if not problem else []:
        report(patch.stem, laboratory.try_one(patch))
    copy_tree(laboratory.tree)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 0 if patches and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
