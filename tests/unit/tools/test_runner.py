# SPDX-License-Identifier: Apache-2.0
"""The runner's own promises: it counts what tests print, and nothing that fails gets by."""
import importlib.util
import io
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("runner", ROOT / "tools/test.py")
runner = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(runner)


def ended(out="", code=0, leaked=False):
    return runner.Run(["program"], code, out, "", leaked)


def counts(result):
    return result.passed, result.failed, result.skipped


@pytest.mark.parametrize("out,code,expected", [
    ("1..2\t\tgroup\nok 1 - a\nok 2 - b\n", 0, (2, 0, 0)),
    ("1..2\nok 1 - a\nnot ok 2 - b\n# why\n", 1, (1, 1, 0)),
    ("1..2\nok 1 - a\nnot ok # SKIP b\n", 0, (1, 0, 1)),
    ("1..1\nok 1 - a\n1..1\nok 1 - b\n", 0, (2, 0, 0)),  # two groups in one program
    ("1..5\nok 1 - a\n", -6, (1, 4, 0)),  # died in the second
    ("1..1\nok 1 - a\n", 1, (1, 1, 0)),  # all well, yet it ended badly
    ("1..1\nok 1 - a\nok 2 - b\n", 0, (2, 1, 0)),  # more than was planned
    ("ok 1 - a\n", 0, (1, 1, 0)),  # no plan at all
    ("hello\n", 0, (1, 0, 0)),  # no TAP: the exit code counts
    ("hello\n", 1, (0, 1, 0)),
    ("", None, (0, 1, 0)),  # hung
])
def test_tap(out, code, expected):
    result = runner.from_tap(ended(out, code))
    assert counts(result) == expected
    assert bool(result.output) == (result.failed > 0)


@pytest.mark.parametrize("out,code,expected", [
    ("seed 1\n12 passed, 0 failed, 3 skipped\n", 0, (12, 0, 3)),
    ("12 passed, 0 failed\n", 0, (12, 0, 0)),
    ("12 passed, 2 failed\n", 1, (12, 2, 0)),
    ("12 passed, 0 failed\n", 1, (12, 1, 0)),
    ("12 passed, 0 failed\nand then\n", -11, (12, 1, 0)),
    ("all is well\n", 0, (0, 1, 0)),
])
def test_last_line(out, code, expected):
    assert counts(runner.from_last_line(ended(out, code))) == expected


def test_processes_left_behind_are_a_failure():
    run = runner.CHILDREN.run(["sh", "-c", "sleep 60 & exit 0"])
    assert run.code == 0 and run.leaked
    assert counts(runner.from_exit(run)) == (0, 1, 0)
    assert "left processes behind" in run.story()


def test_a_program_that_is_not_there_is_a_failure():
    run = runner.CHILDREN.run(["./no-such-program"])
    assert counts(runner.from_exit(run)) == (0, 1, 0)


def test_a_child_that_dies_is_named_with_all_it_said():
    run = runner.CHILDREN.run(["sh", "-c", "echo out; echo err >&2; kill -ABRT $$"])
    assert "out\nerr\n(died by SIGABRT)" in run.story()


def junit(tmp_path, cases, code=0):
    path = tmp_path / "report.xml"
    path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    return runner.from_junit(path, ended(code=code))


def test_junit(tmp_path):
    cases = ("<testcase/><testcase><failure/></testcase><testcase><error/></testcase>"
             "<testcase><skipped message='why'/></testcase>")
    assert counts(junit(tmp_path, cases, 1)) == (1, 2, 1)
    assert counts(junit(tmp_path, "<testcase/>", 1)) == (1, 1, 0)
    assert counts(junit(tmp_path, "", 5)) == (0, 1, 0)
    assert counts(runner.from_junit(tmp_path / "none.xml", ended())) == (0, 1, 0)


def part(name="p", title=None, build=None, sign="."):
    return runner.Part(name, title or name, None, sign, build)


def report(*results):
    out = io.StringIO()
    reporter = runner.Reporter(len(results), out)
    for index, result in reversed(list(enumerate(results))):
        reporter.add(index, part(f"p{index}"), result)
    code = reporter.finish()
    return code, out.getvalue().splitlines()


def test_the_last_line_and_the_order():
    code, lines = report(runner.Result(passed=2), runner.Result(passed=3, skipped=1))
    assert code == 0
    assert [line.split()[1] for line in lines[:-1]] == ["p0", "p1"]
    assert lines[-1] == "5 passed, 0 failed, 1 skipped"


def test_a_failure_is_printed_in_full():
    code, lines = report(runner.Result(passed=2), runner.failure("first\nsecond"))
    assert code == 1
    assert "    first" in lines and "    second" in lines
    assert lines[-1] == "2 passed, 1 failed, 0 skipped"


def test_a_part_without_tests_has_failed():
    code, lines = report(runner.Result())
    assert code == 1
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"


def test_nothing_chosen_is_a_failure():
    assert report()[0] == 1


def test_a_part_that_throws_and_one_whose_build_broke():
    def throw(_context):
        raise ValueError("oh")
    context = type("Context", (), {"options": runner.read_options([])})
    todo = [runner.Part("build", "b", lambda _: runner.failure("no compiler"), ".", "build"),
            runner.Part("unit", "u", lambda _: runner.Result(passed=9), ".", "build"),
            runner.Part("other", "o", throw, ".")]
    out = io.StringIO()
    reporter = runner.Reporter(len(todo), out)
    runner.run_all(todo, context, reporter)
    assert reporter.finish() == 1
    assert counts(reporter.total) == (0, 3, 0)
    assert "build did not build" in out.getvalue() and "ValueError: oh" in out.getvalue()


def names(options, files, tmp_path):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    return [part.title for part in
            runner.chosen(runner.parts(), runner.read_options(options), tmp_path)]


def test_what_is_chosen(tmp_path):
    files = ["src/base/a.c", "tests/unit/base/meson.build", "tests/wire/test_a.py",
             "tests/drill/a.py"]
    everything = names([], files, tmp_path)
    assert everything[:3] == ["floors", "format", "gcc -O1"]
    assert "wire, io_uring" in everything and "wire, ASan+UBSan, io_uring" in everything
    assert "wire, ASan+UBSan, epoll" not in everything  # one twin of them is enough each time
    assert "wire, ASan+UBSan, epoll" in names(["--build", "asan"], [], tmp_path)
    assert "sim" not in everything and "drill" not in everything
    assert not [title for title in everything if "TSan" in title]
    assert names(["--only", "drill"], [], tmp_path) == ["gcc -O3 LTO", "drill"]
    assert names(["--only", "wire", "--io", "epoll", "--build", "asan"], [], tmp_path) == [
        "gcc ASan+UBSan", "wire, ASan+UBSan, epoll"]
    assert "unit, TSan" in names(["--build", "tsan"], [], tmp_path)
    assert "wire, TSan, epoll" in names(["--tsan"], [], tmp_path)


def test_a_missing_word_is_refused():
    with pytest.raises(SystemExit):
        runner.read_options(["--only", "nothing"])


def test_the_probe_of_io_uring_answers():
    refusal = runner.io_uring_refusal()
    assert refusal is None or isinstance(refusal, str)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
