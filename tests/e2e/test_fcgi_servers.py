# SPDX-License-Identifier: Apache-2.0
"""Pushes through real web servers to real Pushgateways."""

import base64
import gzip
import os
import signal
import socket
import struct
import subprocess
import threading
import time
import types

import pytest

import fronts
from testenv import TOP, RawHTTP, digest, free_port, wait_until
from testenv.state import owner as owner_of

# One group, {job="some job", path="/var/tmp", x="1"}, as clients spell it.
B64 = base64.urlsafe_b64encode(b"/var/tmp").decode().rstrip("=")
JOB64 = base64.urlsafe_b64encode(b"some job").decode()
SPELLINGS = [
    f"/metrics/job/some%20job/path@base64/{B64}/x/1",
    f"/metrics/job/some%20job/x/1/path@base64/{B64}",
    f"/metrics/job/some%20job/x/1/path@base64/{B64}==",
    f"/metrics/job@base64/{JOB64}/x/1/path%40base64/{B64}",
    f"/metrics/job@base64/{JOB64.rstrip('=')}/x@base64/MQ/path@base64/{B64}%3D",
    f"/metrics/job/%73ome%20job/%78/%31/path@base64/{B64}",
    f"/metrics/job/some%20job/x/0/path@base64/{B64}/x/1",
    f"/metrics/job/some%20job/job/other/x/1/path@base64/{B64}",
    f"/metrics/job/some%20job/x/1/path@base64/{B64}?trace=%2F",
]
GROUP = {"job": "some job", "path": "/var/tmp", "x": "1"}
KEY = b"/metrics/job/some job/path//var/tmp/x/1"

# Each breaks a Pushgateway 1.5.1 for good.
KILLERS = ["/metrics/job@base64/!!!", "/metrics/job@base64/YQ=Q", "/metrics/job/a/x/%FF",
           f"/metrics/job/a/x@base64/{base64.urlsafe_b64encode(bytes([0xFF, 0xFE])).decode()}",
           "/metrics/job/%C0%80", "/metrics/job/a/x/%ED%A0%80"]


class Fleet:
    """Three Pushgateways, a state file and the handler."""

    def __init__(self, env, n=3, **options):
        self.gateways = env.pushgateways(n, **options)
        self.addresses = [g.address for g in self.gateways]
        self.state = env.state()
        self.state.write(self.addresses, generation=5,
                         route_prefix=options.get("prefix", ""))
        self.fcgi = env.fcgi(self.state, args=["--workers", "2"])

    def owner(self, key):
        address = owner_of([(a, 1) for a in self.addresses], key)
        return self.gateways[self.addresses.index(address)]

    def where(self, labels):
        return [g for g in self.gateways if g.has(**labels)]

    def wait_gone(self, labels):
        """A Pushgateway answers a DELETE before it has done it."""
        wait_until(lambda: not self.where(labels), 5, "the group to be gone")


@pytest.fixture
def fleet(env):
    return Fleet(env)


def front_of(env, fleet, kind):
    if kind == "nginx proxy":
        return fronts.nginx_example(env, fleet.fcgi)[0]
    if kind == "nginx redirect":
        return fronts.nginx_example(env, fleet.fcgi)[1]
    make = {"nginx auth": lambda: fronts.nginx_auth(env, fleet.fcgi),
            "nginx plain": lambda: fronts.nginx_plain(env, fleet.fcgi),
            "lighttpd": lambda: fronts.lighttpd_example(env, fleet.fcgi),
            "Apache": lambda: fronts.apache_example(env, fleet.fcgi),
            "Apache CGI": lambda: fronts.apache_cgi_example(env, fleet.state),
            "CGI": lambda: fronts.lighttpd_cgi(env, fleet.state)}
    return fronts.Front(make[kind]().address)


KINDS = ["nginx proxy", "nginx redirect", "nginx auth", "nginx plain", "lighttpd", "CGI", "Apache",
         "Apache CGI"]
REDIRECTING = ["nginx redirect", "nginx plain", "lighttpd", "CGI", "Apache", "Apache CGI"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_group_in_all_its_spellings_lands_on_one_server(env, fleet, kind):
    front = front_of(env, fleet, kind)
    owner = fleet.owner(KEY)
    for target in SPELLINGS:
        assert front.push("PUT", target) == 200
        assert fleet.where(GROUP) == [owner] and len(owner.groups()) == 1, target
        assert front.push("POST", target, b"other 2\n") == 200
        assert fleet.where(GROUP) == [owner] and len(owner.groups()) == 1, target
        assert {"m", "other"} <= set(owner.groups_raw()[0]), "POST replaced what PUT had set"
        assert front.push("DELETE", target) == 202
        fleet.wait_gone(GROUP)
    assert all(not g.groups() for g in fleet.gateways)


@pytest.mark.parametrize("kind", KINDS)
def test_what_breaks_a_pushgateway_gets_400_and_never_reaches_one(env, fleet, kind):
    front = front_of(env, fleet, kind)
    for target in KILLERS:
        for method in ("PUT", "POST", "DELETE"):
            answer = front.request(method, target, b"m 1\n" if method != "DELETE" else None)
            assert answer.status == 400, (target, answer)
            assert answer.body.count(b"\n") == 1 and len(answer.body) > 10, answer
    for gateway in fleet.gateways:
        assert gateway.groups() == []
        gateway.push("/metrics/job@base64/YQ")  # hangs for ever on one that was hit
        assert gateway.request("GET", "/metrics").status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_refusals_are_the_same_everywhere(env, fleet, kind):
    front = front_of(env, fleet, kind)
    for method, target, status in [
            ("PUT", "/metrics/job/a/x", 400), ("PUT", "/metrics/job/a//x", 400),
            ("PUT", "/metrics/job/a/./x", 400), ("PUT", "/metrics/job/a/%2e%2e/x", 400),
            ("PUT", "/metrics/job/a/__x/y", 400), ("PUT", "/metrics/job/a%2F/x", 400),
            ("POST", "/metrics/job", 404), ("PUT", "/other", 404), ("PUT", "/status", 405),
            ("DELETE", "/sd", 405), ("POST", "/-/ready", 405), ("PATCH", "/metrics/job/a", 405)]:
        answer = front.request(method, target, b"m 1\n")
        assert answer.status == status, (target, answer)
        assert (answer.header("Allow") is not None) == (status == 405)
        assert answer.header("Content-Type").startswith("text/plain"), (method, target, answer)
    assert all(not g.groups() for g in fleet.gateways)


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_is_no_command_line(env, fleet, kind):
    """A CGI program gets a query without "=" as its arguments."""
    front = front_of(env, fleet, kind)
    port = free_port()
    for query in ("x", "--help", "--mode+auth", "--state+/etc/passwd",
                  f"--listen+127.0.0.1:{port}"):
        assert front.push("PUT", f"{SPELLINGS[0]}?{query}") == 200, query
        assert fleet.where(GROUP) == [fleet.owner(KEY)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("kind", KINDS)
def test_reading_is_the_same_everywhere(env, fleet, kind):
    front = front_of(env, fleet, kind)
    target = SPELLINGS[0]
    url = f"http://{fleet.owner(KEY).address}/metrics/job@base64/{JOB64.rstrip('=')}" \
          f"/path@base64/{B64}/x/1"
    assert front.request("GET", target).text == "nextUrl:" + url
    answer = front.request("HEAD", target)
    assert answer.status == 200 and answer.body == b""
    found = front.request("GET", target, headers={"Accept": "application/json"}).json()
    assert found == {"labels": GROUP, "key": KEY.decode(), "url": url, "generation": 5,
                     "owner": fleet.owner(KEY).address,
                     "digest": digest([(a, 1) for a in fleet.addresses])}
    answer = front.request("GET", "/sd")
    assert answer.header("Content-Type") == "application/json"
    assert sorted(t for g in answer.json() for t in g["targets"]) == sorted(fleet.addresses)
    for page in ("/-/healthy", "/-/ready", "/test/v1"):
        assert front.request("GET", page).status == 200
        assert front.request("GET", page).header("X-Dshard-Generation") == "5"


@pytest.mark.parametrize("kind", REDIRECTING)
def test_a_redirect_is_absolute_and_says_what_to_do(env, fleet, kind):
    front = front_of(env, fleet, kind)
    answer = front.request("PUT", "/metrics/job/a/y/2/x/1?q=%2F", b"m 1\n" * 20000)
    owner = fleet.owner(b"/metrics/job/a/x/1/y/2").address
    assert answer.status == 307
    assert answer.header("Location") == f"http://{owner}/metrics/job/a/x/1/y/2?q=%2F"
    assert answer.header("X-Dshard-Generation") == "5"
    assert answer.text == f"this group belongs to {owner}: follow redirects (curl -L)\n"


@pytest.mark.parametrize("kind", KINDS)
def test_large_and_compressed_bodies_arrive_whole(env, fleet, kind):
    front = front_of(env, fleet, kind)
    body = b"".join(b'm{i="%d"} %d\n' % (i, i) for i in range(20000))
    assert front.push("PUT", "/metrics/job/large", body) == 200
    owner = fleet.owner(b"/metrics/job/large")
    (group,) = owner.groups_raw()
    assert len(group["m"]["metrics"]) == 20000
    if kind not in REDIRECTING:
        answer = front.request("POST", "/metrics/job/large", gzip.compress(b"zipped 1\n"),
                               headers={"Content-Encoding": "gzip"})
        assert answer.status == 200, answer
        assert "zipped" in owner.groups_raw()[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_chunked_push_arrives(env, fleet, kind):
    front = front_of(env, fleet, kind)
    assert front.push("PUT", "/metrics/job/chunked", b"m 1\n",
                      "-H", "Transfer-Encoding: chunked") == 200
    assert fleet.where({"job": "chunked"}) == [fleet.owner(b"/metrics/job/chunked")]


@pytest.mark.parametrize("kind", ["nginx proxy", "nginx redirect", "lighttpd"])
def test_the_longest_paths_are_not_cut(env, fleet, kind):
    front = front_of(env, fleet, kind)
    labels = "".join(f"/a{i:03x}/%2B" for i in range(800))
    target = f"/metrics/job/long{labels}"
    assert 7000 < len(target) < 8000
    assert front.push("PUT", target) == 200
    groups = [g for gateway in fleet.gateways for g in gateway.groups()]
    assert groups == [{"job": "long", **{f"a{i:03x}": "+" for i in range(800)}}]


def test_apache_passes_paths_on_until_their_redirect_is_8_kib_long(env, fleet):
    front = front_of(env, fleet, "Apache")

    def push(n):
        return front.push("PUT", "/metrics/job/a" + "".join(f"/a{i:03x}/%2B" for i in range(n)))

    assert push(500) == 200
    assert sum(len(g.groups()) for g in fleet.gateways) == 1
    assert push(800) == 500


def test_apache_tries_again_at_once_after_a_restart_of_the_handler(env, fleet):
    """It could keep a failure in mind for a minute (retry=), and does for a balancer."""
    front = front_of(env, fleet, "Apache")
    fleet.fcgi.stop()
    assert front.request("PUT", "/metrics/job/a", b"m 1\n").status == 503
    fleet.fcgi.start()
    fronts.admit_apache(fleet.fcgi)
    assert front.request("PUT", "/metrics/job/a", b"m 1\n").status == 307


def test_apache_finds_no_fault_with_the_examples(env, fleet):
    """A warning here would come with every start."""
    for make in (lambda: fronts.apache_example(env, fleet.fcgi),
                 lambda: fronts.apache_cgi_example(env, fleet.state)):
        assert make().check() == "Syntax OK"


def test_what_reaches_the_handler_through_apache_is_what_the_client_sent(env, fleet):
    """Each spelling that a Pushgateway tells from others has the answer that it has behind
    nginx; without "mapping", or with "nocanon", some have not."""
    apache = front_of(env, fleet, "Apache")
    nginx = front_of(env, fleet, "nginx redirect")
    with open(os.path.join(TOP, "tests", "data", "grouping.tsv"), encoding="utf-8") as f:
        targets = {line.split("\t")[0] for line in f if line.startswith("/")}
    targets.remove("/metrics/job/a#b")  # nobody sends that; Apache: 400
    n_redirects = 0
    for target in sorted(targets):
        ours, theirs = (front.request("PUT", target, b"m 1\n") for front in (apache, nginx))
        assert (ours.status, ours.header("Location")) == \
            (theirs.status, theirs.header("Location")), target
        n_redirects += ours.status == 307
    assert len(targets) > 100 and n_redirects > 50


def test_haproxy_makes_nothing_else_of_the_answers(env, fleet):
    """Of a Location behind the Status it makes a 302, which clients follow with a GET."""
    front = fronts.Front(fronts.haproxy(env, fleet.fcgi).address)
    owner = fleet.owner(KEY)
    for target in SPELLINGS:
        answer = front.request("PUT", target, b"m 1\n" * 20000)
        assert (answer.status, answer.header("Status")) == (307, None), answer
        assert front.push("PUT", target) == 200
    assert fleet.where(GROUP) == [owner]
    assert front.request("PUT", KILLERS[0], b"m 1\n").status == 400
    assert front.request("GET", "/-/ready").status == 200


def test_the_proxy_tells_who_got_it(env, fleet):
    proxy, _ = fronts.nginx_example(env, fleet.fcgi)
    answer = proxy.request("PUT", SPELLINGS[0], b"m 1\n")
    assert answer.header("X-Dshard-Server") == fleet.owner(KEY).address
    assert answer.header("X-Dshard-Generation") == "5"
    answer = proxy.request("PUT", SPELLINGS[0], b"no metric\n")  # the owner's refusal
    assert answer.status == 400
    assert answer.header("X-Dshard-Server") == fleet.owner(KEY).address


def test_with_auth_request_and_without_a_handler_it_is_503(env, fleet):
    front = front_of(env, fleet, "nginx auth")
    fleet.fcgi.stop()
    answer = front.request("PUT", "/metrics/job/a", b"m 1\n")
    assert (answer.status, answer.header("Retry-After")) == (503, "2")
    assert answer.text == "nobody tells which Pushgateway is to get this\n"
    fleet.fcgi.start()
    assert front.push("PUT", "/metrics/job/a") == 200


def test_with_auth_request_a_body_streams_to_the_owner(env):
    with socket.create_server(("127.0.0.1", 0)) as owner:
        owner.settimeout(10)
        state = env.state()
        state.write([f"127.0.0.1:{owner.getsockname()[1]}"])
        client = env.http(fronts.nginx_auth(env, env.fcgi(state)))
        client.send_head("PUT", "/metrics/job/a", [("Content-Length", "8")])
        client.sock.sendall(b"m 1\n")  # one half; the other is not there yet
        peer, _ = owner.accept()
        with peer:
            peer.settimeout(10)
            received = b""
            while not received.endswith(b"\r\n\r\nm 1\n"):
                received += peer.recv(4096)
            client.sock.sendall(b"n 2\n")
            assert peer.recv(4096) == b"n 2\n"
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert client.read_response().status == 200


@pytest.mark.parametrize("kind", ["nginx proxy", "nginx auth"])
def test_a_client_that_closes_when_it_has_sent_its_push_has_pushed(env, fleet, kind):
    address = front_of(env, fleet, kind).address
    host, port = address.split(":")
    for i in range(10):
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.sendall(b"PUT /metrics/job/closed%d HTTP/1.1\r\nHost: x\r\n"
                         b"Content-Length: 4\r\n\r\nm 1\n" % i)
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.sendall(b"PUT /metrics/job/half%d HTTP/1.1\r\nHost: x\r\n"
                         b"Content-Length: 4\r\n\r\nm 1\n" % i)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
    for i in range(10):
        wait_until(lambda job=f"closed{i}": fleet.where({"job": job}), what="the push")


def test_with_auth_request_a_killed_handlers_successor_is_asked(env):
    """It had accepted the connection and answers nothing: another one gets the question."""
    def answer_the_second(listening):
        first, _ = listening.accept()
        first.recv(1)
        first.close()
        second, _ = listening.accept()
        with second:
            second.recv(65536)
            text = b"X-Dshard-Status: 400\r\nX-Dshard-Reason: second\r\nStatus: 403\r\n\r\n"
            # In one piece: nginx may close as soon as it knows the status.
            second.sendall(b"".join(struct.pack(">BBHHBB", 1, kind, 1, len(data), 0, 0) + data
                                    for kind, data in ((6, text), (6, b""), (3, bytes(8)))))
            second.recv(1)  # until nginx has read it

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        thread = threading.Thread(target=answer_the_second, args=(listening,), daemon=True)
        thread.start()
        handler = types.SimpleNamespace(nginx_address=f"127.0.0.1:{listening.getsockname()[1]}")
        nginx = fronts.nginx_auth(env, handler)
        answer = nginx.request("POST", "/metrics/job/a", b"m 1\n")
        assert (answer.status, answer.text) == (400, "second\n")
        nginx.stop()
        thread.join(10)


def test_with_auth_request_a_refusal_does_not_wait_for_the_body(env, fleet):
    client = env.http(front_of(env, fleet, "nginx auth"))
    client.send_head("PUT", KILLERS[0], [("Content-Length", "30000000")])
    answer = client.read_response()
    assert answer.status == 400 and "base64" in answer.text


@pytest.mark.parametrize("kind", ["nginx proxy", "nginx redirect", "nginx auth"])
def test_servers_below_a_prefix(env, kind):
    fleet = Fleet(env, n=2, prefix="/gw")
    front = front_of(env, fleet, kind)
    assert front.push("PUT", "/metrics/job/a") == 200
    assert fleet.where({"job": "a"}) == [fleet.owner(b"/metrics/job/a")]


def test_the_handler_below_a_prefix_of_the_front(env, fleet):
    nginx = fronts.nginx_plain(env, fleet.fcgi, server="""
        location /gw/ { fastcgi_param DSHARD_PREFIX /gw; fastcgi_param REQUEST_METHOD
            $request_method; fastcgi_param REQUEST_URI $request_uri; fastcgi_pass %s; }"""
                               % fleet.fcgi.nginx_address)
    front = fronts.Front(nginx.address)
    assert front.push("PUT", "/gw/metrics/job/a") == 200
    assert fleet.where({"job": "a"}) == [fleet.owner(b"/metrics/job/a")]
    assert front.request("GET", "/gw/-/ready").status == 200


def test_protected_servers_behind_a_protected_proxy(env):
    """Clients know nginx' password and nginx knows the servers': by the example's comments."""
    fleet = Fleet(env, n=2, users={"user": "password"})
    client = {"Authorization": "Basic " + base64.b64encode(b"push:pushpw").decode()}
    htpasswd = env.write("htpasswd", "push:{PLAIN}pushpw\n")
    protect = [('#auth_basic "push";', 'auth_basic "push";'),
               ("#auth_basic_user_file /etc/nginx/dshard.htpasswd;",
                f"auth_basic_user_file {htpasswd};")]
    admit = [("#proxy_set_header Authorization", "proxy_set_header Authorization")]
    proxy, redirect = fronts.nginx_example(env, fleet.fcgi, protect + admit)
    streaming = fronts.nginx_auth(env, fleet.fcgi, protect + admit)
    open_proxy, _ = fronts.nginx_example(env, fleet.fcgi)
    assert open_proxy.push("PUT", "/metrics/job/a") == 401  # by the server
    for front in (proxy, streaming):
        for method, status in (("PUT", 200), ("POST", 200), ("DELETE", 202)):
            body = None if method == "DELETE" else b"m 1\n"
            for wrong in ({}, fleet.gateways[0].auth):
                answer = front.request(method, "/metrics/job/a", body, wrong)
                assert answer.status == 401 and answer.header("X-Dshard-Server") is None
            assert front.request(method, "/metrics/job/a", body, client).status == status
            if method == "DELETE":
                fleet.wait_gone({"job": "a"})
            else:
                assert fleet.where({"job": "a"}) == [fleet.owner(b"/metrics/job/a")]
        answer = front.request("PUT", KILLERS[0], b"m 1\n", client)
        assert answer.status == 400 and "base64" in answer.text
        # A load balancer that looks has no password; for the rest it is asked, also of who
        # writes another target so that nginx takes it for that page.
        for method, target, status in (
                ("GET", "/-/ready", 200), ("HEAD", "/-/ready", 200), ("PUT", "/-/ready", 405),
                ("GET", "/-/healthy", 401), ("GET", "/-/ready/", 401),
                ("GET", "/metrics/job/a", 401)):
            assert front.request(method, target).status == status, target
        for method in ("GET", "PUT", "POST"):
            answer = front.request(method, "/metrics/job/a%2F..%2F..%2F..%2F-%2Fready",
                                   None if method == "GET" else b"m 1\n")
            assert answer.header("X-Dshard-Server") is None and b"nextUrl" not in answer.body
            assert answer.status == (200 if method == "GET" else 405)
        assert not fleet.where({"job": "a/../../../-/ready"})
        # Prometheus has no password here: its address is what counts.
        for page in ("/sd", "/metrics", "/status", "/status.json"):
            assert front.request("GET", page).status == 200
    assert redirect.request("GET", "/-/ready").status == 200
    # A redirect leads past nginx, to a server that has another password.
    assert redirect.request("PUT", "/metrics/job/a", b"m 1\n").status == 401
    assert redirect.push("PUT", "/metrics/job/a", b"m 1\n", "-u", "push:pushpw") == 401


def test_https_servers_are_known_by_their_certificates(env):
    """By the examples' comments."""
    def certificate(name):
        files = [env.path(f"{name}.key"), env.path(f"{name}.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=x",
                        "-addext", "subjectAltName=DNS:127.0.0.1", "-keyout", files[0], "-out",
                        files[1]], check=True, stderr=subprocess.DEVNULL)
        return files

    (key, pem), (_, other) = certificate("right"), certificate("other")
    gateway = env.pushgateway()
    tls = env.nginx(conf=f"""server {{
    listen 127.0.0.1:@PORT@ ssl;
    ssl_certificate {pem}; ssl_certificate_key {key};
    location / {{ proxy_pass http://{gateway.address}; }}
}}""")
    state = env.state()
    state.write([tls.address], scheme="https")
    fcgi = env.fcgi(state)
    for authority, status in ((pem, 200), (other, 502)):
        verify = [("#proxy_ssl_", "proxy_ssl_"),
                  ("/etc/ssl/certs/ca-certificates.crt", authority)]
        for front in (fronts.nginx_example(env, fcgi, verify)[0],
                      fronts.nginx_auth(env, fcgi, verify)):
            assert front.request("PUT", "/metrics/job/a", b"m 1\n").status == status
    assert gateway.has(job="a")


def test_the_fleet_is_not_shown_to_everybody(env, fleet):
    proxy, _ = fronts.nginx_example(env, fleet.fcgi, [("allow 127.0.0.0/8;", "")])
    lighttpd = fronts.lighttpd_example(env, fleet.fcgi)
    apache = fronts.apache_example(env, fleet.fcgi, [("Require local", "Require ip 192.0.2.1")])
    for page in ("/sd", "/metrics", "/status", "/status.json"):
        assert proxy.request("GET", page).status == 403
        assert apache.request("GET", page).status == 403
        for evasion in ("/" + page, "/." + page, page.replace("s", "%73"), page + "?a"):
            assert apache.request("GET", evasion).status in (403, 404, 400), evasion
        # lighttpd lets all of 127/8 in, and there is no other address here
        assert lighttpd.request("GET", page).status in (200, 404)
    assert proxy.request("GET", "/-/ready").status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_ring_it_is_503_everywhere(env, fleet, kind):
    front = front_of(env, fleet, kind)
    fleet.state.write([{"address": a, "member": False} for a in fleet.addresses], generation=6)
    wait_until(lambda: front.request("PUT", "/metrics/job/a", b"m 1\n").status == 503, 5)
    answer = front.request("PUT", "/metrics/job/a", b"m 1\n")
    assert b"no member" in answer.body
    assert int(answer.header("Retry-After")) > 0
    assert len(front.request("GET", "/sd").json()) == len(fleet.gateways)


# -- many at once ----------------------------------------------------------------------

class Crowd:
    """Clients that push one after another, each on its own connection to the front."""

    def __init__(self, address, n, method="PUT", status=307):
        self.address, self.method, self.status = address, method, status
        self.stop = threading.Event()
        self.counts = [0] * n
        self.failures = []
        self.slowest = 0.0
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(n)]

    def _run(self, i):
        client = RawHTTP(self.address, timeout=20)
        try:
            while not self.stop.is_set():
                start = time.monotonic()
                answer = client.request(self.method, f"/metrics/job/{i}", b"m 1\n")
                self.slowest = max(self.slowest, time.monotonic() - start)
                if answer.status != self.status:
                    self.failures.append(answer)
                self.counts[i] += 1
        except OSError as e:
            self.failures.append(repr(e))
        finally:
            client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def sinks(env):
    """A handler with a state of servers that nobody asks."""
    state = env.state()
    addresses = [f"127.0.0.1:{i}" for i in range(1, 9)]
    state.write(addresses)
    return state, addresses


@pytest.mark.parametrize("mode", ["redirect", "proxy"])
def test_256_clients_behind_keepalive_none_starves_while_the_state_is_rewritten(env, mode):
    state = env.state()
    if mode == "proxy":
        addresses = [g.address for g in env.pushgateways(4)]
    else:
        addresses = [f"127.0.0.1:{i}" for i in range(1, 9)]  # nobody asks these
    state.write(addresses)
    fcgi = env.fcgi(state)
    proxy, redirect = fronts.nginx_example(env, fcgi)
    address, status = (proxy.address, 200) if mode == "proxy" else (redirect.address, 307)
    with Crowd(address, 256, status=status) as crowd:
        wait_until(lambda: min(crowd.counts) > 0, 30, "everybody's first answer")
        before = list(crowd.counts)
        for i in range(60):  # 20 times a second
            members = addresses if i % 2 else addresses[:len(addresses) // 2 + 1]
            state.write(members, generation=2 + i)
            crowd.stop.wait(0.05)
        wait_until(lambda: all(n > b for n, b in zip(crowd.counts, before)), 30,
                   "everybody to be served again")
    assert not crowd.failures, crowd.failures[:3]
    assert min(crowd.counts) > 1
    assert "cannot be used" not in fcgi.log()
    print(f"{sum(crowd.counts)} pushes, slowest {crowd.slowest:.3f} s")


def test_half_requests_delay_nobody_behind_nginx(env, sinks):
    state, _ = sinks
    fcgi = env.fcgi(state)
    _, redirect = fronts.nginx_example(env, fcgi)
    halves = [fcgi.connect() for _ in range(64)]
    try:
        for sock in halves:
            sock.sendall(b"\x01\x01\x00\x01\x00\x08\x00")
        with Crowd(redirect.address, 32) as crowd:
            wait_until(lambda: min(crowd.counts) >= 5, 20, "everybody to be served")
        assert not crowd.failures and crowd.slowest < 2.0
    finally:
        for sock in halves:
            sock.close()


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_workers_that_are_killed_cost_no_push(env, sinks, method):
    """fastcgi_next_upstream ... non_idempotent: without it each costs some 502s."""
    state, _ = sinks
    fcgi = env.fcgi(state, args=["--workers", "2"])
    _, redirect = fronts.nginx_example(env, fcgi)

    def workers():
        with open(f"/proc/{fcgi.pid}/task/{fcgi.pid}/children", encoding="ascii") as f:
            return [int(n) for n in f.read().split()]

    with Crowd(redirect.address, 16, method) as crowd:
        wait_until(lambda: min(crowd.counts) > 0, 20, "everybody's first answer")
        for _ in range(4):
            victim = wait_until(lambda: len(workers()) == 2 and workers(), 10)[0]
            os.kill(victim, signal.SIGTERM)
            wait_until(lambda: victim not in workers() and len(workers()) == 2, 10)
            before = list(crowd.counts)
            wait_until(lambda: all(n > b for n, b in zip(crowd.counts, before)), 20)
    assert not crowd.failures, crowd.failures[:3]


def test_lighttpd_serves_many_at_once(env, sinks):
    state, _ = sinks
    lighttpd = fronts.lighttpd_example(env, env.fcgi(state))
    with Crowd(lighttpd.address, 64) as crowd:
        wait_until(lambda: min(crowd.counts) >= 5, 30, "everybody to be served")
    assert not crowd.failures, crowd.failures[:3]


def test_lighttpd_can_start_the_handler_and_does_so_again_when_it_is_killed(env, sinks):
    state, _ = sinks
    front = fronts.Front(fronts.lighttpd_spawning(env, state).address)
    assert front.request("PUT", "/metrics/job/a", b"m 1\n").status == 307
    (handler,) = fronts.handlers_of(state)
    os.kill(handler, signal.SIGKILL)
    wait_until(lambda: front.request("PUT", "/metrics/job/a", b"m 1\n").status == 307, 15)
    assert fronts.handlers_of(state) != [handler]


def test_the_examples_listen_where_they_say():
    """Ports and paths that a reader would change are what the tests replace."""
    with open(fronts.NGINX_EXAMPLE, encoding="ascii") as f:
        nginx = f.read()
    assert "listen 9091;" in nginx and "--listen unix:/run/dshard/fcgi.sock" in nginx
    with open(fronts.LIGHTTPD_EXAMPLE, encoding="ascii") as f:
        text = f.read()
        assert "--listen unix:/run/dshard/fcgi.sock" in text and '"/run/dshard/fcgi.sock"' in text
    with open(fronts.APACHE_EXAMPLE, encoding="ascii") as f:
        assert "--listen unix:/run/dshard/fcgi.sock" in f.read()
