# SPDX-License-Identifier: Apache-2.0
"""A collector of spans, by OTLP over HTTP in JSON. It reads what it gets as strictly as the protocol
is written down."""
import json
import re

from . import http1
from .backend import Backend, serve
from .net import until

HEX = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
SERVER, CLIENT = 2, 3
KEYS = {"traceId", "spanId", "parentSpanId", "flags", "name", "kind", "startTimeUnixNano",
        "endTimeUnixNano", "attributes", "status"}


def attributes(given):
    """Attributes as a dictionary; each key is there once."""
    found = {}
    for each in given:
        assert set(each) == {"key", "value"}, each
        (kind, value), = each["value"].items()
        if kind == "intValue":  # 64 bits are a text
            assert isinstance(value, str) and re.fullmatch("-?[0-9]+", value), each
            value = int(value)
        else:
            assert type(value) is {"stringValue": str, "boolValue": bool}[kind], each
        assert each["key"] not in found, each
        found[each["key"]] = value
    return found


class Span:
    def __init__(self, raw, resource):
        assert set(raw) <= KEYS, raw
        for key, digits in HEX.items():
            if key in raw:
                assert re.fullmatch(f"[0-9a-f]{{{digits}}}", raw[key]), raw
                assert set(raw[key]) != {"0"}, raw
        self.trace, self.id, self.parent = raw["traceId"], raw["spanId"], raw.get("parentSpanId")
        self.name, self.kind, self.flags = raw["name"], raw["kind"], raw["flags"]
        self.begun, self.ended = (int(raw[key]) for key in ("startTimeUnixNano", "endTimeUnixNano"))
        assert self.begun <= self.ended, raw
        self.attributes = attributes(raw["attributes"])
        self.is_error = raw.get("status", {}).get("code") == 2
        self.resource = resource

    def __getitem__(self, key):
        return self.attributes[key]

    def get(self, key, default=None):
        return self.attributes.get(key, default)

    def __repr__(self):
        return f"<{self.name} kind {self.kind} {self.trace}/{self.id} {self.attributes}>"


class Collector:
    """Listens until the end; `statuses` are those of its answers, the last one for all that follow."""

    def __init__(self, *statuses, path="/v1/traces", **rest):
        self.statuses = list(statuses) or [200]
        self.path = path
        self.spans = []  # of requests that were answered with 200
        self.requests = 0
        self.backend = Backend(serve(self.answer), **rest)
        self.url = f"http://{self.backend.address}"

    def answer(self, message):
        assert message.method == "POST" and message.target == self.path, message
        assert message.get("content-type") == "application/json", message
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 200:
            self.spans += self.read(json.loads(message.body))
        self.requests += 1
        return http1.response(status, "Content-Type: application/json", body=b"{}")

    @staticmethod
    def read(document):
        spans = []
        assert set(document) == {"resourceSpans"}
        for of_resource in document["resourceSpans"]:
            resource = attributes(of_resource["resource"]["attributes"])
            for of_scope in of_resource["scopeSpans"]:
                assert of_scope["scope"]["name"] == "weir"
                spans += [Span(each, resource) for each in of_scope["spans"]]
        assert spans, "a request without spans"
        return spans

    def wait(self, count):
        """The first `count` spans, servers' first, then by their beginning."""
        until(lambda: len(self.spans) >= count, f"{count} spans, of {self.spans}")
        self.check()
        return sorted(self.spans, key=lambda span: (span.kind, span.begun, span.get(
            "http.request.resend_count", 0)))

    def check(self):
        for connection in self.backend.connections:
            assert connection.error is None, connection.error

    def stop(self):
        self.backend.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.backend.stopping:
            self.stop()
