# SPDX-License-Identifier: Apache-2.0
"""dshard-fcgi under load: every answer is checked, and not one may be missing.

The clients are load.c, beside this file.  DSHARD_TEST_LONG=1 gives the figures their full
size.
"""

import json
import os
import random
import re
import signal
import socket
import subprocess
import time

import pytest

import fronts
from fcgiclient import ask, is_closed, read_answer, request
from testenv import BIN, Fcgi, free_port, wait_until
from testenv.programs import wrapper
from testenv.state import dump, owners
from testenv.wait import LONG, SLOW

HERE = os.path.dirname(os.path.abspath(__file__))
# Two rings.  The first is that of even generations, the second that of odd ones.
OLD = [f"127.0.0.1:{port}" for port in range(1, 17)]
NEW = OLD[:3] + OLD[5:] + ["127.0.0.1:20", "[::1]:7"]
RINGS = (OLD, NEW)
KEYS = [f"/metrics/job/job{i % 40}/instance/{i}" for i in range(500)]
# What somebody may wait whom nobody delays, on a busy machine.
PROMPT_S = 2.0
SANITIZED = "ASAN_OPTIONS" in os.environ


@pytest.fixture(scope="module")
def owners_of():
    """For each key its URL at its owner, in the one ring and in the other."""
    found = [owners([(a, 1) for a in ring], [k.encode() for k in KEYS]) for ring in RINGS]
    return [tuple(f"http://{ring[i]}{key}" for ring in found) for i, key in enumerate(KEYS)]


class Load:
    """load.c; clients that run until finish(), or until they have had n answers."""

    name = "load"

    def __init__(self, env, address, questions, connections=64, n=0, body=100,
                 prefix=()):
        program, table = env.path("load"), env.path("load.table")
        if not os.path.exists(program):
            subprocess.run(["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-o", program,
                            os.path.join(HERE, "load.c")], check=True, timeout=60)
        env.write("load.table", "".join(" ".join(map(str, q)) + "\n" for q in questions))
        kind = "fcgi" if hasattr(address, "listen") else "http"
        where = getattr(address, "listen", getattr(address, "address", address))
        self.proc = subprocess.Popen(
            [*prefix, program, kind, where, str(connections), str(n), table, str(body)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        env.add(self)

    def finish(self, timeout=60):
        """Ends it, unless it ends by itself; what it has counted."""
        out, _ = self.proc.communicate(timeout=timeout * SLOW)
        assert self.proc.returncode == 0
        result = json.loads(out)
        print(result)
        return result

    def wait(self, timeout):
        """For the n answers."""
        wait_until(lambda: self.proc.poll() is not None, timeout, "the answers")
        return self.finish()

    def stop(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.communicate()

    def log_tail(self):
        return ""

    def all_problems(self):
        return []


def assert_all_right(result):
    assert not result["failures"], (result["kinds"], result["first"])


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def pushes(owners_of, method="PUT"):
    return [(method, key, 307, *urls) for key, urls in zip(KEYS, owners_of)]


# -- the state is rewritten --------------------------------------------------------------

def texts(state, n):
    """n contents of the state file, one generation after another."""
    content = [state.content(ring) for ring in RINGS]
    for generation in range(1, n + 1):
        ring = generation % 2
        yield state.content(RINGS[ring], generation=generation,
                            digest=content[ring]["digest"])


def test_200_rewrites_a_second_give_no_answer_that_neither_ring_would(env, owners_of):
    """An answer names the generation that it was given by: it must be that ring's."""
    seconds, a_second = 20 if LONG else 2, 200
    state = env.state()
    contents = [dump(c) + "\n" for c in texts(state, seconds * a_second)]
    state.write_text(contents[0])
    fcgi = env.fcgi(state, args=["--workers", "2"])
    _, redirect = fronts.nginx_example(env, fcgi)
    load = Load(env, redirect, pushes(owners_of))
    start, late, before = time.monotonic(), 0.0, {}
    for i, text in enumerate(contents):
        if i == len(contents) // 4:
            before = {pid: (rss_kib(pid), descriptors(pid)) for pid in workers(fcgi)}
        pause = start + i / a_second - time.monotonic()
        late = max(late, -pause)
        time.sleep(max(0, pause))  # no synchronisation: the pace that is asked for
        state.write_text(text)
    took = time.monotonic() - start
    wait_until(lambda: oldest_in_use(fcgi) == len(contents), 5, "the last one to be in use")
    after = {pid: (rss_kib(pid), descriptors(pid)) for pid in workers(fcgi)}
    result = load.finish()
    print(f"{len(contents)} rewrites in {took:.2f} s, the latest {late:.3f} s late; "
          f"{result['answers'] / result['seconds']:.0f} requests a second; "
          f"RSS and descriptors {before} -> {after}")
    assert_all_right(result)
    assert min(result["rings"]) > result["answers"] / 20  # both were in use, by turns
    assert "cannot be used" not in fcgi.log()
    assert after.keys() == before.keys()  # nobody has died
    for pid, (kib, n) in after.items():
        assert SANITIZED or kib <= before[pid][0] + 512, (before, after)
        assert n < 64 + 32, after  # a connection for each client, at most
    if LONG:
        assert result["answers"] / result["seconds"] >= 5000
        assert len(contents) / took >= a_second * 0.98


def workers(fcgi):
    with open(f"/proc/{fcgi.pid}/task/{fcgi.pid}/children", encoding="ascii") as f:
        return [int(pid) for pid in f.read().split()]


def oldest_in_use(fcgi):
    """The generation of the worker that is behind, or of one that answers all of these."""
    return min(int(ask(fcgi, "GET", "/test/v1").header("X-Dshard-Generation"))
               for _ in range(8))


# -- very many requests ------------------------------------------------------------------

def questions_of_all_kinds(owners_of):
    source = random.Random(5)
    found = [*pushes(owners_of), *pushes(owners_of, "POST"), *pushes(owners_of, "DELETE")]
    found += [("GET", key, 200, "-", "-") for key in KEYS]
    found += [("PUT", "/metrics/job/%FF", 400, "-", "-"), ("PATCH", KEYS[0], 405, "-", "-"),
              ("GET", "/none", 404, "-", "-"), ("GET", "/sd", 200, "-", "-"),
              ("GET", "/metrics", 200, "-", "-"), ("GET", "/status", 200, "-", "-"),
              ("PUT", "/metrics/job/a/" + "x" * 3000, 400, "-", "-")]
    source.shuffle(found)
    return found


def test_memory_and_descriptors_are_flat_over_very_many_requests(env, owners_of):
    n = 1000000 if LONG else 50000
    state = env.state()
    state.write(OLD, generation=2)
    fcgi = env.fcgi(state)
    questions = questions_of_all_kinds(owners_of)
    assert_all_right(Load(env, fcgi, questions, n=len(questions) * 3).wait(30))
    wait_until(lambda: descriptors(fcgi.pid) < 20, 5, "the connections to be closed")
    before = rss_kib(fcgi.pid), descriptors(fcgi.pid)
    result = Load(env, fcgi, questions, n=n).wait(120)
    assert_all_right(result)
    assert result["answers"] == n
    wait_until(lambda: descriptors(fcgi.pid) <= before[1], 5, "no descriptor to be left")
    after = rss_kib(fcgi.pid)
    print(f"{n} requests, {n / result['seconds']:.0f} a second: "
          f"RSS {before[0]} -> {after} KiB")
    if not SANITIZED:  # which keep what was freed
        assert after <= before[0] + 128


# -- idle and slow connections -----------------------------------------------------------

class Limited(Fcgi):
    """On a TCP port, with so many descriptors."""

    limit = 0

    def command(self):
        return ["prlimit", f"--nofile={self.limit}", *super().command()]


def drip(slow, whole, each_round):
    """A byte for every connection, then the next byte, and so on."""
    for at in range(len(whole)):
        for sock in slow:
            sock.sendall(whole[at:at + 1])
        each_round()


@pytest.mark.parametrize("limit", [1024, 4096])
def test_1000_idle_and_64_slow_connections_delay_nobody(env, owners_of, limit):
    """With 1024 descriptors the idle ones make room; with more all of them stay."""
    state = env.state()
    state.write(OLD, generation=2)
    fcgi = env.add(Limited.tcp(env.dir, state))
    fcgi.limit = limit
    fcgi.start()
    whole = request("PUT", KEYS[0], b"m 1\n", keep=True)
    idle, slow = [], []
    try:
        for i in range(1000):
            idle.append(fcgi.connect())
            if i % 2:  # the others have never asked for anything
                idle[-1].sendall(whole)
                assert read_answer(idle[-1]).status == 307
        slow = [fcgi.connect() for _ in range(64)]
        load = Load(env, fcgi, pushes(owners_of), connections=32)
        drip(slow, whole, lambda: assert_prompt(fcgi, owners_of))
        result = load.finish()
        assert_all_right(result)
        assert result["answers"] > 1000 and result["max_us"] < PROMPT_S * 1e6
        for sock in slow:  # which have been given their time
            assert read_answer(sock).header("Location") == owners_of[0][0]
        if limit > 1100:
            for sock in idle:
                sock.sendall(whole)
                assert read_answer(sock).header("Location") == owners_of[0][0]
            idle[-1].sendall(b"nonsense")
            assert is_closed(idle[-1])
        else:
            assert is_closed(idle[0])
        assert_prompt(fcgi, owners_of)
    finally:
        for sock in idle + slow:
            sock.close()


def assert_prompt(fcgi, owners_of):
    start = time.monotonic()
    assert ask(fcgi, "PUT", KEYS[0]).header("Location") == owners_of[0][0]
    assert time.monotonic() - start < PROMPT_S


# -- killed under load -------------------------------------------------------------------

class Activated(Fcgi):
    """As a socket unit of systemd starts it (examples/systemd): the socket is descriptor 0,
    and stays when the handler is gone."""

    def __init__(self, env, state, args):
        super().__init__(env.dir, state, args=args)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.listen[len("unix:"):])
        self.socket.listen(4096)

    def command(self):
        return wrapper() + [os.path.join(BIN, "dshard-fcgi"), "--state", self.state, *self.args]

    def start(self, wait=True, stdin=None):
        return super().start(wait, self.socket)

    def is_ready(self):
        return ask(self, "GET", "/-/ready").status == 200

    def stop(self, timeout=10):
        super().stop(timeout)
        self.socket.close()


def requests_counted(fcgi):
    text = ask(fcgi, "GET", "/metrics").body.decode()
    return sum(float(v) for v in re.findall(r"^dshard_requests_total{.*} (\S+)$", text, re.M))


def end_often(fcgi, load, kills, gently=lambda i: i % 4 == 3):
    """Ends and starts it so often under the load; what that has counted."""
    for i in range(kills):
        wait_until(lambda: requests_counted(fcgi) > 500, 10, "it to be under load")
        if gently(i):
            fcgi.signal(signal.SIGTERM)
            assert fcgi.wait_exit() == 0
        else:
            fcgi.kill9()
        fcgi.start()
    wait_until(lambda: requests_counted(fcgi) > 500, 10, "it to serve again")
    result = load.finish()
    print(f"{result['answers']} POSTs, {kills} ends, "
          f"the slowest took {result['max_us'] / 1000:.0f} ms")
    assert result["answers"] > kills * 500
    return result


def activated(env, args=(), servers=OLD):
    state = env.state()
    state.write(servers, generation=2)
    fcgi = env.add(Activated(env, state, list(args)))
    fcgi.start()
    return fcgi


@pytest.mark.parametrize("args", [[], ["--workers", "2"]], ids=["alone", "workers"])
def test_killed_and_restarted_under_load_it_fails_no_push(env, owners_of, args):
    fcgi = activated(env, args)
    _, redirect = fronts.nginx_example(env, fcgi)
    load = Load(env, redirect, pushes(owners_of, "POST"), connections=96)
    assert_all_right(end_often(fcgi, load, 40 if LONG else 8))


def sinks(env, n):
    """Servers that take every push and say which one of them has got it."""
    ports = [free_port() for _ in range(n - 1)]
    more = "".join(f"listen 127.0.0.1:{port};\n" for port in ports)
    nginx = env.nginx(conf=f"""
server {{
    listen 127.0.0.1:@PORT@;
    {more}
    location / {{
        add_header Location http://$server_addr:$server_port$request_uri;
        return 200;
    }}
}}""")
    return [nginx.address, *(f"127.0.0.1:{port}" for port in ports)]


def test_killed_and_restarted_under_load_each_push_reaches_its_owner(env):
    """In proxy mode: the owners themselves answer."""
    servers = sinks(env, 4)
    fcgi = activated(env, servers=servers)
    proxy, _ = fronts.nginx_example(env, fcgi)
    urls = [f"http://{owner}{key}" for owner, key in zip(
        owners([(a, 1) for a in servers], [key.encode() for key in KEYS]), KEYS)]
    load = Load(env, proxy, [("POST", key, 200, url, url) for key, url in zip(KEYS, urls)],
                connections=96)
    assert_all_right(end_often(fcgi, load, 40 if LONG else 8))


# Apache closes kept connections as it likes, also while the next request is on its way.
WITHOUT_KEEPALIVE = [("LimitRequestBody 0", "LimitRequestBody 0\nKeepAlive Off")]


def test_killed_and_restarted_behind_Apache_it_fails_no_push(env, owners_of):
    """Without the balancer of the example some get 503."""
    fcgi = activated(env)
    apache = fronts.apache_example(env, fcgi, WITHOUT_KEEPALIVE)
    load = Load(env, apache, pushes(owners_of, "POST"), connections=96)
    assert_all_right(end_often(fcgi, load, 40 if LONG else 8, lambda i: False))


def test_restarted_behind_lighttpd_it_fails_no_push(env, owners_of):
    fcgi = activated(env)
    load = Load(env, fronts.lighttpd_example(env, fcgi), pushes(owners_of, "POST"),
                connections=96)
    assert_all_right(end_often(fcgi, load, 40 if LONG else 4, lambda i: True))


def test_killed_behind_lighttpd_it_fails_what_it_had_in_hand_and_no_more(env, owners_of):
    """lighttpd answers that with 500, and nothing in its configuration changes it."""
    kills = 40 if LONG else 4
    fcgi = activated(env)
    load = Load(env, fronts.lighttpd_example(env, fcgi), pushes(owners_of, "POST"),
                connections=96)
    result = end_often(fcgi, load, kills, lambda i: False)
    assert result["failures"] == result["kinds"]["status"] <= kills * 96
    assert not result["first"] or " 500 " in result["first"]


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_push_that_the_handler_had_taken_when_it_was_killed_is_answered(env, method):
    """By its successor, and it arrives whole, although its connection was no kept one."""
    gateway = env.pushgateway()
    state = env.state()
    state.write([gateway.address], generation=2)
    fcgi = env.add(Activated(env, state, []))  # which does not run yet
    proxy, _ = fronts.nginx_example(env, fcgi)
    body = b"first 1\n" + b"# padding\n" * 30000 + b"last 1\n"
    with socket.create_connection(proxy.address.split(":"), 20) as client:
        client.sendall(f"{method} /metrics/job/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        taken, _ = fcgi.socket.accept()
        assert taken.recv(100)
        taken.close()  # as the kernel does it for one that is killed
        fcgi.start()
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
    assert b"\nlast{" in env.http(gateway).request("GET", "/metrics").body


@pytest.mark.parametrize("cut", [0, 100, 100000])
def test_Apache_gives_what_a_killed_handler_had_taken_to_its_successor(env, cut):
    """However much of the body that had; the rest of it goes to the other."""
    state = env.state()
    state.write(["127.0.0.1:7"], generation=2)
    fcgi = env.add(Activated(env, state, []))  # which does not run yet
    apache = fronts.apache_example(env, fcgi)
    body = b"m 1\n" * 100000
    with socket.create_connection(apache.address.split(":"), 20) as client:
        client.sendall(b"POST /metrics/job/a HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n"
                       b"\r\n" + body[:cut])
        taken, _ = fcgi.socket.accept()
        while cut > 0 and len(taken.recv(1000, socket.MSG_PEEK)) < min(cut, 1000):
            pass
        taken.close()  # with something unread
        fcgi.start()
        client.sendall(body[cut:])
        assert client.recv(100).startswith(b"HTTP/1.1 307 ")
