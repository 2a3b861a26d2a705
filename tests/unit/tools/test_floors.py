# SPDX-License-Identifier: Apache-2.0
"""The check of the floors must be able to fail: each rule is broken once, on purpose."""
import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("floors", ROOT / "tools/floors.py")
floors = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(floors)


def breaches(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return floors.Tree(folder).breaches()


GOOD = {
    "base/str.h": "#pragma once\n#include <string.h>\n",
    "net/conn.h": '#pragma once\n#include "base/str.h"\n',
    "net/conn.c": '#include "net/conn.h"\n#include "loop/loop.h"\n',
    "loop/loop.h": '#pragma once\n#include "base/str.h"\n',
    "loop/loop.c": "int now(void)\n{\n\treturn clock_gettime(0, NULL);\n}\n",
    "base/mem.c": "void *get(void)\n{\n\treturn malloc(1);\n}\n",
}


def test_a_good_tree_has_no_breach(tmp_path):
    assert breaches(tmp_path, GOOD) == []


@pytest.mark.parametrize("name,text,line,words", [
    ("base/up.c", '#include "net/conn.h"\n', 1, "floor 0 may not include net/ on floor 2"),
    ("loop/side.c", '\n#include "proto/http.h"\n', 2, "sibling proto/ on floor 1"),
    ("net/lost.c", '#include "conn.h"\n', 1, "not in src/"),
    ("odd/new.c", "", 1, "stands on no floor"),
    ("main.c", "", 1, "stands on no floor"),
    ("net/a.c", "void f(void)\n{\n\tstrcpy(a, b);\n}\n", 3, "strcpy() is banned"),
    ("net/a.c", "int x = sprintf (a, b);\n", 1, "sprintf() is banned"),
    ("base/a.c", "int x = atoi(a);\n", 1, "atoi() is banned"),
    ("net/a.c", "x = (time(NULL));\n", 1, "time() is banned"),
    ("control/a.c", "clock_gettime(CLOCK_REALTIME, &now);\n", 1, "clock_gettime() is banned"),
    ("net/a.c", "free(x);\n", 1, "free() is banned"),
    ("loop/a.h", "static inline void f(void) { calloc(1, 2); }\n", 1, "calloc() is banned"),
    ("net/a.c", "x = random();\n", 1, "random() is banned"),
    ("net/a.c", 'fprintf(stderr, "x");\n', 1, "fprintf() is banned"),
])
def test_each_rule_can_fail(tmp_path, name, text, line, words):
    files = {**GOOD, "proto/http.h": "#pragma once\n", name: text}
    found = breaches(tmp_path, files)
    assert len(found) == 1, found
    assert found[0].startswith(f"{name}:{line}: ")
    assert words in found[0]


def test_headers_in_a_circle(tmp_path):
    found = breaches(tmp_path, {
        **GOOD,
        "net/a.h": '#include "net/b.h"\n',
        "net/b.h": '#include "net/c.h"\n',
        "net/c.h": '#include "net/a.h"\n',
    })
    assert found == ["net/a.h:1: headers in a circle: net/a.h -> net/b.h -> net/c.h -> net/a.h"]


@pytest.mark.parametrize("text", [
    "// time(NULL) and strcpy(a, b)\n",
    "/* malloc(1)\n free(x) */\n",
    'const char *a = "strcpy(a, \\" free(b)";\n',
    "x = conn->free(y);\n",
    "x = table.time(y);\n",
    "mem_free(x);\n",
    "idle_time(x);\n",
    "snprintf(a, 1, b);\n",
    "fprintf(file, a);\n",
])
def test_what_only_looks_banned(tmp_path, text):
    assert breaches(tmp_path, {**GOOD, "net/a.c": text}) == []


def test_the_program_is_free_where_the_floors_end(tmp_path):
    assert breaches(tmp_path, {**GOOD, "cli/a.c": 'printf("x");\nfprintf(stderr, "x");\n'}) == []


def test_the_cpp_file_may_do_as_its_library_does(tmp_path):
    assert breaches(tmp_path, {**GOOD, "conf/read_toml.cc": "free(x);\n"}) == []


def test_an_empty_tree_is_a_breach(tmp_path):
    assert len(breaches(tmp_path, {})) == 1


def test_the_exit_code_tells(tmp_path, capsys):
    assert breaches(tmp_path, GOOD) == []
    assert floors.main([str(tmp_path)]) == 0
    (tmp_path / "net/bad.c").write_text("free(x);\n")
    assert floors.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("1 breaches\n")


def test_lengths_of_functions(tmp_path):
    body = "static int f(int a,\n\tint b)\n{\n" + "\tx();\n" * 80 + "}\n\nint g(void)\n{\n}\n"
    breaches(tmp_path, {**GOOD, "net/long.c": "// Why.\n" + body})
    lengths = {(name, line): lines for lines, name, line, _ in floors.Tree(tmp_path).functions()}
    assert lengths["net/long.c", 2] == 84
    assert lengths["net/long.c", 87] == 3
