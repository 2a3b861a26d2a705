#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of fuzz_conf: good configurations, mutants of them, and odd texts.

    seeds_conf.py CONF_TOOL FOLDER

Each file starts with the byte that says what it is (see fuzz_conf.c). The same seed gives the same
files; a file's name is made from its content, so what the fuzzer has found beside them stays.
"""
import hashlib
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/conf"))
import mutate  # noqa: E402

KINDS = {".yaml": b"y", ".toml": b"t", ".json": b"j"}

ODD = [
    b"y", b"t", b"j", b"s", b"y{}", b"j{}", b"y[]", b"ynull", b"y---\n...\n", b"y\xef\xbb\xbfa: 1",
    b"ybackends: a:1", b"tbackends = 'a:1'", b"j{\"backends\": \"a:1\"}",
    b"ybackends: [a:1-5, {address: b:1-3, id: x}, 'unix:/x', '[::1]:5', http://c]",
    b"yx-a: &a {backends: [a:1]}\npools: {default: *a, b: {<<: *a, algorithm: wrr}}",
    b"y&a a: &b [*b]", b"ya: &a [x, x]\nb: &b [*a, *a]\nbackends: [*b, *b]",
    b"ybackends: >\n  a:1,\n  b:2\n", b"ybackends: |\n  a:1\n", b"y? backends\n: a:1\n",
    b"ybackends: !!str a:1", b"y\"backends\": \"\\x61:\\u0031\"", b"ybackends: 'it''s:1'",
    b"ybackends: a:1\nlog: {level: TRACE, output: /x, access: {output: syslog}}",
    b"ybackends: a:1\nruntime: {workers: 3, io: uring, pin: yes, max_connections: 100}",
    b"ybackends: ['${A:-a:1}', '$${A}:1', '$x:1', '${B', '${}', '${C:?no}']",
    b"yload_balancer: {algorithm: rr}\nbackends: [{id: a, url: 'http://localhost:1', weight: 2}]",
    b"yfrontend: {bind_on: ':1', backend: {forward_to: a:1}}",
    b"t[frontend]\nbind_on = ':1'\n[[frontend.backend]]\nforward_to = 'a:1'\n",
    b"t[tcp_frontend.a]\nbind_on=':1'\n[[tcp_frontend.a.backend]]\nforward_to='a:1'\n",
    b"ta.b.c.d.e = 1\n", b"ta = {b = {c = [1, 2.5, 1979-05-27T07:32:00Z, inf, nan, 0x1F]}}\n",
    b"ta = '''\nx'''\nb = \"\"\"\\u00e9\"\"\"\n", b"t[a]\n[a]\n", b"t[a]\n[/a]\n",
    b"tanb.c.d\xcf\x9d0 = 1\n", b"ta = \"\"\"x\"\"\"\" \xc3\xa9\n", b"t# \xc3\xa9\n'\xc3\xa9' = '\xc3\xa9'\n",
    b"t[frontends.web]\nbind=':1'\npool='default'\nroutes=[{name=\"a\\u0085\\u0080\\ufffe\\u2028\\ufeff\", "
    b"pool='default'}]\n[pools.default]\nbackends='a:1'\n",
    b"sWEIR_POOLS__DEFAULT__BACKENDS__1__ID= '${A}$${B}$$${C}$",
    b"ta = 0\'\xc3\xa9", b"ta\xc3\xa9 = 1\n", b"ta = \xca\x80\n", b"ta = 1\na = 2\n",
    b"tb = { a = 1, a = 2 }\n", b"t[a.b]\nc = 1\n[[a.b]]\n",
    b"j{\"backends\": [\"\\u0061\\ud83d\\ude00:1\", \"\\/\"]}", b"j{\"a\": 1, \"a\": 2}",
    b"j{\"backends\": null, \"bind\": true, \"log\": 1e5}", b"j\t{\t\"backends\"\t:\t\"a:1\"\t}\t",
    b"yfrontends: {a: {bind: ':1', pool: [a:1], routes: [{redirect: '/{path}{query}{host}'}]}}",
    b"yfrontends: {a: {bind: ':1', pool: {backends: a:1}, routes: [{split: {a: 3, b: 0}}]}}\n"
    b"pools: {b: {backends: b:1}}",
    b"yfrontends: {a: {bind: ['[::]:1', '127.0.0.1:2'], backends: [a:1], client_ip: "
    b"{trusted_proxies: [private, 10.0.0.0/8, '::/0']}, headers: {identify: off, request_id: none}}}",
    b"fX=1\n# c\nexport Y='a b' # c\nPORT=9\nX=2\nZ=\"q\\n\\\"\"\nWEIR_LOG__LEVEL=info\nno\n---\n"
    b"backends: ['${A}', '${X}:${PORT}', '${B:-b:2}', '${Y}', '${N:?say}', '${PROT}', '$${A}']\n",
    b"fA=1\n---\nbackends: ['${A}']\nfrontends: {default: {headers: {identify: '${PORT}$'}}}\n",
    b"fWEIR_POOLS__DEFAULT__BACKENDS__0__WEIGHT=4\nWEIR_SERVICE_HOST=1\nWEIR_LOG_LEVEL=1\n---\n"
    b"backends: a:1", b"f\n---\n[frontend]\nbind_on = ':1'\n[[frontend.backend]]\nforward_to = 'a:1'",
    b"f\n---\n{\"backends\": \"a:1\"}", b"f\n---\n# c\nbackends = ['127.0.0.1:8080']\n",
    b"ypools: {a: {backends: [{address: a:1, weight: 0}]}, b: {backends: '127.0.0.1:5'}}\n"
    b"frontends: {f: {bind: [':5', ':5', 'unix:/a', 'unix:/a', '[::1]:5'], pool: a, client_ip: "
    b"{trusted_proxies: '0.0.0.0/0'}, routes: [{pool: b, match: {host: a, path: /a/*}}, {pool: b, "
    b"match: {host: a, path: /a/b}}, {pool: b}, {pool: b, match: {methods: GET}}]}}",
    b"spools.default.backends[0].weight=3", b"sWEIR_POOLS__DEFAULT__BACKENDS__1__ID=x",
    b"sWEIR_RUNTIME__WORKERS=4\nruntime.workers=auto\nlog={level: info, format: json}",
    b"sbackends=[a:1, b:2]\nbind=:1,:2\nalgorithm=rr", b"sx\n=\na..b=1\na[=1\na[0][1]=2\na[x]=1",
    b"sfrontends.default.routes=[{match: {path: /x/*}, redirect: /y/{rest}}]\nWEIR_LOG_LEVEL=1",
    b"ybackends: [{address: a:1, max_connections: 3, backup: true, slow_start: 1s, health_check: "
    b"{port: 1, path: /, host: h}}, b:1]\nalgorithm: maglev\nhealth_check: {interval_secs: 5, "
    b"timeout_secs: 9, expect: {status: '200, 300-301', body: x}}\ncircuit_breaker: {timeout_secs: 3, "
    b"error_rate: 50%, failure_threshold: none}\nretry: {backoff_base_ms: 5, backoff_max_ms: 9, "
    b"when: 'connect, 503', budget: none, try_timeout: 90s}",
    b"ypools: {a: {backends: a:1, health_check: none, failover: b, hash: {by: 'path, header:X'}, "
    b"slow_start: none}, b: {backends: b:1, outliers: {success_rate: {enabled: true, deviations: "
    b"1.25}}, hedge: {after: 95%}, limits: {shed: {target: 40s}, adaptive: {min: 3}}}}\nfrontends: "
    b"{w: {bind: ':1', allow: private, deny: 0.0.0.0/0, routes: [{pool: a, retry: {max_attempts: 1}, "
    b"timeouts: {request: none}}]}}",
    b"yload balancer: http://127.0.0.1:8000\n!! x\nalgorithm: wlrt\nservers: http://a:1/, b:2,\n"
    b"weights: 1, 2, 3\nmax connections: 4\ntimeout: 10\nmax retries: 1\nhealth check interval: 9",
    b"yload balancer: 127.0.0.1:1\r\nservers: a:1\r\nhelth check interval: 9000\r\ntimeout: 5000",
    b"yhealth_check: {interval: ${A}s, interval_secs: ${B}}\nretry: {backoff_base_ms: '${X}'}",
    b"ypools: {default: {backends: a:1-70, algorithm: rendezvous, slow_start: 1s, sticky: cookie}}",
    b"ypools: {default: {backends: [a:1], sticky: {secret: 'it''s a secret, or so', name: __Host-x, "
    b"path: /b, ttl: session, secure: auto, same_site: none}}}",
    b"ypools: {p: {backends: a:1, sticky: {secret: '***'}}, q: {backends: b:1, sticky: {secret: {env: "
    b"A, file: B, credential: C}}}}\nfrontends: {f: {bind: ':1', routes: [{split: {p: 1, q: 2}}]}}",
    b"y{secret: \xc3\xa4, secret: \"\\\"\", 'secret': 'a''', secret: ${A}, secret: ${A:-b}",
    b"tsecret = \"a\\\"b\" # c\r\nsecret='\n\"secret\" = {file = 'x'}\nsecret\n",
    b"ypools: {p: {backends: a:1, algorithm: prequal, prequal: {load: header, header: X-A, probe: /x, "
    b"pool: 3}, hash: {by: [path]}, sticky: {by: cookie}}}\n"
    b"frontends: {f: {bind: ':1', protocol: tcp, pool: p}}",
    b"ypools: {p: {backends: a:1, sticky: cookie}, q: {backends: b:1, sticky: cookie}}\n"
    b"frontends: {f: {bind: ':1', pool: p, routes: [{split: {p: 1, q: 2}, match: {host: '*.a'}}]}}",
    b"fA=0123456789abcdef\nWEIR_S=x\n---\nbackends: a:1\npools: {default: {sticky: {secret: '${A}'}}}\n",
    b"fA=0123456789abcdef\n---\nbackends: a:1\npools: {default: {sticky: {secret: {env: A}}}}\n",
    b"f\n---\nbackends: a:1\npools: {default: {sticky: {secret: {credential: x}}}}\n",
    b"spools.default.sticky.secret=0123456789abcdef", b"spools.default.sticky=cookie",
    b"sWEIR_POOLS__DEFAULT__STICKY__SECRET=0123456789abcdef\nWEIR_POOLS__DEFAULT__STICKY__TTL=1h",
    b"sfrontends.default.protocol=tcp\nfrontends.default.pool={backends: [b:1]}\nWEIR_X=1",
]


def mutants():
    rng = random.Random(7)
    tool = pathlib.Path(sys.argv[1]).resolve()
    known = mutate.known_words(tool)
    for path in sorted((ROOT / "tests/conf/good").glob("full.*")):
        maker = mutate.Maker(rng, path, known)
        yield KINDS[path.suffix] + maker.text.encode()
        for kind in mutate.KINDS:
            for _ in range(5):
                mutant = getattr(maker, kind)()
                yield KINDS[mutant.ending] + mutant.text.encode()


def main():
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    texts = set(ODD) | set(mutants())
    for text in texts:
        (folder / hashlib.sha1(text).hexdigest()).write_bytes(text)
    print("%d inputs" % len(texts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
