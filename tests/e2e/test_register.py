# SPDX-License-Identifier: Apache-2.0
"""`register` and `deregister` together with a watch, and what stays of them.  What the
commands do by themselves is in test_cli_register.py."""

import concurrent.futures
import os
import subprocess
import time

import pytest

from testenv import BIN, clean_environ, wait_until
from testenv.front import Front
from testenv.wait import SLOW


def addresses(gateways):
    return sorted(g.address for g in gateways)


def await_members(env, gateways, timeout=5):
    names = addresses(gateways)
    wait_until(lambda: env.state().members() == names, timeout, f"the ring to be {names}")


def stays_out(env, address, seconds=0.7):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert address not in env.state().members()
        time.sleep(0.02)


@pytest.fixture
def gateways(env):
    return env.pushgateways(3)


@pytest.fixture
def config(env, gateways):
    return env.config(gateways)


@pytest.fixture
def watch(env, gateways, config):
    return env.watch(config)


# ---- register ------------------------------------------------------------------------


def test_a_server_registered_under_a_watch_is_a_member_at_once(env, gateways, config, watch):
    extra = env.pushgateway()
    front = Front(env, config)
    env.dshard("register", extra.address, config=config).ok()
    await_members(env, [*gateways, extra], 1)
    wait_until(lambda: front.push(front.path_of(extra.address)) == extra.address, 2, "a push")
    assert env.state().load()["history"][0]["cause"] == "operator"
    env.dshard("status", config=config).ok()


def test_what_is_registered_already_is_not_written_again(env, gateways, config, watch):
    config.set(health_check={"interval": "10s"})
    watch.restart()  # it has nothing to write now
    before = os.stat(config.state_file)
    for args in ([], [gateways[0].address], addresses(gateways)):
        result = env.dshard("register", *args, config=config).ok()
        assert result.stdout == result.stderr == ""
    after = os.stat(config.state_file)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("harm", ["dead", "hung"])
def test_one_that_fails_stops_none_of_the_others(env, gateways, config, harm):
    others = env.pushgateways(2)
    config.set(health_check={"timeout": "400ms"})
    env.watch(config)
    bad = env.pushgateway()
    if harm == "dead":
        bad.kill9()
    else:
        bad.pause()
    began = time.monotonic()
    names = [others[0].address, bad.address, others[1].address]
    result = env.dshard("register", *names, config=config)
    assert time.monotonic() - began < 1.5 * SLOW
    assert result.rc == 1 and bad.address in result.stderr, result
    assert others[0].address not in result.stderr and others[1].address not in result.stderr
    await_members(env, [*gateways, *others])
    assert env.state().server(bad.address) is None


def test_a_weight_changed_by_register_counts_under_a_watch(env, gateways, config, watch):
    """Also when watch has not been told of the new configuration: cron's `register` and
    watch do not undo each other's work."""
    name = gateways[0].address
    config.set(servers=[{"addr": name, "weight": 4}, *(g.address for g in gateways[1:])])
    env.dshard("register", config=config).ok()
    before = env.state().load()
    assert env.state().server(name)["weight"] == 4
    gateways[1].kill9()
    await_members(env, [gateways[0], gateways[2]])
    assert env.state().server(name)["weight"] == 4 and env.state().is_checked()
    env.dshard("register", config=config).ok()
    assert env.state().load()["generation"] == before["generation"] + 1


def test_the_weight_of_a_configured_server_is_the_configuration_s(env, gateways, config):
    env.dshard("register", config=config).ok()
    before = env.state().load()
    result = env.dshard("register", f"{gateways[0].address}=4", config=config)
    assert result.rc == 2 and config.path in result.stderr, result
    assert env.state().load() == before


def test_registered_by_hand_survives_a_restart_of_watch(env, gateways, config, watch):
    extra = env.pushgateway()
    env.dshard("register", extra.address, config=config).ok()
    await_members(env, [*gateways, extra])
    watch.restart()
    await_members(env, [*gateways, extra])


# ---- deregister ----------------------------------------------------------------------


def test_what_was_taken_out_stays_out_whatever_happens(env, gateways, config, watch):
    name, rest = gateways[0].address, gateways[1:]
    gateways[0].push("/metrics/job/precious")
    result = env.dshard("deregister", name, config=config)
    assert result.rc == 5 and "--force" in result.stderr, result
    assert name in env.state().members()
    env.dshard("deregister", "--force", name, config=config).ok()
    assert env.state().members() == addresses(rest), "at once, not by and by"
    stays_out(env, name, 0.4)
    watch.signal(1)
    wait_until(lambda: "reloaded" in watch.log(), 3, "the reload")
    gateways[0].restart()
    env.dshard("register", config=config).ok()
    stays_out(env, name)
    watch.restart()
    stays_out(env, name, 0.4)
    env.dshard("status", config=config).ok()
    assert env.state().server(name)["intent"] == "out"
    env.dshard("register", name, config=config).ok()
    await_members(env, gateways)


def test_it_leaves_the_ring_of_the_handler_within_moments(env, gateways, config, watch):
    front = Front(env, config)
    name = gateways[2].address
    path = front.path_of(name)
    env.dshard("deregister", name, config=config).ok()
    assert front.time_until_moved(path, name, 2 * SLOW) < 0.3 * SLOW
    assert name not in front.get("/sd").text


@pytest.mark.parametrize("min_healthy", [3, "80%"])
def test_below_min_healthy_it_is_refused_and_force_does_it(env, gateways, min_healthy):
    config = env.config(gateways, ring={"min_healthy": min_healthy})
    env.watch(config)
    gateways[2].kill9()  # 80% of the two that would remain is two, and one of them is up
    wait_until(lambda: env.state().server(gateways[2].address)["health"] == "down", 5, "it")
    name = gateways[0].address
    before = env.state().load()["generation"]
    result = env.dshard("deregister", name, config=config)
    assert result.rc == 5 and "min_healthy" in result.stderr, result
    assert env.state().load()["generation"] == before
    env.dshard("deregister", "--force", name, config=config).ok()
    wait_until(lambda: name not in env.state().members(), 3, "it to leave")


def test_a_dead_server_can_always_go(env, gateways, config, watch):
    gateways[0].push("/metrics/job/a")
    gateways[0].kill9()
    await_members(env, gateways[1:])
    env.dshard("deregister", gateways[0].address, config=config).ok()
    env.dshard("status", config=config).ok()


def test_a_hung_server_can_go_after_the_timeout(env, gateways, config, watch):
    gateways[0].pause()
    began = time.monotonic()
    env.dshard("deregister", "--timeout", "500ms", gateways[0].address, config=config).ok()
    assert time.monotonic() - began < 2 * SLOW
    await_members(env, gateways[1:])


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_server_that_does_not_say_whether_it_is_empty_needs_force(env, gateways, status):
    """It is reachable, so nobody may take it for gone."""
    stub = env.stub()
    config = env.config([*gateways, stub])
    env.watch(config)
    stub.answer = lambda method, path, *_: (status if "api" in path else 200, {}, b"no\n")
    result = env.dshard("deregister", stub.address, config=config)
    assert result.rc == 5 and "--force" in result.stderr and str(status) in result.stderr
    assert stub.address in env.state().members()
    env.dshard("deregister", "--force", stub.address, config=config).ok()
    await_members(env, gateways)


@pytest.mark.parametrize("text", ['{"status":"success","data":[', "", "<html>"])
def test_half_a_list_of_groups_is_no_empty_one(env, gateways, text):
    stub = env.stub()
    config = env.config([*gateways, stub])
    env.watch(config)
    stub.answer = lambda *_: (200, {}, text.encode())
    result = env.dshard("deregister", stub.address, config=config)
    assert result.rc == 5 and "--force" in result.stderr and "/api/v1/metrics" in result.stderr
    assert stub.address in env.state().members()


def test_of_several_one_with_groups_keeps_all(env, gateways, config, watch):
    gateways[1].push("/metrics/job/a")
    names = [g.address for g in gateways[:2]]
    assert env.dshard("deregister", *names, config=config).rc == 5
    stays = addresses(gateways)
    assert env.state().members() == stays
    assert {s["intent"] for s in env.state().load()["servers"]} == {"in"}


# ---- without a watch -----------------------------------------------------------------


def test_without_a_watch_a_command_settles_the_whole_ring(env, gateways, config):
    env.dshard("register", config=config).ok()
    extra = env.pushgateway()
    gateways[0].kill9()
    env.dshard("register", extra.address, config=config).ok()
    assert env.state().members() == addresses([*gateways[1:], extra]), "the dead one left too"
    assert env.state().server(gateways[0].address)["health"] == "down"
    gateways[0].start()
    env.dshard("deregister", extra.address, config=config).ok()
    assert env.state().server(gateways[0].address)["health"] == "held", "and it is back"
    assert env.state().is_checked()


def test_after_a_watch_was_killed_commands_do_its_work(env, gateways, config, watch):
    watch.kill9()
    extra = env.pushgateway()
    env.dshard("register", extra.address, config=config).ok()
    assert env.state().members() == addresses([*gateways, extra])


def test_the_first_register_and_the_first_watch_at_once(env, gateways, config):
    """As at boot: cron's @reboot line and the service start in one moment."""
    first = env.watch(config, start=False)
    first.start(wait=False)
    result = env.dshard("register", config=config).ok()
    assert result.stderr == ""
    await_members(env, gateways)
    wait_until(lambda: "watch started" in first.log(), 5, "its turn")
    assert first.running and len(env.state().load()["history"]) <= 2


def test_a_watch_that_starts_while_register_settles_waits_for_it(env, gateways, config):
    """It may not end with 75: systemd would give up after five attempts."""
    gateways[2].pause()  # so that settling takes two timeouts
    env.state().write([gateways[2].address])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        register = pool.submit(env.dshard, "register", config=config)
        wait_until(lambda: len(env.state().load()["servers"]) == 3, 5, "its intents")
        watch = env.watch(config)
        register.result().ok()
    wait_until(lambda: "watch started" in watch.log(), 5, "its turn")
    assert watch.running
    await_members(env, gateways[:2])


@pytest.mark.parametrize("limit", range(5, 11))
def test_with_hardly_a_descriptor_it_ends_and_says_why(env, limit):
    """With some of them all of it can be done but the checks."""
    gateway = env.pushgateway()
    config = env.config([gateway], health_check={"interval": "100ms", "timeout": "200ms"})
    done = subprocess.run(
        ["prlimit", f"--nofile={limit}", os.path.join(BIN, "dshard"), "--config", config.path,
         "register"], env=clean_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=20 * SLOW)
    if done.returncode == 0:
        assert env.state().members() == [gateway.address]
    else:
        assert done.returncode in (1, 75), done
        assert "Too many open files" in done.stdout or "no file descriptor" in done.stdout, done
