# SPDX-License-Identifier: Apache-2.0
"""Web servers in front of dshard-fcgi: the examples as they stand, and a few others."""

import os
import shutil
import signal
import subprocess

from testenv import BIN, TOP, Apache, HAProxy, Lighttpd, RawHTTP, free_port, wait_until
from testenv.process import _session_pids as session_pids

PROGRAM = os.path.join(BIN, "dshard-fcgi")
NGINX_EXAMPLE = os.path.join(TOP, "examples", "nginx.conf")
NGINX_AUTH_EXAMPLE = os.path.join(TOP, "examples", "nginx-auth.conf")
LIGHTTPD_EXAMPLE = os.path.join(TOP, "examples", "lighttpd.conf")
APACHE_EXAMPLE = os.path.join(TOP, "examples", "apache.conf")
APACHE_CGI_EXAMPLE = os.path.join(TOP, "examples", "apache-cgi.conf")

# What stands in every nginx configuration here that is not the example.
NGINX_PARAMS = """
    fastcgi_param REQUEST_METHOD $request_method;
    fastcgi_param REQUEST_URI $request_uri;
    fastcgi_param HTTP_ACCEPT $http_accept;
"""


class Front:
    """A web server and how it takes a push: request() as a client sends it."""

    def __init__(self, address):
        self.address = address

    def request(self, method, target, body=None, headers=(), timeout=30):
        return RawHTTP.once(self.address, method, target, body, headers, timeout)

    def push(self, method, target, body=b"m 1\n", *more):
        """A push by curl, which follows redirects and sends the target as it is; the status."""
        done = subprocess.run(
            ["curl", "-sS", *more, "-L", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}",
             "-X", method, *([] if method == "DELETE" else ["--data-binary", "@-"]),
             f"http://{self.address}{target}"], input=body, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, check=True, timeout=30)
        return int(done.stdout)


def nginx_example(env, fcgi, more=()):
    """The example: (proxy, redirect), with ports and socket of this test."""
    redirect_port = free_port()
    nginx = env.nginx(path=NGINX_EXAMPLE, replacements=[
        ("unix:/run/dshard/fcgi.sock", fcgi.nginx_address),
        ("listen 9091;", "listen 127.0.0.1:@PORT@;"),
        ("listen 9092;", f"listen 127.0.0.1:{redirect_port};"),
        ("    9092 ", f"    {redirect_port} "), *more])
    return Front(nginx.address), Front(f"127.0.0.1:{redirect_port}")


class LighttpdWithHandler(Lighttpd):
    """lighttpd tells the programs that it has started to end, and does not wait for them."""

    def stop(self, timeout=10):
        if self.running:
            self.signal(signal.SIGTERM)
            self._await_end(timeout)
            wait_until(lambda: not session_pids(self.pid), timeout, "the handler to end")
        return super().stop(timeout)


def lighttpd_example(env, fcgi):
    """The example, with port and socket of this test."""
    server = env.add(Lighttpd(env.dir, path=LIGHTTPD_EXAMPLE, replacements=[
        ("server.port          = 9091", 'server.port = @PORT@\nserver.bind = "127.0.0.1"'),
        ("/run/dshard/fcgi.sock", fcgi.listen.removeprefix("unix:"))]))
    return server.start()


def lighttpd_spawning(env, state):
    """The example, but that it starts the handler, as a comment there says."""
    server = env.add(LighttpdWithHandler(env.dir, path=LIGHTTPD_EXAMPLE, replacements=[
        ("server.port          = 9091", 'server.port = @PORT@\nserver.bind = "127.0.0.1"'),
        ('"socket"       => "/run/dshard/fcgi.sock",', f"""
    "socket" => "@DIR@/lighttpd.sock", "bin-path" => "{PROGRAM}", "max-procs" => 1,
    "bin-environment" => ( "DSHARD_STATE" => "{state.path}" ),""")]))
    return server.start()


# The port, in both of Apache's examples.
APACHE_PORT = [("Listen 9091", "Listen 127.0.0.1:@PORT@"),
               ("<VirtualHost *:9091>", "<VirtualHost 127.0.0.1:@PORT@>")]


# What "a2enmod proxy_fcgi proxy_balancer lbmethod_byrequests" enables.
APACHE_MODULES = ("mpm_event", "proxy", "proxy_fcgi", "slotmem_shm", "proxy_balancer",
                  "lbmethod_byrequests")


def admit_apache(fcgi):
    """To the handler's socket: Apache does not run as root, nor in root's group."""
    os.chmod(fcgi.listen.removeprefix("unix:"), 0o666)


def apache_example(env, fcgi, more=()):
    """The example, with port and socket of this test."""
    admit_apache(fcgi)
    apache = env.add(Apache(env.dir, path=APACHE_EXAMPLE, replacements=[
        *APACHE_PORT, *more, ("/run/dshard/fcgi.sock", fcgi.listen.removeprefix("unix:"))],
                            modules=APACHE_MODULES))
    return apache.start()


# Debian enables the one with mpm_event, and the other with mpm_prefork.
APACHE_CGI_MODULES = {"mod_cgid": ("mpm_event", "cgid"), "mod_cgi": ("mpm_prefork", "cgi")}


def apache_cgi_example(env, state, module="mod_cgid"):
    # Apache's user may not come to where the tree lies.
    program = shutil.copy(PROGRAM, env.path("dshard-fcgi"))
    os.chmod(program, 0o755)
    modules = APACHE_CGI_MODULES[module]
    apache = env.add(Apache(env.dir, path=APACHE_CGI_EXAMPLE, modules=modules, replacements=[
        *APACHE_PORT, ("/usr/local/bin", os.path.dirname(program)),
        ("/var/lib/dshard/ring.json", state.path)]))
    return apache.start()


def lighttpd_cgi(env, state):
    script = env.path("dshard-fcgi.cgi")
    with open(script, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nDSHARD_STATE={state.path} exec {PROGRAM}\n")
    os.chmod(script, 0o755)
    server = env.add(LighttpdWithHandler(env.dir, conf=f"""
server.modules = ( "mod_alias", "mod_cgi" )
server.document-root = "@DIR@"
server.port = @PORT@
server.bind = "127.0.0.1"
server.http-parseopts = ( "url-normalize" => "disable" )
alias.url = ( "/" => "{script}/" )
cgi.assign = ( ".cgi" => "" )
"""))
    return server.start()


def nginx_plain(env, fcgi, location="", server=""):
    """nginx with body and all, and no keep-alive: the configuration of least effort."""
    return env.nginx(conf=f"""
server {{
    listen 127.0.0.1:@PORT@;
    client_max_body_size 0;
    {NGINX_PARAMS}
    {server}
    location / {{ {location} fastcgi_pass {fcgi.nginx_address}; }}
}}""")


def nginx_auth(env, fcgi, more=()):
    """auth_request: the example, in which the body streams through nginx to the owner."""
    return env.nginx(path=NGINX_AUTH_EXAMPLE, replacements=[
        ("unix:/run/dshard/fcgi.sock;", f"{fcgi.nginx_address};"),
        ("listen 9091;", "listen 127.0.0.1:@PORT@;"), *more])


def haproxy(env, fcgi):
    """HAProxy, which asks what we can before it asks for anything."""
    server = env.add(HAProxy(env.dir, conf=f"""
fcgi-app dshard
    docroot /
    option get-values
    option keep-conn
frontend push
    bind 127.0.0.1:@PORT@
    default_backend handler
backend handler
    use-fcgi-app dshard
    server handler {fcgi.listen.removeprefix("unix:")} proto fcgi
"""))
    return server.start()


def handlers_of(state):
    """The pids of the handlers that have this state file in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as comm:
                if comm.read() != "dshard-fcgi\n":
                    continue
            with open(f"/proc/{pid}/environ", "rb") as environ:
                if f"DSHARD_STATE={state.path}".encode() in environ.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            continue
    return found
