# SPDX-License-Identifier: Apache-2.0
"""What stands between the generator and the origin: how each subject is configured and started."""

import os
from dataclasses import dataclass


NGINX_HEAD = """\
daemon off; {master} worker_processes 1; worker_rlimit_nofile {files};
error_log stderr error; pid {work}/nginx.pid; {user} {modules}
events {{ worker_connections 18000; }}
"""
NGINX_HTTP = NGINX_HEAD + """\
http {{
    access_log off; keepalive_timeout 300s; keepalive_requests 1000000000;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy;
    fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
    upstream app {{
        server 127.0.0.1:{origin};
        keepalive 4096; keepalive_requests 1000000000; keepalive_timeout 300s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{
            proxy_pass http://app; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""
NGINX_TCP = NGINX_HEAD + """\
stream {{
    server {{ listen 127.0.0.1:{port} backlog=8192; proxy_pass 127.0.0.1:{origin}; }}
}}
"""
HAPROXY = """\
global
    nbthread 1
    maxconn {connections}
defaults
    mode {mode}
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    {http_only}
    {splice}
frontend web
    bind 127.0.0.1:{port} backlog 8192
    default_backend app
backend app
    {reuse}
    server origin 127.0.0.1:{origin}
"""
WEIR = """\
runtime: {{workers: {workers}, io: {io}}}
log: {{level: error, access: {{output: {access}}}}}
{top}
frontends:
  web: {{bind: "127.0.0.1:{port}", protocol: {mode}, pool: app}}
pools:
  app: {{backends: ["127.0.0.1:{origin}"]}}
"""
BARE = """\
metrics: {enabled: false}
admin: {records: false}
"""


@dataclass(frozen=True)
class Subject:
    """Something that stands between the generator and the origin."""

    name: str
    kind: str  # weir, relay, nginx, haproxy, direct
    engine: str = ""
    workers: int = 1
    splice: bool = False
    bare: bool = False  # weir without metrics and records
    logged: bool = False  # weir with a JSON access log in a file
    everywhere = False  # its origin stands at every address of the loopback

    def command(self, bench, port, origin, work, tcp=False, single=False):
        """argv, after writing its configuration. single: one process, for valgrind."""
        argv = getattr(self, "command_" + self.kind)(bench, port, origin, work, tcp, single)
        return [*argv, "--set", "runtime.keeper=false"] if single and self.kind == "weir" else argv

    def command_weir(self, bench, port, origin, work, tcp, _single):
        config = WEIR.format(workers=self.workers, io=self.engine, port=port, origin=origin,
                             mode="tcp" if tcp else "http", top=BARE if self.bare else "",
                             access=f'"{work}/access.log"' if self.logged else "none")
        return [bench.args.weir, "-c", write(work / "weir.yaml", config)]

    def command_relay(self, bench, port, origin, _work, _tcp, _single):
        return [bench.tool("bench-relay"), "--listen", f"127.0.0.1:{port}", "--upstream",
                f"127.0.0.1:{origin}", "--mode", self.engine, *bench.relay_sizes]

    def command_nginx(self, bench, port, origin, work, tcp, single):
        config = (NGINX_TCP if tcp else NGINX_HTTP).format(
            port=port, origin=origin, work=work, files=bench.files,
            user="user root;" if os.geteuid() == 0 else "",
            master="master_process off;" if single else "",
            modules=f"load_module {bench.nginx_stream};" if tcp and bench.nginx_stream else "")
        return [bench.nginx, "-p", str(work), "-e", "stderr", "-c",
                write(work / "nginx.conf", config)]

    def command_haproxy(self, bench, port, origin, work, tcp, _single):
        config = HAPROXY.format(
            port=port, origin=origin, mode="tcp" if tcp else "http",
            http_only="" if tcp else "timeout http-keep-alive 300s\n    option http-keep-alive",
            reuse="" if tcp else "http-reuse always",
            # Its pipes count against the limit of descriptors.
            connections=4000 if self.splice else 9000,
            splice="option splice-auto" if self.splice else "")
        return [bench.haproxy, "-db", "-f", write(work / "haproxy.cfg", config)]


def write(path, text):
    text = "\n".join(line for line in text.splitlines() if line.strip()) + "\n"
    path.write_text(text)
    return str(path)


SUBJECTS = {subject.name: subject for subject in [
    Subject("weir-epoll", "weir", "epoll"),
    Subject("weir-uring", "weir", "io_uring"),
    Subject("weir-epoll-bare", "weir", "epoll", bare=True),
    Subject("weir-epoll-log", "weir", "epoll", logged=True),
    Subject("weir-uring-log", "weir", "io_uring", logged=True),
    Subject("weir-epoll-2", "weir", "epoll", workers=2),
    Subject("weir-uring-2", "weir", "io_uring", workers=2),
    Subject("relay-epoll", "relay", "epoll"),
    Subject("relay-epoll-again", "relay", "epoll"),
    Subject("relay-uring", "relay", "uring"),
    Subject("relay-multishot", "relay", "uring-multishot"),
    Subject("relay-splice", "relay", "splice"),
    Subject("nginx", "nginx"),
    Subject("haproxy", "haproxy"),
    Subject("haproxy-splice", "haproxy", splice=True),
    Subject("direct", "direct"),
]}
WEIRS = ["weir-epoll", "weir-uring"]
ENGINES = {"epoll": "epoll", "uring": "io_uring"}
PEERS = ["nginx", "haproxy"]
