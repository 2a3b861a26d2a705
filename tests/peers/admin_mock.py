# SPDX-License-Identifier: Apache-2.0
"""An admin API (docs/api.md) that says what a test wants to see: the state is a tree that the test
changes, steering changes it too, and every call is remembered."""
import copy
import http.server
import json
import threading
import time
import urllib.parse

from .net import HOST, free_port


def now_ms():
    return int(time.time() * 1000)


def backend(id, pool="app", **more):
    """A backend that is well."""
    return {"pool": pool, "id": id, "address": f"10.0.0.1:{8000 + sum(id.encode()) % 1000}", "etag": "1",
            "state": "up", "since_at_ms": now_ms() - 3_600_000, "reason": None, "takes_requests": True,
            "weight": 1, "weight_configured": 1, "share_ratio": 1.0, "backup": False, "admin": "enabled",
            "health": "up", "streak": 9, "next_check_at_ms": now_ms() + 5000,
            "last_check": {"passed": True, "reason": None, "latency_us": 900, "at_ms": now_ms()},
            "breaker": "closed", "breaker_forced": None, "ejected": None, "ejected_until_at_ms": None,
            "connections": 8, "idle": 6, "connections_max": None, "in_flight": 2, "ewma_us": 900,
            "requests_total": 1, "requests_per_s": 100.0, "errors_per_s": 0.0, "p50_us": 900, "p99_us": 4000,
            "oddities": [], "odd": [], "changes": 0, "changes_span_ms": 600_000, "slow_times": None, "peers_p50_us": 900, "peers_p99_us": 4000,
            "spark": [float(i) for i in range(30)], **more}


def odd(what, text, ago_s=120):
    return {"oddities": [what], "odd": [{"what": what, "text": text, "since_at_ms": now_ms() - ago_s * 1000}]}


def slow(id):
    return backend(id, p50_us=36000, p99_us=160000, slow_times=40, **odd("slow", "p50 36 ms, its peers 0.90 ms"))


def down(id, ago_s=252, reason="connection refused", **more):
    return backend(id, state="down", reason=reason, takes_requests=False, health="down",
                   since_at_ms=now_ms() - ago_s * 1000, requests_per_s=0.0, in_flight=0, connections=0,
                   p50_us=None, p99_us=None,
                   last_check={"passed": False, "reason": reason, "latency_us": None, "at_ms": now_ms()},
                   **more)


def pool_of(name, backends):
    takers = [one for one in backends if one["takes_requests"]]
    return {"name": name, "algorithm": "round_robin",
            "state": "lost" if not takers else "ok" if len(takers) == len(backends) else "degraded",
            "backends": len(backends), "eligible": len(takers), "up": len(takers), "panic": False,
            "failover": None, "check": "http", "queued": 0, "in_flight": sum(b["in_flight"] for b in backends),
            "requests_total": 1, "requests_per_s": sum(b["requests_per_s"] for b in backends),
            "errors_per_s": sum(b["errors_per_s"] for b in backends), "retries_per_s": 0.0,
            "p50_us": 900, "p90_us": 2000, "p99_us": 4000, "max_us": 9000}


class AdminMock:
    """Serves on a port of its own. `backends` is the list that the state is made of."""

    def __init__(self, backends, verdict=("ok", "Serving 300 requests/s; all backends are up"),
                 may="operate", token=None, port=None, tick_s=0.1):
        self.backends = list(backends)
        self.verdict, self.may, self.token, self.tick_s = verdict, may, token, tick_s
        self.ready, self.has_stream, self.silent = True, True, False
        self.events, self.records, self.failures, self.explained = [], {}, [], None
        self.connections = []
        self.more = {}  # of the state
        self.calls = []  # (method, path, fields, body)
        self.stale = False  # what is changed was changed by somebody else
        self.lock = threading.RLock()
        self.started_ms = now_ms() - 3_600_000
        self.sockets = set()
        self.port = port or free_port()
        self.address = f"{HOST}:{self.port}"
        self.start()

    def start(self):
        handler = type("Handler", (Handler,), {"mock": self})
        self.running = True
        self.server = Server((HOST, self.port), handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        """Nobody is there any more, until start()."""
        self.running = False
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        with self.lock:
            for sock in list(self.sockets):
                try:
                    sock.shutdown(2)
                except OSError:
                    pass

    def state(self, pool=None):
        with self.lock:
            names = list(dict.fromkeys(one["pool"] for one in self.backends))
            pools = [pool_of(name, [b for b in self.backends if b["pool"] == name]) for name in names]
            rate = sum(one["requests_per_s"] for one in pools)
            errors = sum(one["errors_per_s"] for one in pools)
            return copy.deepcopy({
                "version": "0.1.0", "instance": "lb-1", "pid": 4711, "generation": 1, "now_at_ms": now_ms(),
                "started_at_ms": self.started_ms, "draining": False, "ready": self.ready,
                "log_level": "notice", "may": self.may, "restarts": 0, "restart_reason": None,
                "upgrades": 0, "upgrades_failed": 0, "upgrade_reason": None, "providers": [],
                **self.more,
                "verdict": {"level": self.verdict[0], "text": self.verdict[1]},
                "totals": {"requests_total": 1, "requests_per_s": rate, "errors_per_s": errors,
                           "errors_ratio": errors / rate if rate else 0.0, "client_errors_per_s": 0.0,
                           "p50_us": 900, "p90_us": 2000, "p99_us": 4000, "max_us": 9000, "connections": 12,
                           "connections_max": 524288, "in_flight": 3, "queued": 0, "tunnels": 0,
                           "received_bytes_per_s": 0.0, "sent_bytes_per_s": 0.0, "retries_per_s": 0.0},
                "process": {"workers": 2, "io": "io_uring", "busy_ratio": 0.31, "descriptors": 80,
                            "descriptors_max": 1048576, "memory_bytes": 9000000, "log_dropped_total": 0},
                "workers": [], "frontends": [],
                "pools": [one for one in pools if pool in (None, one["name"])],
                "backends": [one for one in self.backends if pool in (None, one["pool"])]})

    def add_event(self, **event):
        with self.lock:
            number = len(self.events) + 1
            self.events.append({"number": number, "at_ms": now_ms(), "kind": "health", "pool": "app",
                                "backend": None, "from": None, "to": None, "reason": None, "streak": 3,
                                "next_ms": None, "text": "something happened", "by": None, "undo": None,
                                **event})
            return number

    def find(self, pool, id):
        for one in self.backends:
            if (one["pool"], one["id"]) == (pool, id):
                return one
        return None

    def asked(self, method):
        return [(path, body) for verb, path, _, body in list(self.calls) if verb == method]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running:
            self.stop()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass  # a client that goes away is no news


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    mock = None

    def setup(self):
        super().setup()
        with self.mock.lock:
            self.mock.sockets.add(self.connection)

    def finish(self):
        with self.mock.lock:
            self.mock.sockets.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *_):
        pass

    def reply(self, status, tree, kind="application/json"):
        data = json.dumps(tree).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def problem(self, status, detail, cure=None):
        self.reply(status, {"status": status, "title": "", "detail": detail, "cure": cure},
                   "application/problem+json")

    def handle_one(self):
        mock = self.mock
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        mock.calls.append((self.command, self.path, dict(self.headers), body))
        if mock.silent:
            while mock.running:
                time.sleep(0.02)
            return
        if mock.token and self.headers.get("Authorization") != f"Bearer {mock.token}":
            self.problem(401, "this needs a token", "Send a token.")
        elif self.command == "GET":
            self.look(url.path, query)
        else:
            self.change(url.path, json.loads(body) if body else {})

    do_GET = do_POST = do_PUT = handle_one

    def look(self, path, query):
        mock = self.mock
        limit = int(query.get("limit", 100))
        if path == "/api/v1/state":
            self.reply(200, mock.state(query.get("pool")))
        elif path == "/api/v1/events":
            fresh = [e for e in mock.events if e["number"] > int(query.get("after", 0))]
            self.reply(200, {"newest": len(mock.events), "events": fresh[::-1][:limit]})
        elif path == "/api/v1/connections":
            count = len(mock.connections)
            self.reply(200, {"now_at_ms": now_ms(), "total": count, "matching": count,
                             "connections": mock.connections[:limit]})
        elif path == "/api/v1/failures":
            self.reply(200, {"failures": mock.failures[:limit]})
        elif path.startswith("/api/v1/requests/") and path.rsplit("/", 1)[1] in mock.records:
            self.reply(200, mock.records[path.rsplit("/", 1)[1]])
        elif path == "/api/v1/stream" and mock.has_stream:
            self.stream()
        else:
            self.problem(404, f"there is nothing at {path}", "See GET /api/v1/openapi.json.")

    def change(self, path, body):
        mock = self.mock
        parts = [urllib.parse.unquote(part) for part in path.split("/")[3:]]
        if path == "/api/v1/explain":
            self.reply(200, mock.explained)
        elif self.headers.get("X-Weir-Request") != "1":
            self.problem(403, "a change must say that it is meant")
        elif mock.may != "operate":
            self.problem(403, "loopback may look and not change anything", "Use a token.")
        elif mock.stale:
            self.problem(412, "somebody else has changed this backend meanwhile", "Read it again.")
        else:
            with mock.lock:
                self.steer(parts, body)

    def steer(self, parts, body):
        mock = self.mock
        one = mock.find(parts[1], parts[3]) if parts[0] == "pools" else None
        if parts[0] == "pools" and not one:
            self.problem(404, f"there is no backend '{parts[3]}'")
            return
        if one and parts[4] in ("drain", "disable", "enable"):
            words = {"drain": "draining", "disable": "disabled", "enable": "enabled"}
            changed = one["admin"] != words[parts[4]]
            one["admin"] = words[parts[4]]
            one["takes_requests"] = parts[4] == "enable"
            one["state"] = "up" if parts[4] == "enable" else one["admin"]
            one["reason"] = None if parts[4] == "enable" else "draining"
        elif one and parts[4] == "weight":
            changed, one["weight"] = one["weight"] != body["weight"], body["weight"]
        else:
            changed = True
        number = mock.add_event(kind="steering", backend=one and one["id"], text="it was changed",
                                by="token ops") if changed else None
        self.reply(200, {"changed": changed, "event": number})

    def tell(self, name, tree):
        data = f"event: {name}\ndata: {json.dumps(tree)}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def stream(self):
        mock = self.mock
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        told = len(mock.events)
        while mock.running:
            if not mock.silent:
                for event in mock.events[told:]:
                    self.tell("event", event)
                told = len(mock.events)
                self.tell("state", mock.state())
                self.wfile.flush()
            time.sleep(mock.tick_s)
        self.close_connection = True
