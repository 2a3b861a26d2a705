# SPDX-License-Identifier: Apache-2.0
"""The commands that look at a running weir and steer it: against a mock of the admin API, and against
a real one."""
import json
import re
import signal
import termios
import threading

import pytest

from peers.admin_mock import AdminMock, backend, down, now_ms, odd, slow
from peers.backend import Backend
from peers.net import HOST, free_port, until
from peers.terminal import Terminal
from peers.weir import BINARY, Weir, run

BAD = ("bad", "Serving 200 requests/s; 1 of 3 backends is down since 14:02:11: connection refused")
SIZES = [(80, 24), (40, 12)]


def three():
    return [backend("app-1"), backend("app-2"), backend("app-3")]


def ask(mock, *words, env=None):
    return run(*words, "--admin", mock.address, env=env)


def row_of(lines, name):
    """The first line of the list in which a backend stands."""
    return next((line for line in lines if re.match(rf"[▸ ][✖▲●○·] [a-z_, ]+ .*\b{name}\b", line)), "")


def top(mock, *words, columns=80, rows=24, env=None):
    return Terminal("top", "--admin", mock.address, *words, columns=columns, rows=rows, env=env)


# weir status

def test_status_of_a_well_weir():
    with AdminMock(three()) as mock:
        code, out, err = ask(mock, "status")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == "● OK  Serving 300 requests/s; all backends are up"
        assert "weir 0.1.0 on lb-1, process 4711, running for 1h00m" in lines[1]
        assert "300 requests/s, 0 errors/s (0%), p50 900µs, p99 4.0ms" in lines[2]
        assert "12 of 524k connections, 3 requests in flight, 0 queued, workers 31% busy" in lines[3]
        assert lines[4] == "  ● pool app ok: 3 of 3 backends take requests"
        assert len(lines) == 5


@pytest.mark.parametrize("state, words", [
    ("refuses", "takes no new connections"), ("open", "has its breaker open"),
    ("ejected", "is ejected"), ("unchecked", "is unchecked")])
def test_status_says_a_state_in_words(state, words):
    ill = dict(down("app-2"), state=state)
    with AdminMock([backend("app-1"), ill], BAD) as mock:
        _, out, _ = ask(mock, "status")
        assert f"app-2 {words} since " in out


def test_status_names_what_is_wrong():
    with AdminMock([backend("app-1"), down("app-2")], BAD) as mock:
        code, out, _ = ask(mock, "status")
        assert code == 0, "it is ready"
        assert out.startswith("✖ BAD  Serving 200")
        assert re.search(r"✖ app-2 is down since \d\d:\d\d:\d\d \(4m1\ds\): connection refused", out)
        assert "▲ pool app degraded: 1 of 2 backends take requests" in out


def test_status_of_one_that_is_not_ready():
    with AdminMock([down("app-1")], BAD) as mock:
        mock.ready = False
        code, out, _ = ask(mock, "status")
        assert code == 69 and "not ready" in out


def test_status_as_json():
    with AdminMock(three()) as mock:
        code, out, _ = ask(mock, "status", "--json")
        assert code == 0 and json.loads(out)["backends"][2]["id"] == "app-3"


# What goes wrong

COMMANDS = [["status"], ["top", "--once"], ["events"], ["why", "x"], ["why"], ["explain", "GET", "/"],
            ["connections"],
            ["drain", "app-1"], ["weight", "app-1", "2"], ["log-level", "info"], ["undo", "3"]]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_nobody_is_there(words):
    address = f"{HOST}:{free_port()}"
    code, out, err = run(*words, "--admin", address)
    assert (code, out) == (69, "")
    assert address in err and "refused" in err and "Is weir running" in err
    assert len(err.splitlines()) == 1


def test_all_addresses_that_were_tried_are_named(tmp_path):
    code, _, err = run("status", env={"XDG_RUNTIME_DIR": str(tmp_path), "RUNTIME_DIRECTORY": ""})
    if code == 69:  # nobody runs a weir beside the tests
        assert f"unix:{tmp_path}/weir/admin.sock" in err and "127.0.0.1:9900" in err
        assert "--admin" in err


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_token_is_needed(words, tmp_path):
    with AdminMock(three(), token="0123456789abcdef0123456789abcdef") as mock:
        mock.explained = {"end": "denied", "frontend": "web"}
        mock.records["x"] = {"id": "x", "outcome": "ok", "ended": "ok"}
        code, out, err = ask(mock, *words)
        assert (code, out) == (1, "")
        assert "this needs a token. " in err and "WEIR_TOKEN" in err and "--token-file" in err
        code, _, err = ask(mock, *words, env={"WEIR_TOKEN": mock.token})
        assert code == 0 and "token" not in err
        file = tmp_path / "token"
        file.write_text(mock.token + "\n")
        assert ask(mock, *words, "--token-file", str(file))[0] == 0


@pytest.mark.parametrize("words", COMMANDS[7:], ids=lambda words: words[0])
def test_a_reader_may_not_steer(words):
    with AdminMock(three(), may="read") as mock:
        code, out, err = ask(mock, *words)
        assert (code, out) == (1, "")
        assert "may look and not change anything. " in err and "operate" in err and "unix socket" in err


def test_somebody_else_listens_there():
    with Backend() as other:
        for words in COMMANDS:
            code, out, err = run(*words, "--admin", other.address)
            assert code == 1, (words, out, err)
            assert "what weir answers" in err or "no state of weir" in err, (words, out, err)


# Steering

@pytest.mark.parametrize("command, state", [("drain", "draining"), ("disable", "disabled"),
                                            ("enable", "enabled")])
def test_a_backend_is_set_aside_and_taken_back(command, state):
    with AdminMock(three()) as mock:
        mock.backends[1]["admin"] = "disabled" if command != "disable" else "enabled"
        code, out, err = ask(mock, command, "app/app-2")
        assert (code, err) == (0, "")
        assert out.startswith("app/app-2 gets ") and out.endswith("(weir undo 1 takes it back)\n")
        assert mock.backends[1]["admin"] == state
        assert mock.asked("POST") == [(f"/api/v1/pools/app/backends/app-2/{command}", "")]
        code, out, _ = ask(mock, command, "app-2")
        assert code == 0 and out.startswith("nothing to change: ")


def test_values_are_set():
    with AdminMock(three()) as mock:
        assert ask(mock, "weight", "app-1", "7")[1] == \
            "app/app-1 has weight 7 (before: 1) (weir undo 1 takes it back)\n"
        assert "held open" in ask(mock, "breaker", "app-1", "open")[1]
        assert "let go" in ask(mock, "breaker", "app-1", "auto")[1]
        assert "info" in ask(mock, "log-level", "info")[1]
        assert "event 2 is taken back" in ask(mock, "undo", "2")[1]
        assert mock.asked("PUT") == [
            ("/api/v1/pools/app/backends/app-1/weight", '{"weight":7}'),
            ("/api/v1/pools/app/backends/app-1/breaker", '{"state":"open"}'),
            ("/api/v1/pools/app/backends/app-1/breaker", '{"state":"auto"}'),
            ("/api/v1/log/level", '{"level":"info"}')]
        assert mock.asked("POST") == [("/api/v1/events/2/undo", "")]


@pytest.mark.parametrize("words, hint", [
    (["weight", "app-1", "-7"], "unknown option"), (["weight", "app-1", "many"], "0 to 1000"),
    (["breaker", "app-1", "opne"], "Did you mean open?"), (["log-level", "debg"], "Did you mean debug?"),
    (["undo", "last"], "number"), (["drain"], "weir drain [POOL/]BACKEND"),
    (["weight", "app-1"], "weir weight [POOL/]BACKEND N"), (["drain", "a", "b"], "weir drain"),
    (["explain", "GET"], "weir explain METHOD URL"), (["explain", "GET", "/", "-H", "x"], "Name: value"),
    (["drian", "app-1"], "did you mean 'weir drain'?"), (["events", "-n", "0"], "--limit"),
])
def test_wrong_words(words, hint):
    code, out, err = run(*words)
    assert (code, out) == (2, "") and hint in err, err


@pytest.mark.parametrize("name, hint", [
    ("app-9", "Did you mean app/app-1?"), ("ap/app-1", "Did you mean app/app-1?"),
    ("nothing", "weir status --json"), ("same", "'same' is app/same, api/same. Say which one"),
])
def test_wrong_names(name, hint):
    with AdminMock(three() + [backend("same"), backend("same", "api")]) as mock:
        code, out, err = ask(mock, "drain", name)
        assert (code, out) == (1, "") and hint in err
        assert mock.asked("POST") == []


def test_names_with_slashes_and_signs():
    id = "unix:/run/a b%.sock"
    with AdminMock([backend(id, "p/q")]) as mock:
        for name in (id, "p/q/" + id):
            assert ask(mock, "drain", name)[0] == 0
        assert mock.asked("POST")[0][0] == "/api/v1/pools/p%2Fq/backends/unix:%2Frun%2Fa%20b%25.sock/drain"


def test_drain_waits_until_nothing_is_in_flight():
    with AdminMock(three()) as mock:
        mock.backends[0]["in_flight"] = 5
        looked = threading.Event()

        def finish():
            until(lambda: len(mock.asked("GET")) > 2, "a look at the progress")
            with mock.lock:
                mock.backends[0]["in_flight"] = 2
            count = len(mock.asked("GET"))
            until(lambda: len(mock.asked("GET")) > count + 1, "another look")
            with mock.lock:
                mock.backends[0]["in_flight"] = 0
            looked.set()

        thread = threading.Thread(target=finish)
        thread.start()
        code, out, err = ask(mock, "drain", "app-1", "--wait")
        assert looked.is_set()
        thread.join()
        assert (code, err) == (0, "")
        assert out.splitlines()[1:] == [
            "5 requests in flight at app/app-1", "2 requests in flight at app/app-1",
            "0 requests in flight at app/app-1", "app/app-1 is drained"]


def test_drain_gives_up_waiting():
    with AdminMock(three()) as mock:
        code, _, err = ask(mock, "drain", "app-1", "--wait", "--timeout", "1s")
        assert code == 1 and "2 requests still in flight at app/app-1 after 1s" in err
        assert mock.backends[0]["admin"] == "draining"


def test_drain_is_told_that_somebody_enabled_it():
    with AdminMock(three()) as mock:
        def enable():
            until(lambda: mock.backends[0]["admin"] == "draining", "the order")
            with mock.lock:
                mock.backends[0]["admin"] = "enabled"

        thread = threading.Thread(target=enable)
        thread.start()
        code, _, err = ask(mock, "drain", "app-1", "--wait")
        thread.join()
        assert code == 1 and "app/app-1 was enabled meanwhile" in err


# weir events

def test_events():
    with AdminMock(three()) as mock:
        mock.add_event(backend="app-1", to="down", reason="connection refused", text="backend is down",
                       **{"from": "up"})
        mock.add_event(kind="steering", pool=None, text="log level is set", by="unix uid 0",
                       undo={"method": "POST", "path": "/api/v1/events/2/undo", "body": None})
        code, out, err = ask(mock, "events")
        assert (code, err) == (0, "")
        first, second = out.splitlines()
        assert re.fullmatch(r"[\d-]{10} [\d:]{8} ✖ app/app-1: backend is down, up → down: connection refused",
                            first)
        assert second.endswith("log level is set, by unix uid 0 (weir undo 2)")
        assert ask(mock, "events", "-n", "1")[1] == second + "\n"
        assert [json.loads(line)["number"] for line in ask(mock, "events", "--json")[1].splitlines()] == [1, 2]


def test_events_are_followed_over_an_absence():
    with AdminMock(three()) as mock:
        mock.add_event(text="the first")
        with Terminal("events", "-f", "--admin", mock.address) as term:
            term.wait("the first")
            mock.add_event(text="the second")
            term.wait("the second")
            mock.stop()
            term.wait("unable to connect")
            mock.add_event(text="the third")
            mock.start()
            term.wait("it answers again")
            term.wait("the third")
            assert term.text.count("the second") == 1
            term.signal(signal.SIGINT)
            assert term.ended() == -signal.SIGINT


# weir why, weir explain

RECORD = {
    "id": "0af7651916cd43dd", "at_ms": 1790000000000, "worker": 0, "frontend": "web", "route": "api",
    "pool": "app", "method": "GET", "path": "/v1/x", "client": "10.0.0.1", "status": 503,
    "outcome": "connection_refused", "ended": "connection_refused", "cause": "refused", "total_us": 900, "queue_us": None, "connect_us": 0,
    "first_byte_us": 800, "bytes_in": 0, "bytes_out": 5, "reused": True,
    "tries": [{"backend": "app-1", "at_us": 10, "took_us": 5, "ended": "connection_refused", "hedge": False},
              {"backend": "app-2", "at_us": 40, "took_us": 500, "ended": "ok", "status": 200, "hedge": True}],
    "picked": "app-2", "algorithm": "least_connections",
    "candidates": [{"backend": "app-2", "cost": 3.0}, {"backend": "app-1", "cost": 1.5}],
    "eligible": 2, "of": 3, "text": ["GET /v1/x came to web; route api took it to pool app",
                                     "app-1 refused it \x1b[31m"]}


def test_why():
    with AdminMock(three()) as mock:
        mock.records[RECORD["id"]] = RECORD
        code, out, err = ask(mock, "why", RECORD["id"])
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == "✖ connection_refused  GET 503  /v1/x"
        assert "  GET /v1/x came to web; route api took it to pool app" in lines
        assert "  app-1 refused it ?[31m" in lines, "strangers do not steer the terminal"
        assert re.search(r"^  1 +app-1 +10µs +5µs +- +connection_refused$", out, re.M)
        assert re.search(r"^  2 \(copy\)  app-2 +40µs  500µs +200 +ok$", out, re.M)
        assert re.search(r"^  app-2 +3\.0  picked$", out, re.M)
        assert json.loads(ask(mock, "why", RECORD["id"], "--json")[1]) == RECORD


def test_why_not_known():
    with AdminMock(three()) as mock:
        code, out, err = ask(mock, "why", "a/b")
        assert (code, out) == (1, "") and "X-Request-Id" in err and "weir why lists" in err
        assert mock.asked("GET") == [("/api/v1/requests/a%2Fb", "")]


def test_why_alone_lists_failures():
    with AdminMock(three()) as mock:
        assert "No request has failed lately" in ask(mock, "why")[1]
        mock.failures = [RECORD]
        out = ask(mock, "why")[1]
        assert re.search(r"0af7651916cd43dd +connection_refused +503 +app-2 +900µs +GET /v1/x", out)


def connection(state, *runs, port=40000, **more):
    return {"worker": 0, "frontend": "web", "client": "10.0.0.9", "port": port,
            "since_at_ms": now_ms() - 61_000, "state": state, "requests_total": 3, "bytes_in": 300,
            "bytes_out": 12_400, "running": list(runs), **more}


def running(**more):
    return {"id": "0" * 32, "method": "GET", "path": "/v1/x", "path_is_cut": False, "client": "10.0.0.9",
            "route": "api", "pool": "app", "backend": "app-1", "step": "await", "attempts": 1,
            "age_us": 310_000, **more}


def test_connections():
    with AdminMock(three()) as mock:
        assert ask(mock, "connections")[:2] == (0, "Nobody is connected.\n")
        mock.connections = [
            connection("idle"), connection("request", running()),
            connection("request", running(client="203.0.113.7", path="/\x1b[31m", step="queue",
                                          backend=None), port=None, client="unix:"),
            connection("tcp", running(method=None, path=None, client=None), client="::1")]
        code, out, err = ask(mock, "connections")
        assert (code, err) == (0, "")
        assert re.search(r"^10\.0\.0\.9:40000 +web +1m01s +idle +3 +300 +12\.4k +- +- +-$", out, re.M), out
        assert re.search(r"request .* 310ms  app/app-1  GET /v1/x$", out, re.M)
        assert re.search(r"^unix: .* GET /\?\[31m, for 203\.0\.113\.7, waits for a place$", out, re.M)
        assert re.search(r"^\[::1\]:40000 .* tcp .* app/app-1  -$", out, re.M)
        assert out.splitlines()[-1] == "4 of 4 connections"
        mock.connections *= 30
        assert ask(mock, "connections")[1].endswith("100 of 120 connections; -n 1000 shows more\n")
        got = json.loads(ask(mock, "connections", "--json", "-n", "3")[1])
        assert len(got["connections"]) == 3 and got["total"] == 120


def test_connections_that_are_meant():
    with AdminMock(three()) as mock:
        assert ask(mock, "connections", "app/app-1", "--from", "10.0.0.0/8", "--frontend", "web", "--state",
                   "idle", "--oldest", "-n", "5000")[0] == 0
        assert mock.asked("GET") == [("/api/v1/connections?limit=1000&order=oldest&frontend=web"
                                      "&client=10.0.0.0%2F8&state=idle&backend=app%2Fapp-1", "")]


EXPLAINED = {
    "end": "sent", "frontend": "web", "protocol": "http", "generation": 1,
    "client": {"peer": "127.0.0.1", "address": "203.0.113.9", "trusted": True, "may_connect": True,
               "why": "may connect", "key": None},
    "method": "GET", "host": "x", "path": "/",
    "routes": [{"name": "api", "matched": False, "condition": "path", "wanted": "/api", "got": "/"},
               {"name": "beta", "matched": False, "condition": "header", "wanted": "X-Beta", "got": None},
               {"name": "rest", "matched": True, "condition": None, "wanted": None, "got": None}],
    "routes_left_out": 0, "route": "rest", "shares": [], "shares_left_out": 0, "answer": None,
    "pools": [{"name": "app", "algorithm": "least_connections", "picked": True, "why": "one takes it",
               "of": 2, "eligible": 1, "full": 0, "waiting": 0, "queue_max": 0, "key": None,
               "key_is_random": False, "cookie": None, "candidates": [], "looked_at": 1, "by_weight": False,
               "backends": [
                   {"id": "app-1", "address": "10.0.0.1:80", "eligible": True, "why": "may get requests",
                    "full": False, "weight": 1, "in_flight": 2, "cost": 3.0, "picked": True},
                   {"id": "app-2", "address": "10.0.0.2:80", "eligible": False, "why": "is down",
                    "full": False, "weight": 1, "in_flight": 0, "cost": None, "picked": False}]}],
    "pick": {"pool": "app", "backend": "app-1", "address": "10.0.0.1:80", "trial": False}, "chance": False,
    "sent": {"line": "GET / HTTP/1.1", "headers": [["Host", "x"], ["X-Forwarded-For", "203.0.113.9"]]}}


def test_explain():
    with AdminMock(three()) as mock:
        mock.explained = EXPLAINED
        code, out, err = ask(mock, "explain", "GET", "http://x/", "-H", "Cookie: a=1", "-H", "X-Y:z",
                             "-H", "cookie: b=2", "--from", "203.0.113.9", "--frontend", "web")
        assert (code, err) == (0, "")
        question = json.loads(mock.asked("POST")[0][1])
        assert question["method"] == "GET" and question["url"] == "http://x/"
        assert question["from"] == "203.0.113.9" and question["frontend"] == "web"
        assert question["headers"]["X-Y"] == "z"
        assert out.splitlines()[0] == "frontend  web, client 203.0.113.9 (by its trusted proxy 127.0.0.1)"
        for line in ("routes    ○ api: no, it wants path /api, and this is /",
                     "          ○ beta: no, it wants header X-Beta, which is not there",
                     "          ● rest takes it", "pick      app/app-1 at 10.0.0.1:80",
                     "sends     GET / HTTP/1.1", "          X-Forwarded-For: 203.0.113.9"):
            assert line in out.splitlines()
        assert re.search(r"^ +→ +app-1 +10\.0\.0\.1:80 +1 +2 +3\.0  the pick$", out, re.M)
        assert re.search(r"^ +✖ +app-2 +10\.0\.0\.2:80 +1 +0 +-  is down$", out, re.M)
        assert json.loads(ask(mock, "explain", "GET", "/", "--json")[1]) == EXPLAINED


# weir top: once

def test_top_once():
    with AdminMock([backend("app-1"), down("app-2"), slow("app-3")],
                   BAD) as mock:
        for words, env in ((["--once"], {}), ([], {}), ([], {"TERM": "dumb"})):
            code, out, err = ask(mock, "top", *words, env=env)
            assert (code, err) == (0, "")
            assert "\x1b" not in out
            lines = out.splitlines()
            assert lines[0] == " ✖ BAD  " + BAD[1]
            names = [line for line in lines if re.search(r"app-\d", line)]
            assert [re.search(r"app-\d", line)[0] for line in names] == ["app-2", "app-3", "app-1"]
            assert "down" in names[0] and "4m1" in names[0] and "connection refused" in names[0]
            assert "up, slow" in names[1] and "160ms" in names[1] and "40×" in names[1]


def test_top_as_json():
    with AdminMock(three()) as mock:
        code, out, _ = ask(mock, "top", "--json")
        assert code == 0 and [one["id"] for one in json.loads(out)["backends"]] == ["app-1", "app-2", "app-3"]


def test_top_on_a_dumb_terminal_prints_once():
    with AdminMock(three()) as mock, top(mock, env={"TERM": "dumb"}) as term:
        assert term.ended() == 0
        assert b"\033" not in term.bytes and "app-3" in term.text


# weir top: on a terminal

@pytest.mark.parametrize("columns, rows", SIZES)
def test_top_shows_what_is_dead(columns, rows):
    with AdminMock([backend("app-1"), backend("app-2"), down("app-3")], BAD) as mock, \
            top(mock, columns=columns, rows=rows) as term:
        lines = term.wait("q quit")
        assert lines[0].startswith(" ✖ BAD  Serving 200")
        assert len(lines) == rows and max(map(len, lines)) <= columns
        first = next(line for line in lines if "▸" in line)
        assert re.match(r"▸✖ down +(4m1\ds )?app-3 +(4m1\ds )?connection", first), first
        assert re.search(r"app-3 .*down for 4m1\ds|down for 4m1\ds \(since", term.text)
        assert term.cell(0, 1).reverse and term.cell(0, 1).fg == "red"
        term.type("q")
        assert term.ended() == 0 and term.is_as_before()


@pytest.mark.parametrize("columns, rows", SIZES)
def test_top_shows_what_is_slow(columns, rows):
    with AdminMock([backend("app-1"), slow("app-2"), backend("app-3")]) as mock, \
            top(mock, columns=columns, rows=rows) as term:
        lines = term.wait("q quit")
        first = next(line for line in lines if "▸" in line)
        assert re.match(r"▸▲ up, slow +.*app-2 .*160ms", first), first
        assert re.search(r"Slow for 2m0\ds: p50 36 ms, its peers 0.90 ms", term.flat)


@pytest.mark.parametrize("columns, rows", SIZES)
def test_top_shows_what_is_flapping(columns, rows):
    with AdminMock([backend("app-1"), backend("app-2"),
                    backend("app-3", changes=6, **odd("flapping", "6 changes within 3 minutes"))]) as mock:
        for i in range(6):
            mock.add_event(backend="app-3", to=("down", "up")[i % 2], reason="no answer in time",
                           at_ms=now_ms() - 60_000 + i * 10_000)
        with top(mock, columns=columns, rows=rows) as term:
            lines = term.wait("up, flaps")
            first = next(line for line in lines if "▸" in line)
            assert re.match(r"▸▲ up, flaps +.*app-3", first), first
            assert re.search(r"Flaps for 2m0\ds: 6 changes within 3 minutes", term.flat)
            if rows == 24:
                term.wait("✖ app/app-3 down: no answer in time")  # events come after the state
                assert re.search(r"\d\d:\d\d:\d\d ✖ app/app-3 down: no answer in time", term.text)


def test_top_follows_what_happens():
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait(lambda lines: row_of(lines, "app-2").startswith(" ● up"))
        with mock.lock:
            mock.backends[1] = down("app-2", 0)
            mock.verdict = BAD
            mock.add_event(backend="app-2", to="down", reason="connection refused")
        term.wait(lambda lines: row_of(lines, "app-2").startswith("▸✖ down"))
        term.wait("✖ app/app-2 down: connection refused")
        assert term.lines[0].startswith(" ✖ BAD")


def test_top_sorts_and_filters():
    many = [backend(f"app-{i}", requests_per_s=float(i)) for i in range(1, 31)]
    many[6] = down("app-7")
    with AdminMock(many) as mock, top(mock) as term:
        term.wait("1-12 of 30") if "1-12 of 30" in term.text else term.wait(" of 30")
        assert "app-7 " in next(line for line in term.lines if "▸" in line)
        term.type("s")
        term.wait("s by requests")
        term.wait(lambda lines: "app-30" in next(line for line in lines if "▸" in line))
        assert "REQ/S▼" in term.text
        term.type("u")
        term.wait(lambda lines: not any("app-30" in line for line in lines))
        assert row_of(term.lines, "app-7")
        term.type("u/app-2")
        term.wait("only: app-2_")
        term.wait(lambda lines: sum("● up" in line for line in lines) > 3)
        term.type("9\r")
        term.wait("/ only app-29")
        assert row_of(term.lines, "app-29") and "app-28" not in term.text
        term.type("\x1b")
        term.wait(lambda lines: any("app-28" in line for line in lines))


def test_top_moves():
    with AdminMock([backend(f"app-{i}") for i in range(1, 101)]) as mock, top(mock) as term:
        def chosen():
            return re.search(r"app-(\d+)", next(line for line in term.lines if "▸" in line))[1]
        term.wait(" of 100")
        for keys, name in (("j", "2"), ("\x1b[B", "3"), ("k", "2"), ("\x1b[A", "1"), ("\x1bOB", "2"),
                           ("G", "100"), ("g", "1"), ("\x1b[F", "100"), ("\x1b[H", "1")):
            term.type(keys)
            term.wait(lambda lines: chosen() == name)  # pylint: disable=cell-var-from-loop
        term.type("\x1b[6~")
        term.wait(lambda lines: int(chosen()) > 8)
        assert "── app/app-" in term.text
        term.type("\x1b[5~")
        term.wait(lambda lines: chosen() == "1")


def test_top_drains_once_it_is_confirmed():
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait("q quit")
        term.type("jd")
        term.wait("Drain app/app-2? It gets no new requests; 2 in flight go on to their end. 2 other")
        term.type("n")
        term.wait("q quit")
        assert mock.asked("POST") == []
        term.type("dy")
        term.wait("app/app-2 drains: it gets no new requests. weir undo 1 takes it back.")
        assert mock.asked("POST") == [("/api/v1/pools/app/backends/app-2/drain", "")]
        fields = next(call[2] for call in mock.calls if call[0] == "POST")
        assert fields["If-Match"] == '"1"'
        term.wait(lambda lines: "○ draining" in row_of(lines, "app-2"))
        term.type("d")
        term.wait("Enable app/app-2?")
        term.type("y")
        term.wait("app/app-2 is enabled.")


def test_top_warns_of_the_last_one():
    with AdminMock([backend("app-1"), down("app-2")]) as mock, top(mock, columns=40, rows=12) as term:
        term.wait("q quit")
        term.type("jd")
        term.wait("NOBODY ELSE takes")
        assert "503" in term.text


def test_top_tells_why_an_order_was_refused():
    with AdminMock(three()) as mock, top(mock) as term:
        mock.stale = True
        term.wait("q quit")
        term.type("dy")
        term.wait("Not done: somebody else has changed this backend meanwhile")


def test_top_of_a_reader_only_looks():
    with AdminMock(three(), may="read") as mock, top(mock) as term:
        term.wait("q quit")
        term.type("d")
        term.wait("Only looking: to steer, use the unix socket")
        assert mock.asked("POST") == []


def test_top_shows_events_and_help():
    with AdminMock([backend(f"app-{i}") for i in range(40)]) as mock, top(mock) as term:
        mock.add_event(text="log level is set", by="unix uid 0", pool=None)
        term.wait("q quit")
        term.type("e")
        term.wait("what has changed, newest first")
        term.wait("log level is set, by unix uid 0")
        term.type("e")
        term.wait(lambda lines: not any("what has changed" in line for line in lines))
        term.type("?")
        term.wait("KEYS")
        assert "xPEERS" in term.text and "half_open" in term.text
        term.type(" ")
        term.type("q")  # back, not out of it
        term.wait("q quit")


def test_top_is_resized():
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait("ALGORITHM")
        term.resize(40, 12)
        lines = term.wait(lambda lines: "? help" in lines[11])
        assert "ALGORITHM" not in term.text and row_of(lines, "app-1")
        term.resize(132, 43)
        term.wait("LAST CHECK")
        assert "? help" in term.lines[42]
        term.resize(10, 3)
        term.wait("too small")
        term.resize(80, 24)
        term.wait("ALGORITHM")


@pytest.mark.parametrize("columns, rows", SIZES)
def test_top_says_that_nobody_answers_and_comes_back(columns, rows):
    with AdminMock(three()) as mock, top(mock, columns=columns, rows=rows) as term:
        term.wait("q quit")
        mock.stop()
        term.wait("BAD  No answer for ")
        if rows == 24:
            term.wait(lambda lines: re.search(r"No answer for [1-9]s: unable to connect to", lines[0]))
        assert row_of(term.lines, "app-1"), "what was known is shown still"
        mock.start()
        term.wait(lambda lines: lines[0].startswith(" ● OK"))


def test_top_says_that_nothing_new_comes():
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait("q quit")
        mock.silent = True
        term.wait(lambda lines: re.search(r"No news for \d+s", lines[0]))
        mock.silent = False
        term.wait(lambda lines: lines[0].startswith(" ● OK"))


def test_top_without_a_stream_asks_again_and_again():
    with AdminMock(three()) as mock:
        mock.has_stream = False
        with top(mock) as term:
            term.wait("q quit")
            with mock.lock:
                mock.backends[1] = down("app-2", 0)
            term.wait(lambda lines: row_of(lines, "app-2").startswith("▸✖ down"))
            assert term.lines[0].startswith(" ● OK")


def test_top_without_colours():
    with AdminMock([backend("app-1"), down("app-2")], BAD) as mock, \
            top(mock, env={"NO_COLOR": "1"}) as term:
        term.wait("q quit")
        assert {cell.fg for row in term.screen.buffer.values() for cell in row.values()} == {"default"}
        assert "✖ down" in term.text and term.cell(0, 1).reverse
        term.type("q")
        assert term.ended() == 0 and term.is_as_before()


def test_top_in_ascii():
    with AdminMock([backend("app-1"), down("app-2")], BAD) as mock, top(mock, env={"TERM": "linux"}) as term:
        term.wait("q quit")
        assert all(" " <= sign <= "~" for sign in term.text.replace("\n", ""))
        assert "X down" in term.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
                                    signal.SIGABRT])
def test_top_leaves_the_terminal_as_it_was(number):
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait("q quit")
        assert not term.is_as_before()
        term.signal(number)
        assert term.ended() == -number and term.is_as_before()


def test_top_at_ctrl_c():
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait("q quit")
        term.type("\x03")
        assert term.ended() == -signal.SIGINT and term.is_as_before()


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(") ")[2][0]


def test_top_is_stopped_without_a_word_and_goes_on():
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait("q quit")
        term.signal(signal.SIGSTOP)
        until(lambda: state_of(term.pid) == "T", "it is stopped")
        term.screen.reset()
        term.signal(signal.SIGCONT)
        term.wait("q quit")
        assert row_of(term.lines, "app-1")


def test_top_under_a_shell_with_jobs():
    with AdminMock(three()) as mock, \
            Terminal("--norc", "--noprofile", "-i", program="/bin/bash", env={"PS1": "prompt "}) as term:
        term.wait("prompt")
        modes = termios.tcgetattr(term.slave)
        term.type(f"{BINARY} top --admin {mock.address}\r")
        term.wait("q quit")
        term.type("\x1a")
        term.wait("Stopped")
        assert term.bytes.rfind(b"\033[?1049l") > term.bytes.rfind(b"\033[?1049h")
        assert term.bytes.rfind(b"\033[?25h") > term.bytes.rfind(b"\033[?25l")
        term.type("stty -a; echo $((40 + 2))\r")
        term.wait("42")
        assert " -icanon" not in term.flat and " -echo " not in term.flat
        term.screen.reset()
        term.type("fg\r")
        term.wait("q quit")
        assert row_of(term.lines, "app-1")
        term.type("q")
        term.wait("prompt")
        until(lambda: termios.tcgetattr(term.slave) == modes, "the modes of the shell's line editor")
        term.type("echo code=$?\r")
        term.wait("code=0")


def test_top_quits_while_weir_is_silent():
    with AdminMock(three()) as mock, top(mock) as term:
        term.wait("q quit")
        mock.silent = True
        mock.stop()
        mock.start()  # takes connections, and answers nothing
        until(lambda: any("stream" in call[1] for call in list(mock.calls)[-1:]), "it asks again")
        term.type("q")
        assert term.ended() == 0 and term.is_as_before()


# Against a real weir

CHECK = {"type": "tcp", "interval": "100ms", "fast_interval": "50ms"}


def start(backends, check=None, **admin):
    front, api = (f"{HOST}:{free_port()}" for _ in range(2))
    config = {
        "frontends": {"web": {"bind": [front], "pool": "app"}},
        "pools": {"app": {"backends": [{"id": f"app-{i}", "address": address}
                                       for i, address in enumerate(backends)],
                          "health_check": check or CHECK}},
        "admin": {"bind": [api], "without_token": "operate", **admin}}
    weir = Weir(config, address=front)
    weir.api = api
    return weir


def ask_real(weir, *words):
    return run(*words, "--admin", weir.api)


def test_a_real_weir_is_looked_at_and_steered():
    with Backend() as one, Backend() as other:
        gone = f"{HOST}:{free_port()}"
        with start([one.address, other.address, gone]) as weir:
            until(lambda: "app-2 is down" in ask_real(weir, "status")[1], "the one that is down")
            code, out, _ = ask_real(weir, "status")
            assert code == 0 and "2 of 3 backends take requests" in out
            out = ask_real(weir, "top", "--once")[1]
            assert re.search(r"✖ down +\d+s app-2 +connection refused", out)
            assert ask_real(weir, "drain", "app-0", "--wait")[0] == 0
            assert "app-0 is draining" in ask_real(weir, "status")[1]
            assert ask_real(weir, "drain", "app/app-0")[1].startswith("nothing to change")
            assert ask_real(weir, "enable", "app-0")[0] == 0
            assert ask_real(weir, "weight", "app-1", "3")[0] == 0
            assert ask_real(weir, "breaker", "app-1", "open")[0] == 0
            assert json.loads(ask_real(weir, "status", "--json")[1])["backends"][1]["breaker_forced"] == "open"
            assert ask_real(weir, "breaker", "app-1", "auto")[0] == 0
            assert ask_real(weir, "log-level", "debug")[0] == 0
            code, _, err = ask_real(weir, "drain", "app-9")
            assert code == 1 and "Did you mean app/app-" in err


def test_a_real_weir_tells_events_and_takes_them_back():
    with Backend() as one, Backend() as other, start([one.address, other.address]) as weir:
        out = ask_real(weir, "weight", "app-1", "7")[1]
        number = re.search(r"weir undo (\d+) takes it back", out)[1]
        out = ask_real(weir, "events")[1]
        assert re.search(rf"app/app-1: .* by .* \(weir undo {number}\)$", out, re.M), out
        assert ask_real(weir, "undo", number)[0] == 0
        state = json.loads(ask_real(weir, "status", "--json")[1])
        assert [one["weight"] for one in state["backends"]] == [1, 1]
        code, _, err = ask_real(weir, "undo", "999999")
        assert code == 1 and err.startswith("weir: ")


def test_a_real_weir_says_why():
    with Backend() as one, start([one.address, f"{HOST}:{free_port()}"]) as weir:
        assert weir.ask("GET", "/some/where").status == 200
        id = one.last().get("x-request-id")
        code, out, err = ask_real(weir, "why", id)
        assert (code, err) == (0, "")
        record = json.loads(ask_real(weir, "why", id, "--json")[1])
        assert record["id"] == id and record["path"] == "/some/where"
        assert out.splitlines()[0] == "● ok  GET 200  /some/where"
        for sentence in record["text"]:
            assert "  " + sentence in out.splitlines()
        code, _, err = ask_real(weir, "why", "0" * 32)
        assert code == 1 and "Only the last requests are kept" in err


def test_a_real_weir_says_who_is_connected():
    with Backend() as one, start([one.address]) as weir, weir.client() as client:
        assert client.ask("GET", "/").status == 200
        port = client.sock.getsockname()[1]
        out = until(lambda: (lambda out: out if " idle " in out else None)(
            ask_real(weir, "connections")[1]), "an idle connection")
        assert re.search(rf":{port} +web +\d+s +idle +1 ", out), out
        assert out.splitlines()[-1] == "1 of 1 connections"
        assert "0 of 1 connections are meant" in ask_real(weir, "connections", "app/app-0")[1]
        code, out, err = ask_real(weir, "connections", "app-9")
        assert (code, out) == (1, "") and "no backend is called 'app-9'" in err


def test_a_real_weir_explains():
    with Backend() as one, start([one.address, f"{HOST}:{free_port()}"]) as weir:
        until(lambda: "app-1 is down" in ask_real(weir, "status")[1], "the one that is down")
        code, out, err = ask_real(weir, "explain", "GET", f"http://{weir.address}/x", "-H", "X-A: b",
                                  "--from", "192.0.2.7")
        assert (code, err) == (0, "")
        assert "frontend  web, client 192.0.2.7" in out
        assert re.search(r"→ +app-0 .* the pick$", out, re.M), out
        assert re.search(r"✖ +app-1 .* its health checks fail$", out, re.M), out
        assert f"pick      app/app-0 at {one.address}" in out
        assert "sends     GET /x HTTP/1.1" in out and re.search("^ +X-A: b$", out, re.M | re.I)
        code, _, err = ask_real(weir, "explain", "GET", "http://x/", "--frontend", "wbe")
        assert code == 1 and "Did you mean web?" in err


@pytest.mark.parametrize("scheme, how", [
    ("", ""), ("h2c://", ", by HTTP/2"), ("https://", ", by TLS as 127.0.0.1"),
    ("h2://", ", by HTTP/2 over TLS as 127.0.0.1")])
def test_a_real_weir_explains_how_it_speaks(scheme, how):
    with start([f"{scheme}127.0.0.1:9"], check="none") as weir:
        out = ask_real(weir, "explain", "GET", "/")[1]
        assert re.search(rf"^pick +app/app-0 at 127.0.0.1:9{how}$", out, re.M), out


def test_a_real_weir_is_watched_while_a_backend_dies():
    with Backend() as one, Backend() as other, start([one.address, other.address]) as weir:
        with Terminal("top", "--admin", weir.api) as term:
            term.wait(lambda lines: row_of(lines, "app-1").startswith(" ● up"))
            other.stop()
            term.wait(lambda lines: row_of(lines, "app-1").startswith("▸✖ down"))
            term.wait("✖ app/app-1 down: connection refused")
            term.wait(lambda lines: not lines[0].startswith(" ● OK"))


def test_a_real_weir_on_a_terminal():
    with Backend() as one, Backend() as other, start([one.address, other.address]) as weir:
        with Terminal("top", "--admin", weir.api) as term:
            term.wait(lambda lines: row_of(lines, "app-1").startswith(" ● up"))
            term.type("jdy")
            term.wait("app/app-1 drains")
            term.wait(lambda lines: "○ draining" in row_of(lines, "app-1"))
            term.type("q")
            assert term.ended() == 0 and term.is_as_before()
