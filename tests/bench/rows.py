# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: each a web server, with or without a program behind it."""

import os

from benchlib import (CONNECTIONS, SERVER_CPU, Constant, HAProxy, cpu_s, pids_of, pinned,
                      rss_kib)
from fronts import lighttpd_example
from seed import SERVERS, Seed
from testenv import TOP, free_port

EXAMPLES = os.path.join(TOP, "examples")
FLOOR = "nginx, `return 307`"
CONSTANT = "nginx + libfcgi that answers a constant"
DSHARD = "nginx + dshard-fcgi, redirect"
LIGHTTPD = "lighttpd + dshard-fcgi, redirect"
SEED = "dynamic-sharding"
REDIRECTS = (FLOOR, DSHARD, CONSTANT, LIGHTTPD, SEED)
# Not one log line a request, and no connection that is given up after a thousand.
QUIET = "access_log off; keepalive_requests 1000000;"


class Row:
    """front: the web server; handler: the program behind it, if it is started apart."""

    def __init__(self, name, address, front, handler=None):
        self.name, self.address, self.front, self.handler = name, address, front, handler
        self.rounds = []

    def pids(self):
        """(of the web server, of the handler)"""
        pids = set(pids_of(self.front)) | set(pids_of(self.handler) if self.handler else ())
        handler = {p for p in pids if name_of(p) in ("dshard-fcgi", "constant")}
        return pids - handler, handler

    def cpu_s(self):
        return [sum(map(cpu_s, pids)) for pids in self.pids()]

    def rss_kib(self):
        return [sum(map(rss_kib, pids)) for pids in self.pids()]


def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
        return f.read().strip()


def start_sinks(env):
    """Addresses that take any push at once.  A real Pushgateway spends many times what the
    proxies spend, and would be all that is measured."""
    port = free_port()
    servers = [f"{host}:{port}" for host in SERVERS]
    listens = "".join(f"listen {server}; " for server in servers)
    env.nginx(conf=f"server {{ listen 127.0.0.1:@PORT@; {listens} {QUIET} return 202; }}")
    return servers


def nginx_row(env, name, server, http="", handler=None):
    front = env.nginx(conf=f"""{http}
server {{ listen 127.0.0.1:@PORT@; {QUIET} client_max_body_size 0;
{server}
}}""")
    return Row(name, front.address, front, handler)


def example(env, handler, *more):
    """nginx.conf as it stands, but for the log; (the front, the port that redirects)."""
    port = free_port()
    front = env.nginx(path=os.path.join(EXAMPLES, "nginx.conf"), replacements=[
        ("unix:/run/dshard/fcgi.sock", handler.nginx_address),
        ("listen 9091;", f"{QUIET} listen 127.0.0.1:@PORT@;"),
        ("listen 9092;", f"listen 127.0.0.1:{port};"), ("    9092 ", f"    {port} "), *more])
    return front, f"127.0.0.1:{port}"


def example_rows(env, fcgi, constant, servers):
    """The example with us and with the constant behind it; and one that keeps connections
    to the servers, for which nginx wants an upstream each."""
    front, redirect = example(env, fcgi)
    other, constant_at = example(env, constant)
    names = "".join(f"    {s} server{i};\n" for i, s in enumerate(servers))
    upstreams = "".join(f"upstream server{i} {{ server {s}; keepalive {CONNECTIONS}; }}\n"
                        for i, s in enumerate(servers))
    kept, _ = example(
        env, fcgi,
        ("upstream dshard {", f"map $dshard_server $dshard_upstream {{\n"
                              f"    default $dshard_server;\n{names}}}\n{upstreams}"
                              "upstream dshard {"),
        ("://$dshard_server$dshard_uri", "://$dshard_upstream$dshard_uri"))
    return (Row(DSHARD, redirect, front, fcgi), Row(CONSTANT, constant_at, other, constant),
            Row("nginx + dshard-fcgi, proxy", front.address, front, fcgi),
            Row("nginx + dshard-fcgi, proxy, kept connections", kept.address, kept, fcgi))


def auth_row(env, fcgi, servers):
    """nginx asks in a subrequest of its own, and keeps the connection on which it asked."""
    names = "".join(f"    {s} server{i};\n" for i, s in enumerate(servers))
    upstreams = "".join(f"upstream server{i} {{ server {s}; keepalive {CONNECTIONS}; }}\n"
                        for i, s in enumerate(servers))
    return nginx_row(env, "nginx + dshard-fcgi, `auth_request`, kept connections", """
    location / {
        auth_request /dshard-auth;
        auth_request_set $dshard_server $upstream_http_x_dshard_server;
        auth_request_set $dshard_uri $upstream_http_x_dshard_uri;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://$dshard_upstream$dshard_uri;
    }
    location = /dshard-auth {
        internal;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param DSHARD_MODE auth;
        fastcgi_param CONTENT_LENGTH "";
        fastcgi_pass_request_headers off;
        fastcgi_pass_request_body off;
        fastcgi_keep_conn on;
        fastcgi_pass dshard;
    }""", f"""
map $dshard_server $dshard_upstream {{ default $dshard_server; {names} }}
upstream dshard {{ server {fcgi.nginx_address}; keepalive {CONNECTIONS}; }}
{upstreams}""", fcgi)


def lighttpd_row(env, fcgi):
    front = lighttpd_example(env, fcgi)
    return Row("lighttpd + dshard-fcgi, redirect", front.address, front, fcgi)


def hash_row(env, servers, kept):
    """What nginx does by itself."""
    listed = " ".join(f"server {s};" for s in servers)
    keep = f"keepalive {CONNECTIONS};" if kept else ""
    return nginx_row(
        env, "nginx `hash $request_uri consistent`" + (", kept connections" if kept else ""),
        'location / { proxy_pass http://servers; proxy_http_version 1.1; '
        'proxy_set_header Connection ""; client_body_buffer_size 1m; }',
        f"upstream servers {{ hash $request_uri consistent; {listed} {keep} }}")


def haproxy_row(env, servers):
    listed = "\n".join(f"    server s{i} {s}" for i, s in enumerate(servers))
    front = env.add(HAProxy(env.dir, f"""
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend pushes
    bind 127.0.0.1:@PORT@
    default_backend servers
backend servers
    balance uri whole
    hash-type consistent
{listed}
"""))
    front.start()
    return Row("HAProxy `balance uri`, `hash-type consistent`", front.address, front)


def seed_rows(env, program, servers):
    """Beside the rows that it is compared with, so that a turn of theirs is not far off."""
    if not program:
        return []
    seed = env.add(Seed(env.dir, program, servers))
    seed.start()
    return [Row(SEED, seed.address, seed)]


def start_rows(env, state, servers, constant_program, seed_program):
    """All of them, each with one process that works, on the servers' processor."""
    with pinned(SERVER_CPU):
        fcgi = env.fcgi(state, args=["--workers", "1"])
        constant = env.add(Constant(env.dir, constant_program))
        constant.start()
        redirect, answer, proxy, kept = example_rows(env, fcgi, constant, servers)
        rows = [
            nginx_row(env, FLOOR, "return 307 http://127.0.0.1:9091$request_uri;"),
            redirect, answer, lighttpd_row(env, fcgi), *seed_rows(env, seed_program, servers),
            hash_row(env, servers, True), haproxy_row(env, servers), kept,
            auth_row(env, fcgi, servers),
            hash_row(env, servers, False), proxy,
        ]
    return rows
