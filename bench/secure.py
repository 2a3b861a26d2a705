# SPDX-License-Identifier: Apache-2.0
"""TLS, and HTTP/2 and gRPC over it, against nginx, HAProxy and nghttpx.

All show the same certificate (ECDSA P-256), speak TLS 1.3 with AES-128-GCM and X25519 here, make
session tickets, keep connections to the origin and write no access log. bench-load is the client
of HTTP/1.1 and of bare handshakes, h2load that of HTTP/2.
"""

import os
import re
import statistics
import subprocess
from dataclasses import dataclass

import parallel
from harness import (Proxy, best_of, check, cpu_of, find_program, idle_slope, instructions, repeat,
                     rounds, say, timed)
from process import BenchError, Child, free_port, wait_listening
from subjects import ENGINES, SUBJECTS, Subject, write

IDLE_FEW, IDLE_MANY = 500, 2500
H2_CONNECTIONS, H2_STREAMS = 8, 32
H2_WARM = 4000
GRPC_CONNECTIONS, GRPC_RATE = 8, 50  # a second, on each
# Each connection begins so long after the one before, and its calls follow every 20 ms: so they fall
# 2 ms apart. Begun together, they would be as far apart as the subject's handshakes are, which is six
# calls at once with one subject and one at a time with another.
GRPC_APART = "22ms"
HANDSHAKE_CONNECTIONS = 16
SPEED_SECONDS = 1
WARM_SECONDS = 60

CIPHERS = ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
           "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
           "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305")
SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
GROUPS = "X25519:P-256:P-384"

WEIR = """\
runtime: {{workers: {workers}, io: {engine}}}
log: {{level: error, access: {{output: none}}}}
certificates: [{{cert: {cert}, key: {{file: {key}}}}}]
frontends:
  web: {{bind: "127.0.0.1:{port}", tls: true, pool: app}}
pools:
  app: {{health_check: none, backends: ["{scheme}127.0.0.1:{origin}"]}}
"""
NGINX = """\
daemon off; {master} worker_processes 1; worker_rlimit_nofile {files};
error_log stderr error; pid {work}/nginx.pid; {user}
events {{ worker_connections 18000; }}
http {{
    access_log off; keepalive_timeout 300s; keepalive_requests 1000000000;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers {ciphers}; ssl_ecdh_curve {groups};
    ssl_session_tickets on;
    upstream app {{
        server 127.0.0.1:{origin};
        keepalive 4096; keepalive_requests 1000000000; keepalive_timeout 300s;
    }}
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=8192;
        location / {{
            proxy_pass http://app; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""
HAPROXY = """\
global
    nbthread 1
    maxconn 9000
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphers {ciphers}
    ssl-default-bind-ciphersuites {suites}
    ssl-default-bind-curves {groups}
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
    option http-keep-alive
frontend web
    bind 127.0.0.1:{port} backlog 8192 ssl crt {both} alpn h2,http/1.1
    default_backend app
backend app
    http-reuse always
    server origin 127.0.0.1:{origin}
"""
NGHTTPX = """\
frontend=127.0.0.1,{port}
backend=127.0.0.1,{origin}{proto}
private-key-file={key}
certificate-file={cert}
ciphers={ciphers}
tls13-ciphers={suites}
ecdh-curves={groups}
workers=1
{single}
{user}
backlog=8192
no-ocsp=yes
no-via=yes
accesslog-file=/dev/null
errorlog-file=/dev/stderr
frontend-keep-alive-timeout=5m
backend-keep-alive-timeout=5m
"""


def papers(bench):
    """A certificate of one's own: (certificate, key, both in one file). Made at the first use."""
    cert, key, both = (bench.work / name for name in ("tls.crt", "tls.key", "tls.pem"))
    if not both.exists():
        openssl(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example",
                 "-days", "2", "-keyout", str(key), "-out", str(cert)])
        for path in (cert, key):
            path.chmod(0o644)  # some read it as another user
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        both.chmod(0o644)
    return cert, key, both


def openssl(argv, seconds=60):
    program = find_program("openssl")
    if not program:
        raise BenchError("openssl is not installed")
    done = subprocess.run([program, *argv], capture_output=True, text=True, timeout=seconds,
                          check=False)
    if done.returncode:
        raise BenchError(f"openssl {argv[0]}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


@dataclass(frozen=True)
class Secure(Subject):
    """A subject that ends TLS, before an origin of HTTP/1.1 or, for gRPC, of HTTP/2."""

    grpc: bool = False

    def values(self, bench, port, origin, work):
        cert, key, both = papers(bench)
        return {"port": port, "work": work, "cert": cert, "key": key, "both": both,
                "origin": grpc_origin(bench) if self.grpc else origin, "ciphers": CIPHERS,
                "suites": SUITES, "groups": GROUPS, "files": bench.files}

    def command_weir(self, bench, port, origin, work, _tcp, _single):
        text = WEIR.format(workers=self.workers, engine=self.engine,
                           scheme="h2c://" if self.grpc else "",
                           **self.values(bench, port, origin, work))
        return [bench.args.weir, "-c", write(work / "weir.yaml", text)]

    def command_nginx(self, bench, port, origin, work, _tcp, single):
        text = NGINX.format(master="master_process off;" if single else "",
                            user="user root;" if os.geteuid() == 0 else "",
                            **self.values(bench, port, origin, work))
        return [bench.nginx, "-p", str(work), "-e", "stderr", "-c",
                write(work / "nginx.conf", text)]

    def command_haproxy(self, bench, port, origin, work, _tcp, _single):
        text = HAPROXY.format(**self.values(bench, port, origin, work))
        return [bench.haproxy, "-db", "-f", write(work / "haproxy.cfg", text)]

    def command_nghttpx(self, bench, port, origin, work, _tcp, single):
        program = find_program("nghttpx")
        if not program:
            raise BenchError("nghttpx is not installed")
        text = NGHTTPX.format(proto=";;proto=h2" if self.grpc else "",
                              single="single-process=yes" if single else "",
                              user="user=root" if os.geteuid() == 0 else "",
                              **self.values(bench, port, origin, work))
        return [program, "--conf", write(work / "nghttpx.conf", text)]


TLS_WEIRS = ["weir-epoll-tls", "weir-uring-tls"]
TLS_PEERS = ["nginx-tls", "haproxy-tls", "nghttpx-tls"]
SHOWN = ["weir-uring-tls", *TLS_PEERS]
SUBJECTS.update({subject.name: subject for subject in [
    *(Secure(f"weir-{word}-tls", "weir", engine) for word, engine in ENGINES.items()),
    *(Secure(f"weir-{word}-tls-2", "weir", engine, workers=2) for word, engine in ENGINES.items()),
    *(Secure(f"weir-{word}-grpc", "weir", engine, grpc=True) for word, engine in ENGINES.items()),
    *(Secure(f"{peer}-tls", peer) for peer in ("nginx", "haproxy", "nghttpx")),
    Secure("nghttpx-grpc", "nghttpx", grpc=True),
    Secure("direct-grpc", "direct", grpc=True),
]})


def keep_alive(bench, connections, *more):
    return ["--tls", "--connections", connections, "--seconds", f"{bench.seconds:.2f}", *more]


def check_best(bench, row, runs, must, aim=None, peers=None):
    """Each weir against the best of the others, round by round."""
    peers = [peer for peer in peers or TLS_PEERS if cpu_of(runs, peer)]
    best = [min(of_round) for of_round in zip(*(cpu_of(runs, peer) for peer in peers))]
    for name in TLS_WEIRS:
        check(bench, row, f"{name} / best of {', '.join(peers) or 'none'}", cpu_of(runs, name),
              best, must, aim, best_of(runs, peers) or "", bench.why_absent(name))


# ---- HTTP/1.1 -----------------------------------------------------------------------------------

def scenario_tls(bench):
    """HTTPS/1.1, keep-alive GET, 100 bytes, 64 connections."""
    load = "64 connections"
    runs = rounds(bench, "tls", TLS_WEIRS + TLS_PEERS,
                  {load: keep_alive(bench, 64, "--warm", 40)})[load]
    check_best(bench, "HTTPS/1.1 keep-alive, 100 B: CPU/request", runs, 0.85)


def scenario_tls_body(bench):
    """HTTPS/1.1, keep-alive GET, 1 MiB bodies, 16 connections."""
    load = "1 MiB, 16 connections"
    runs = rounds(bench, "tls_body", TLS_WEIRS + TLS_PEERS,
                  {load: keep_alive(bench, 16, "--size", 1 << 20, "--warm", 4)})[load]
    check_best(bench, "1 MB over TLS: CPU/byte", runs, 1.1)


# ---- Handshakes ---------------------------------------------------------------------------------

def shakes(bench, *more):
    return ["--handshakes", "--connections", HANDSHAKE_CONNECTIONS, "--warm", 3, "--seconds",
            f"{bench.seconds:.2f}", *more]


def speed_us(bench):
    """{what: us} of the arithmetic in a full handshake, by `openssl speed` on the proxy's core."""
    with_core = os.sched_getaffinity(0)
    os.sched_setaffinity(0, bench.proxy_cpus)
    try:
        text = openssl(["speed", "-seconds", str(SPEED_SECONDS), "ecdsap256", "ecdhx25519"])
    finally:
        os.sched_setaffinity(0, with_core)
    sign = re.search(r"ecdsa \(nistp256\)\s+[\d.]+s\s+[\d.]+s\s+([\d.]+)", text)
    derive = re.search(r"ecdh \(X25519\)\s+[\d.]+s\s+([\d.]+)", text)
    if not sign or not derive:
        raise BenchError("openssl speed says nothing of ecdsap256 or ecdhx25519")
    return {"signature (P-256)": 1e6 / float(sign.group(1)),
            "key exchange (X25519)": 1e6 / float(derive.group(1))}


def show_speed(bench):
    try:
        for what, value in speed_us(bench).items():
            say(f"    openssl speed, one {what}: {value:.1f} us")
            bench.figures.append(("handshakes", "openssl speed, us", what, [value]))
    except BenchError as error:
        say(f"  skipped: {error}")


def scenario_handshakes(bench):
    """Connections with a handshake and nothing else: full ones, and resumed ones."""
    loads = {"full": shakes(bench), "resumed": shakes(bench, "--resume")}
    results = rounds(bench, "handshakes", TLS_WEIRS + TLS_PEERS, loads)
    show_speed(bench)
    for load in loads:
        what = "full ECDSA P-256" if load == "full" else load
        check_best(bench, f"{what} handshakes: CPU per connection", results[load], 1.05)


def scenario_tls_workers(bench):
    """Full handshakes of two workers: against one on the same core, and two processes on two."""
    row = "2 workers: CPU per handshake"
    names = [name + end for name in TLS_WEIRS for end in ("", "-2")]
    runs = rounds(bench, "tls_workers", names, {"one core": shakes(bench)})["one core"]
    for name in TLS_WEIRS:
        missing = bench.why_absent(name)
        check(bench, row, f"{name}, 2 / 1 workers, one core", cpu_of(runs, name + "-2"),
              cpu_of(runs, name), 1 / 0.9, None, "its own with 1 worker", missing)
        shared, apart = ([], []) if missing else parallel.rounds_of_two(
            bench, "tls_workers", name, shakes(bench))
        check(bench, row, f"{name}, 2 workers / 2 processes, two cores",
              [run.cpu_us for run in shared], [run.cpu_us for run in apart], 1 / 0.9, None,
              "two processes with 1 worker", missing)


# ---- Memory -------------------------------------------------------------------------------------

def scenario_tls_idle(bench):
    """Private memory per idle TLS connection that has made a request: the slope."""
    results = repeat(bench, "tls_idle", "bytes per connection", TLS_WEIRS + TLS_PEERS,
                     min(bench.rounds, 3),
                     lambda subject: idle_slope(bench, subject, IDLE_FEW, IDLE_MANY, ["--tls"]))
    peers = [peer for peer in TLS_PEERS if results.get(peer)]
    best = min(peers, key=lambda peer: statistics.median(results[peer]), default=None)
    for name in TLS_WEIRS:
        check(bench, "private bytes per idle TLS connection",
              f"{name} / best of {', '.join(peers) or 'none'}", results.get(name, []),
              results.get(best, []), 1.0, None, best or "", bench.why_absent(name))


# ---- HTTP/2 and gRPC ----------------------------------------------------------------------------

class H2Load:
    """h2load behind the same calls as harness.Load. Each part is a run of its own: its connections
    and their handshakes count, which is little among so many requests."""

    def __init__(self, bench, port, argv, scheme="https"):
        self.bench = bench
        self.program = find_program("h2load")
        if not self.program:
            raise BenchError("h2load is not installed")
        self.argv = argv
        self.scheme = scheme
        self.port = port
        self.requests = 0

    def warm(self, requests):
        """Connects the origin, and finds how many requests fill the time."""
        self.requests = requests
        rate = self.measure(WARM_SECONDS)["rate"]
        self.requests = max(requests, int(rate * self.bench.seconds))

    def measure(self, seconds):
        serial = next(self.bench.serial)
        log, out = self.bench.work / f"h2load-{serial}.tsv", self.bench.work / f"h2load-{serial}"
        child = Child([self.program, "-n", str(self.requests), "--log-file", str(log),
                       *map(str, self.argv), f"{self.scheme}://127.0.0.1:{self.port}/100"],
                      self.bench.load_cpus, out)
        try:
            child.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"h2load needed more than {seconds:.0f} s") from error
        finally:
            child.end()
        text = out.read_text(errors="replace")
        rows = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
        log.unlink(missing_ok=True)
        good = re.search(r"(\d+) succeeded, 0 failed, 0 errored, 0 timeout", text)
        rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", text)
        if "Application protocol: h2" not in text or not good or not rate or \
                int(good.group(1)) != self.requests or any(row[1] != "200" for row in rows):
            raise BenchError(f"h2load: {' | '.join(text.strip().splitlines()[-12:])}")
        latencies = sorted(int(row[2]) for row in rows)
        return {"answered": self.requests, "rate": float(rate.group(1)), "unsent": 0,
                "latency_us": {"p50": latencies[len(latencies) // 2],
                               "p99": latencies[len(latencies) * 99 // 100]}}


def measure_h2(bench, subject, argv, _tcp):
    with Proxy(bench, subject) as proxy:
        load = H2Load(bench, proxy.port, argv)
        load.warm(H2_WARM)
        return timed(bench, load, proxy.pids)


def scenario_h2(bench):
    """HTTP/2 over TLS to HTTP/1.1, 100 bytes, 8 connections with 32 streams each."""
    load = f"{H2_CONNECTIONS} connections x {H2_STREAMS} streams"
    argv = ["-c", H2_CONNECTIONS, "-m", H2_STREAMS]
    runs = rounds(bench, "h2", TLS_WEIRS + TLS_PEERS, {load: argv}, measure=measure_h2)[load]
    check_best(bench, "h2 over TLS to H1 backends: CPU/request", runs, 0.95, 0.8, ["nghttpx-tls"])


def grpc_origin(bench):
    """The port of an nghttpd that answers every call with one message and its trailers."""
    if "grpc" not in bench.origins:
        program = find_program("nghttpd")
        if not program:
            raise BenchError("nghttpd is not installed")
        port = free_port()
        call = grpc_call(bench)
        child = Child([program, "--no-tls", "-a", "127.0.0.1", "-d", str(call.parent), "-m", "256",
                       "--trailer", "grpc-status: 0", str(port)], bench.load_cpus,
                      bench.work / "nghttpd.log")
        wait_listening(child, port)
        bench.origins["grpc"] = port
    return bench.origins["grpc"]


def grpc_call(bench):
    """A file that is the message of a request and of an answer: 100 bytes behind five."""
    folder = bench.work / "grpc"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    (folder / "100").write_bytes(b"\0\0\0\0\x64" + b"m" * 100)
    return folder / "100"


def measure_grpc(bench, subject, argv, _tcp):
    argv = [*argv, "-d", grpc_call(bench), "-H", "content-type: application/grpc", "-H",
            "te: trailers"]
    direct = subject.kind == "direct"  # the origin alone, without TLS
    with Proxy(bench, subject) as proxy:
        load = H2Load(bench, grpc_origin(bench) if direct else proxy.port, argv,
                      "http" if direct else "https")
        load.warm(GRPC_CONNECTIONS * GRPC_RATE // 2)
        run = timed(bench, load, proxy.pids)
    if direct:
        run.foreign = 0.0
    return run


def scenario_grpc(bench):
    """gRPC over TLS to cleartext HTTP/2, one call at a time on 8 connections: p50 above none. The
    same moments for all, as far as h2load can keep them."""
    names = ["direct-grpc", "weir-epoll-grpc", "weir-uring-grpc", "nghttpx-grpc"]
    load = f"{GRPC_CONNECTIONS * GRPC_RATE} calls/s"
    argv = ["-c", GRPC_CONNECTIONS, "-m", 1, "--rps", GRPC_RATE, "-r", 1, "--rate-period",
            GRPC_APART]
    runs = rounds(bench, "grpc", names, {load: argv}, measure=measure_grpc)[load]
    added = {}
    for name in names[1:]:
        added[name] = [run.latency_us["p50"] - base.latency_us["p50"]
                       for run, base in zip(runs.get(name, []), runs.get("direct-grpc", []))]
        if added[name]:
            bench.figures.append(("grpc", "added p50, us", name, added[name]))
            say(f"    {name:18} added p50 {statistics.median(added[name]):8.1f} us "
                f"({min(added[name]):.1f} to {max(added[name]):.1f})")
    peer = [max(value, 1.0) for value in added["nghttpx-grpc"]]
    for name in names[1:3]:
        check(bench, "gRPC unary: added p50", f"{name} / nghttpx-grpc", added[name], peer, 1.0,
              None, "nghttpx-grpc", bench.why_absent(name))


# ---- Instructions -------------------------------------------------------------------------------

def scenario_tls_instructions(bench):
    """User-space instructions under callgrind, epoll, OpenSSL's included. Not judged."""
    if not bench.valgrind:
        say("skipped: valgrind is not installed")
        return
    names = ["weir-epoll-tls", "nginx-tls", "haproxy-tls"]  # nghttpx stalls under valgrind
    parts = [("HTTPS/1.1 request", ["--tls", "--connections", 64, "--warm", 2], 2000, 6000),
             ("full handshake", ["--handshakes", "--connections", 16, "--warm", 2], 100, 500),
             ("resumed handshake", ["--handshakes", "--resume", "--connections", 16, "--warm", 2],
              100, 500)]
    for what, argv, few, many in parts:
        say(f"  {what}:")
        repeat(bench, "tls_instructions", f"instructions per {what}", names, 1,
               lambda subject: instructions(bench, subject, argv, few, many))


SCENARIOS = {name.removeprefix("scenario_"): function for name, function in list(globals().items())
             if name.startswith("scenario_")}
