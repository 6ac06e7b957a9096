# SPDX-License-Identifier: Apache-2.0
"""`watch` judges answers: what takes a server out, what does not, and that no check waits
for another."""

import os
import selectors
import socket
import subprocess
import threading
import time

import pytest

from testenv import Watch, wait_until
from testenv.wait import SLOW


def await_members(env, members, timeout=5):
    names = sorted(getattr(m, "address", m) for m in members)
    wait_until(lambda: env.state().members() == names, timeout, f"the ring to be {names}")


def await_checks(stub, n=4):
    """n more checks have been answered, and the one before them was judged."""
    seen = stub.count()
    wait_until(lambda: stub.count() >= seen + n, 5, "more checks")


# ---- one answer ----------------------------------------------------------------------

KEEP = [
    (500, b"write queue is full\n", "overloaded: 500"),
    (429, b"", "overloaded: 429"),
    (401, b"Unauthorized\n", "401"),
    (403, b"", "403"),
    (404, b"404 page not found\n", "health_check.path"),
    (204, b"", None),
]
LEAVE = [(500, b"something else"), (503, b"write queue is full"), (502, b""), (302, b"")]


@pytest.mark.parametrize("status, body, words", KEEP, ids=[str(k[0]) for k in KEEP])
def test_an_answer_that_is_no_death_keeps_a_member_in(env, status, body, words):
    real, stub = env.pushgateway(), env.stub()
    config = env.config([real, stub], health_check={"interval": "50ms"})
    watch = env.watch(config)
    await_members(env, [real, stub])
    stub.answer = (status, {}, body)
    await_checks(stub)
    await_members(env, [real, stub])
    assert env.state().load()["generation"] == 1
    if words is None:
        env.dshard("status", config=config).ok()
        return

    def status_is_loud():
        result = env.dshard("status", config=config)
        return result.rc == 3 and words in result.stdout

    wait_until(status_is_loud, 3, "status to complain")
    assert watch.log().count("server up, but") == 1, "once, not for each check"
    stub.answer = (200, {}, b"")
    wait_until(lambda: env.dshard("status", config=config).rc == 0, 5, "health")


@pytest.mark.parametrize("status, body", LEAVE, ids=[str(k[0]) for k in LEAVE])
def test_any_other_failure_takes_it_out(env, status, body):
    real, stub = env.pushgateway(), env.stub()
    env.watch(env.config([real, stub], health_check={"interval": "50ms"}))
    stub.answer = (status, {}, body)
    await_members(env, [real])
    assert str(status) in env.state().server(stub.address)["why"]


def test_a_server_that_is_misconfigured_from_the_start_joins(env):
    stub = env.stub(answer=(404, {}, b""))
    env.watch(env.config([stub]))
    await_members(env, [stub])


@pytest.mark.parametrize("fall", [2, 4])
def test_fewer_failures_in_a_row_than_fall_take_nobody_out(env, fall):
    real = env.pushgateway()
    answers = iter(([(200, {}, b"")] + [(503, {}, b"")] * (fall - 1)) * 6)
    stub = env.stub(answer=lambda *_: next(answers, (200, {}, b"")))
    env.watch(env.config([real, stub], health_check={"interval": "50ms", "fall": fall}))
    wait_until(lambda: stub.count() > 6 * fall, 10, "the checks")
    await_checks(stub)
    assert env.state().load()["generation"] == 1
    await_members(env, [real, stub])


def test_rise_successes_bring_it_back_and_a_failure_between_counts_anew(env):
    real, stub = env.pushgateway(), env.stub()
    env.watch(env.config([real, stub], ring={"rejoin_after": "0s"},
                         health_check={"interval": "50ms", "rise": 3}))
    stub.answer = (503, {}, b"")
    await_members(env, [real])
    answers = iter([(200, {}, b"")] * 2 + [(503, {}, b"")] + [(200, {}, b"")] * 3)
    last = []  # the statuses, as they were given

    def answer(*_):
        last.append(next(answers, (200, {}, b"")))
        return last[-1]

    def back():
        member = stub.address in env.state().members()
        assert not member or len(last) >= 6
        return member

    stub.answer = answer
    wait_until(back, 5, "it to come back")


def test_a_connection_cut_in_the_middle_is_a_failure(env):
    real, stub = env.pushgateway(), env.stub()
    env.watch(env.config([real, stub], health_check={"interval": "50ms"}))
    stub.answer = (200, {"Content-Length": "100", "Connection": "close"}, b"short")
    await_members(env, [real])


def test_an_answer_without_end_is_bounded(env):
    real, stub = env.pushgateway(), env.stub()
    env.watch(env.config([real, stub], health_check={"interval": "50ms"}))
    stub.answer = (200, {}, b"x" * 10_000_000)
    await_members(env, [real])
    assert "longer than" in env.state().server(stub.address)["why"]


# ---- basic auth ----------------------------------------------------------------------


def test_wrong_and_right_credentials(env):
    gateway = env.pushgateway(users={"dshard": "s3cret-word"})
    secret = env.write("password", "wrong-word\n")
    config = env.config([gateway])
    watch = env.watch(config)
    await_members(env, [gateway])
    result = env.dshard("status", config=config)
    assert result.rc == 3 and "401" in result.stdout, result
    assert "password_file" in watch.log()

    config.set(pushgateway={"username": "dshard", "password_file": secret})
    watch.signal(1)
    wait_until(lambda: "configuration reloaded" in watch.log(), 5, "the reload")
    assert "401" in env.dshard("status", config=config).stdout, "that word is wrong"
    env.write("password", "s3cret-word\n")
    watch.signal(1)
    wait_until(lambda: env.dshard("status", config=config).rc == 0, 5, "health")
    assert env.state().load()["generation"] == 1
    assert "s3cret" not in watch.log() + str(env.state().load())


def test_deregister_and_register_use_the_credentials_too(env):
    first, second = env.pushgateways(2, users={"dshard": "s3cret-word"})
    secret = env.write("password", "s3cret-word")
    config = env.config([first, second], pushgateway={
        "servers": [first.address, second.address],
        "username": "dshard", "password_file": secret})
    env.dshard("register", config=config).ok()
    env.dshard("status", "-v", config=config)
    first.push("/metrics/job/a")
    result = env.dshard("deregister", first.address, config=config)
    assert result.rc == 5 and "s3cret" not in str(result), result
    env.dshard("deregister", second.address, config=config).ok()


# ---- many, and slow ones -------------------------------------------------------------


class ManyServers:
    """127.0.1.1 to 127.0.1.N on one port: a listener that answers at once and notes when
    each was asked; and as many on another port that accept and say nothing."""

    name, problems = "many", ()

    def __init__(self, n):
        self.asked = {}  # address -> times
        self.good = self._listen()
        self.silent = self._listen()  # the kernel accepts, nobody reads
        port, silent_port = (s.getsockname()[1] for s in (self.good, self.silent))
        self.addresses = [f"127.0.1.{i}:{port}" for i in range(1, n + 1)]
        self.hung = [f"127.0.1.{i}:{silent_port}" for i in range(1, n + 1)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @staticmethod
    def _listen():
        sock = socket.socket()
        sock.bind(("0.0.0.0", 0))
        sock.listen(4096)
        return sock

    def _serve(self):
        waiting = selectors.DefaultSelector()
        waiting.register(self.good, selectors.EVENT_READ)
        while not self._stop.is_set():
            for key, _ in waiting.select(0.05):
                if key.fileobj is self.good:
                    waiting.register(self.good.accept()[0], selectors.EVENT_READ)
                    continue
                waiting.unregister(key.fileobj)
                self._answer(key.fileobj)
        waiting.close()

    def _answer(self, sock):
        with sock:
            host, port = sock.getsockname()
            self.asked.setdefault(f"{host}:{port}", []).append(time.monotonic())
            if sock.recv(4096):
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
                             b"Connection: close\r\n\r\n")

    def stop(self):
        self._stop.set()
        self._thread.join()
        self.good.close()
        self.silent.close()

    def log_tail(self):
        return ""

    def all_problems(self):
        return []


def test_a_hundred_servers_that_hang_delay_no_check_of_a_hundred_others(env):
    many = env.add(ManyServers(100))
    config = env.config(many.addresses + many.hung,
                        health_check={"interval": "800ms", "timeout": "800ms"})
    began = time.monotonic()
    env.watch(config)
    assert time.monotonic() - began < 8 * SLOW, "one timeout, not a hundred"
    assert env.state().members() == sorted(many.addresses)
    assert env.state().load()["generation"] == 1
    wait_until(lambda: all(len(t) >= 6 for t in many.asked.values()), 10, "six checks each")
    gaps = [b - a for times in many.asked.values() for a, b in zip(times, times[1:])]
    assert len(many.asked) == 100 and max(gaps) < (0.8 + 0.7) * SLOW, max(gaps)
    assert env.state().load()["generation"] == 1


def may_unshare():
    try:
        return subprocess.run(["unshare", "-rm", "true"], check=False,
                              stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


class SlowNames(Watch):
    """A watch whose resolver is a socket that says nothing."""

    def command(self):
        script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["unshare", "-rm", "sh", "-c", script, os.path.join(self.dir, "resolv.conf"),
                *super().command()]


@pytest.fixture
def silent_resolver(env):
    if not may_unshare():
        pytest.skip("this kernel lets nobody mount in a namespace")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind(("127.0.0.77", 53))
    except OSError:
        pytest.skip("port 53 is only for root")
    env.write("resolv.conf", "nameserver 127.0.0.77\noptions timeout:5 attempts:2\n")
    yield sock
    sock.close()


def test_a_name_that_resolves_slowly_delays_nobody(env, silent_resolver):
    gateways = env.pushgateways(2)
    stub = env.stub()
    config = env.config([*gateways, stub, "slow.example:9091"],
                        health_check={"interval": "200ms", "timeout": "300ms"})
    watch = env.add(SlowNames(env.dir, config)).start()
    await_members(env, [*gateways, stub])
    times, seen = [], stub.count()
    while len(times) < 10:
        wait_until(lambda: stub.count() > seen, 5, "a check")
        seen = stub.count()
        times.append(time.monotonic())
    assert max(b - a for a, b in zip(times, times[1:])) < 0.5 * SLOW
    assert env.state().server("slow.example:9091")["health"] == "down"
    gateways[0].kill9()
    await_members(env, [gateways[1], stub], 4)  # the resolver gives up after 5 s
    began = time.monotonic()
    watch.stop()
    assert time.monotonic() - began < 2 * SLOW, "and it ends at once"
