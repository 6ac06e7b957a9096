# SPDX-License-Identifier: Apache-2.0
"""`watch` as a service: one per state file, SIGHUP, SIGTERM, systemd, and from cron."""

import fcntl
import os
import signal
import socket
import time

import pytest

from testenv import free_port, wait_until
from testenv.front import Front
from testenv.state import now_ms
from testenv.wait import SLOW


def addresses(gateways):
    return sorted(g.address for g in gateways)


def await_members(env, gateways, timeout=5):
    names = addresses(gateways)
    wait_until(lambda: env.state().members() == names, timeout, f"the ring to be {names}")


def snapshot(path):
    info = os.stat(path)
    return info.st_ino, info.st_mtime_ns


# ---- SIGHUP --------------------------------------------------------------------------


def hup(watch, words="configuration reloaded"):
    seen = watch.log().count(words)
    watch.signal(signal.SIGHUP)
    wait_until(lambda: watch.log().count(words) > seen, 5, words)


def test_sighup_takes_over_servers_weights_and_periods(env):
    gateways = env.pushgateways(3)
    stub = env.stub()
    config = env.config([gateways[0], stub], health_check={"interval": "10s"})
    watch = env.watch(config)
    names = [gateways[0].address, stub.address]

    config.set(servers=[{"addr": names[0], "weight": 3}, names[1], gateways[1].address])
    hup(watch)
    await_members(env, [gateways[0], gateways[1], stub])
    wait_until(lambda: env.state().server(names[0])["weight"] == 3, 3, "the weight")
    assert env.state().is_checked()
    assert stub.count() <= 3, "an interval of ten seconds is one"

    config.set(health_check={"interval": "50ms"})
    hup(watch)
    seen = stub.count()
    wait_until(lambda: stub.count() >= seen + 8, 2, "more checks")
    gateways[1].kill9()
    await_members(env, [gateways[0], stub], 2)


def test_sighup_changes_the_points_of_the_ring(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    watch = env.watch(config)
    config.set(ring={"replicas": 100})
    hup(watch)
    wait_until(lambda: env.state().load()["replicas"] == 100, 3, "the new ring")
    assert env.state().is_checked()
    assert env.state().load()["history"][0]["cause"] == "config"


def test_sighup_keeps_a_server_that_left_the_file(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    watch = env.watch(config)
    config.set(servers=[gateways[0].address])
    hup(watch)
    lines = [x for x in watch.log().splitlines() if "still registered" in x]
    assert len(lines) == 1 and gateways[1].address in lines[0], watch.log()
    assert "dshard deregister" in lines[0]
    assert env.state().members() == addresses(gateways)
    gateways[1].kill9()
    await_members(env, gateways[:1])  # it is still followed
    assert env.state().server(gateways[1].address)["intent"] == "in"


BAD = """pushgateway:
  servers: ["127.0.0.1:1", "127.0.0.1:1"]
  prot: 9091
ring: {replicas: 0}
state_file: %s
"""


def test_sighup_with_a_bad_file_shows_all_complaints_and_changes_nothing(env):
    gateways = env.pushgateways(3)
    config = env.config(gateways)
    watch = env.watch(config)
    config.write_text(BAD % config.state_file)
    hup(watch, "the old one stays")
    log = watch.log()
    for words in (":2:28:", ":3:3:", ":4:18:", "did you mean", "replicas"):
        assert words in log, words
    gateways[0].kill9()
    await_members(env, gateways[1:])
    config.set(ring={"replicas": 200})  # writes the good one again
    hup(watch)
    wait_until(lambda: env.state().load()["replicas"] == 200, 3, "the new ring")


@pytest.mark.parametrize("harm", ["missing", "another state_file", "no password file"])
def test_sighup_with_what_cannot_be_taken_over_changes_nothing(env, harm):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    watch = env.watch(config)
    if harm == "missing":
        os.unlink(config.path)
    elif harm == "another state_file":
        config.set(state_file=env.path("other.json"))
    else:
        config.set(pushgateway={"username": "u", "password_file": env.path("nothing")})
    hup(watch, "the old one stays")
    gateways[0].kill9()
    await_members(env, gateways[1:])
    assert not os.path.exists(env.path("other.json"))


def test_many_sighups_in_a_row_do_no_harm(env):
    gateways = env.pushgateways(2)
    watch = env.watch(env.config(gateways))
    for _ in range(30):
        watch.signal(signal.SIGHUP)
        time.sleep(0.005)  # no synchronisation: the pace of the nuisance
    hup(watch)
    gateways[0].kill9()
    await_members(env, gateways[1:])
    assert env.state().load()["generation"] == 2


# ---- ending, starting again, and only one --------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_also_while_a_check_hangs(env, number):
    gateways = env.pushgateways(2)
    gateways[1].pause()
    config = env.config(gateways, health_check={"timeout": "400ms", "interval": "10s"})
    watch = env.watch(config)
    config.set(health_check={"timeout": "30s", "interval": "50ms"})
    hup(watch)
    began = time.monotonic()
    watch.signal(number)
    assert watch.wait_exit() == 0
    assert time.monotonic() - began < 1 * SLOW
    assert "watch stopped" in watch.log()
    left = {n for n in os.listdir(env.dir) if "ring.json" in n}
    assert left <= {"ring.json", ".ring.json.watch", ".ring.json.fleet"}, left


def test_a_restart_changes_no_ring(env):
    gateways = env.pushgateways(3)
    watch = env.watch(env.config(gateways))
    gateways[0].kill9()
    await_members(env, gateways[1:])
    before = env.state().load()
    for end in (watch.stop, watch.kill9, watch.stop):
        end()
        watch.start()
        after = env.state().load()
        assert after["checked_at"] > before["checked_at"], "but it is a fresh check"
        for key in ("generation", "digest", "history", "servers"):
            assert after[key] == before[key], key


def test_a_second_watch_exits_75_and_the_first_goes_on(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    watch = env.watch(config)
    before = env.state().load()["generation"]
    for args in (["watch"], ["watch", "--once"]):
        result = env.dshard(*args, config=config)
        assert result.rc == 75 and config.state_file in result.stderr, result
    gateways[0].kill9()
    await_members(env, gateways[1:])
    assert watch.running and env.state().load()["generation"] == before + 1


def test_a_second_watch_can_wait_for_the_first_to_end(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    first = env.watch(config)
    second = env.watch(config, start=False, args=["--timeout", "10s"])
    second.start(wait=False)
    first.kill9()
    wait_until(lambda: "watch started" in second.log(), 5, "the second to take over")
    gateways[0].kill9()
    await_members(env, gateways[1:])


def test_watches_of_two_files_in_one_directory_do_not_mind_each_other(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    other = env.config(gateways, name="other.yml", state_file=env.path("other.json"))
    env.watch(config)
    env.watch(other)
    gateways[0].kill9()
    for path in ("ring.json", "other.json"):
        wait_until(lambda: env.state(path).members() == [gateways[1].address], 5, path)


def test_a_state_without_a_living_watch_is_named_and_a_start_heals_it(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    watch = env.watch(config)
    assert now_ms() - env.state().load()["checked_at"] < 5000 * SLOW
    watch.kill9()
    env.state().rewrite(lambda c: c.update(checked_at=now_ms() - 95_000))
    result = env.dshard("status", config=config)
    assert result.rc == 3 and "last check was 1m" in result.stdout, result
    watch.start()
    env.dshard("status", config=config).ok()


def test_a_state_that_is_old_is_checked_before_it_is_changed(env):
    """Started after a reboot with the ring of last week: dead ones leave, and there is
    no moment without a ring."""
    gateways = env.pushgateways(3)
    config = env.config(gateways)
    week = 7 * 24 * 3600 * 1000
    old = env.state().write([{"address": a, "since": now_ms() - week}
                             for a in addresses(gateways)],
                            checked_at=now_ms() - week, generation=7)
    gateways[2].kill9()
    front = Front(env, config)
    assert front.owner()
    env.watch(config)
    await_members(env, gateways[:2])
    after = env.state().load()
    assert after["generation"] == old["generation"] + 1
    assert after["history"][0]["removed"] == [gateways[2].address]


# ---- from cron -----------------------------------------------------------------------


def test_once_from_cron_follows_damps_and_remembers(env):
    gateways = env.pushgateways(3)
    config = env.config(gateways, ring={"rejoin_after": "800ms"},
                        health_check={"interval": "50ms"})
    front_of = gateways[0].address

    def once(**expected):
        result = env.dshard("watch", "--once", config=config).ok()
        assert result.stdout == ""
        server = env.state().server(front_of)
        for key, value in expected.items():
            assert server[key] == value, (key, server)
        assert env.state().is_checked()
        return result, server

    result, _ = once(member=True, health="up")
    assert result.stderr == "", "cron mails what is printed"
    assert env.state().load()["generation"] == 1
    for flaps, hold in [(1, 800), (2, 1600)]:
        gateways[0].kill9()
        once(member=False, health="down")
        once(member=False, health="down")
        gateways[0].start()
        _, server = once(member=False, health="held")
        assert len(server["flaps"]) == flaps
        assert server["hold_until"] - server["since"] == hold
        once(member=False, health="held", hold_until=server["hold_until"])
        wait_until(lambda: now_ms() >= server["hold_until"], 5, "the end of the hold")
        once(member=True, health="up")
    assert env.state().load()["generation"] == 5
    env.dshard("status", config=config).ok()


def test_once_needs_one_server_that_hangs_no_longer_than_fall_checks(env):
    gateways = env.pushgateways(3)
    config = env.config(gateways, health_check={"interval": "50ms", "timeout": "300ms"})
    env.dshard("watch", "--once", config=config).ok()
    gateways[1].pause()
    began = time.monotonic()
    env.dshard("watch", "--once", config=config).ok()
    assert time.monotonic() - began < (2 * 0.35 + 1) * SLOW
    assert env.state().members() == addresses([gateways[0], gateways[2]])


def test_once_does_not_believe_one_failure(env):
    gateway = env.pushgateway()
    answers = iter([(200, {}, b""), (503, {}, b"")])
    stub = env.stub(answer=lambda *_: next(answers, (200, {}, b"")))
    config = env.config([gateway, stub], health_check={"interval": "50ms"})
    for _ in range(2):
        env.dshard("watch", "--once", config=config).ok()
        assert env.state().members() == addresses([gateway, stub])


# ---- systemd -------------------------------------------------------------------------


@pytest.fixture
def supervisor(env):
    """What systemd would hear: a function that gives all messages so far."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(env.path("notify"))
    sock.setblocking(False)
    heard = []

    def messages():
        while True:
            try:
                heard.append((time.monotonic(), sock.recv(4096).decode()))
            except BlockingIOError:
                return heard

    yield messages
    sock.close()


def test_systemd_hears_ready_only_with_a_ring_then_watchdogs_then_stopping(env, supervisor):
    gateways = env.pushgateways(2)
    gateways[1].pause()
    config = env.config(gateways, health_check={"timeout": "600ms"})
    watch = env.watch(config, start=False, environ={
        "NOTIFY_SOCKET": env.path("notify"), "WATCHDOG_USEC": 200_000})
    watch.start(wait=False)
    wait_until(lambda: any("READY=1" in m for _, m in supervisor()), 5, "READY=1")
    assert env.state().members() == [gateways[0].address]
    ready = [m for _, m in supervisor() if "READY=1" in m]
    assert len(ready) == 1 and "STATUS=1 of 2 servers are members" in ready[0]
    wait_until(lambda: sum(m == "WATCHDOG=1" for _, m in supervisor()) >= 12, 5, "watchdogs")
    times = [t for t, m in supervisor() if m == "WATCHDOG=1"]
    assert max(b - a for a, b in zip(times, times[1:])) < 0.2 * SLOW
    gateways[1].resume()
    wait_until(lambda: any(m == "STATUS=2 of 2 servers are members" for _, m in supervisor()),
               10, "what `systemctl status` shows")
    watch.stop()
    assert supervisor()[-1][1] == "STOPPING=1"


def test_without_a_watchdog_nobody_barks(env, supervisor):
    gateways = env.pushgateways(1)
    watch = env.watch(env.config(gateways), environ={
        "NOTIFY_SOCKET": env.path("notify"), "WATCHDOG_USEC": 100_000,
        "WATCHDOG_PID": 1})  # meant for another process
    wait_until(supervisor, 5, "READY=1")
    watch.stop()
    assert [m.split("\n")[0] for _, m in supervisor()] == ["READY=1", "STOPPING=1"]


def test_an_abstract_socket_is_understood_and_a_deaf_one_no_trouble(env):
    name = f"dshard-test-{os.getpid()}-{free_port()}"
    config = env.config(env.pushgateways(1))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(5)
        watch = env.watch(config, environ={"NOTIFY_SOCKET": "@" + name})
        assert sock.recv(4096).startswith(b"READY=1")
        watch.stop()
    env.watch(config, environ={"NOTIFY_SOCKET": env.path("nobody-listens")})


def test_the_watchdog_goes_on_while_the_disk_is_locked(env, supervisor):
    """Somebody holds the lock of the directory: that is no reason to be restarted."""
    gateways = env.pushgateways(2)
    watch = env.watch(env.config(gateways), environ={
        "NOTIFY_SOCKET": env.path("notify"), "WATCHDOG_USEC": 400_000})
    directory = os.open(env.dir, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    gateways[0].kill9()
    wait_until(lambda: "state not written" in watch.log(), 5, "a refused write")
    began = time.monotonic()
    wait_until(lambda: sum(t > began for t, m in supervisor() if m == "WATCHDOG=1") >= 5,
               5, "watchdogs")
    times = [t for t, m in supervisor() if m == "WATCHDOG=1"]
    assert max(b - a for a, b in zip(times, times[1:])) < 0.4 * SLOW
    assert watch.log().count("state not written") == 1
    os.close(directory)
    await_members(env, gateways[1:], 3)
