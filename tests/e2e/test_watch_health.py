# SPDX-License-Identifier: Apache-2.0
"""`watch` over real Pushgateways that die, hang, come back and flap."""

import time

import pytest

from testenv import wait_until
from testenv.front import Front
from testenv.wait import SLOW

DEFAULTS = {"interval": "1s", "timeout": "1s"}


def addresses(gateways):
    return sorted(g.address for g in gateways)


def holds(predicate, seconds):
    """It is so, and stays so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert predicate()
        time.sleep(0.02)


def ring_is(env, gateways):
    return env.state().members() == addresses(gateways)


def await_ring(env, gateways, timeout=5):
    wait_until(lambda: ring_is(env, gateways), timeout,
               f"the ring to be {addresses(gateways)}")


def health(env, gateway):
    return env.state().server(gateway.address)["health"]


# ---- the start -----------------------------------------------------------------------


def assert_one_publication(env, members):
    def one():
        content = env.state().load()
        return content["generation"] == 1 and len(content["history"]) == 1

    holds(one, 0.5)
    change = env.state().load()["history"][0]
    assert change["added"] == addresses(members) == env.state().members()
    assert change["cause"] == "start" and change["moved_ppm"] == 1000000
    assert env.state().is_checked() and env.state().load()["frozen"] is None


def test_the_start_is_one_publication(env):
    gateways = env.pushgateways(4)
    watch = env.watch(env.config(gateways))
    assert_one_publication(env, gateways)
    assert watch.log().count("ring changed") == 1


@pytest.mark.parametrize("harm", ["kill9", "pause"])
def test_the_start_is_one_publication_with_one_of_four_gone(env, harm):
    gateways = env.pushgateways(4)
    getattr(gateways[2], harm)()
    env.watch(env.config(gateways))
    assert_one_publication(env, gateways[:2] + gateways[3:])
    assert health(env, gateways[2]) == "down"


def test_with_nobody_up_at_the_start_the_ring_is_empty_until_one_is(env):
    gateways = env.pushgateways(2)
    for gateway in gateways:
        gateway.kill9()
    config = env.config(gateways)
    env.watch(config)
    front = Front(env, config)
    wait_until(lambda: env.state().load()["frozen"], 5, "the freeze")
    assert env.state().members() == [] and env.state().is_checked()
    assert front.owner() is None
    assert env.dshard("status", config=config).rc == 3
    gateways[0].start()
    wait_until(front.owner, 3, "the first server")
    assert front.push("/metrics/job/a") == gateways[0].address
    gateways[1].start()
    await_ring(env, gateways)


# ---- leaving -------------------------------------------------------------------------


def test_a_killed_server_gets_no_push_after_a_second_and_a_half(env):
    gateways = env.pushgateways(4)
    config = env.config(gateways, health_check=DEFAULTS)
    env.watch(config)
    front = Front(env, config)
    for victim in gateways[:3]:  # three moments between two checks
        path = front.path_of(victim.address)
        victim.kill9()
        assert front.time_until_moved(path, victim.address, 10 * SLOW) <= 1.5 * SLOW
    await_ring(env, gateways[3:])
    assert [len(c["removed"]) for c in env.state().load()["history"]] == [1, 1, 1, 0]


def test_a_hung_server_leaves_after_fall_checks(env):
    gateways = env.pushgateways(3)
    config = env.config(gateways, health_check=DEFAULTS)
    env.watch(config)
    front = Front(env, config)
    path = front.path_of(gateways[1].address)
    gateways[1].pause()
    # fall x (interval + timeout) + 1 s
    assert front.time_until_moved(path, gateways[1].address, 20 * SLOW) <= 5 * SLOW
    assert health(env, gateways[1]) == "down"
    assert "no answer within 1000 ms" in env.state().server(gateways[1].address)["why"]
    assert ring_is(env, [gateways[0], gateways[2]])


def test_servers_that_die_together_leave_together(env):
    gateways = env.pushgateways(4)
    env.watch(env.config(gateways))
    for gateway in gateways[:2]:
        gateway.kill9()
    await_ring(env, gateways[2:])
    assert env.state().load()["generation"] <= 3


# ---- coming back ---------------------------------------------------------------------


def test_one_that_comes_back_is_held_and_then_has_its_old_arc(env):
    gateways = env.pushgateways(3)
    env.watch(env.config(gateways, ring={"rejoin_after": "700ms"}))
    before = env.state().load()
    for flaps, hold in [(1, 700), (2, 1400)]:
        gateways[0].kill9()
        await_ring(env, gateways[1:])
        gateways[0].start()
        wait_until(lambda: health(env, gateways[0]) == "held", 5, "it to be held")
        held = env.state().server(gateways[0].address)
        assert held["hold_until"] - held["since"] == hold
        assert len(held["flaps"]) == flaps and not held["member"]
        await_ring(env, gateways)
        assert time.time() * 1000 >= held["hold_until"]
        assert env.state().load()["digest"] == before["digest"]
    assert env.state().is_checked()


def test_status_says_when_a_held_one_rejoins(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways, ring={"rejoin_after": "1m"})
    env.watch(config)
    gateways[0].kill9()
    await_ring(env, gateways[1:])
    gateways[0].start()
    wait_until(lambda: health(env, gateways[0]) == "held", 5, "it to be held")
    result = env.dshard("status", config=config)
    assert result.rc == 3 and "is back and rejoins in" in result.stdout, result


def test_the_hold_outlives_a_restart_of_watch(env):
    gateways = env.pushgateways(2)
    watch = env.watch(env.config(gateways, ring={"rejoin_after": "1s"}))
    gateways[0].kill9()
    await_ring(env, gateways[1:])
    gateways[0].start()
    wait_until(lambda: health(env, gateways[0]) == "held", 5, "it to be held")
    until = env.state().server(gateways[0].address)["hold_until"]
    watch.restart()
    assert env.state().server(gateways[0].address)["hold_until"] == until
    await_ring(env, gateways)
    assert time.time() * 1000 >= until


# ---- frozen --------------------------------------------------------------------------


def test_all_dead_freezes_the_ring_and_the_first_to_come_back_serves(env):
    gateways = env.pushgateways(4)
    config = env.config(gateways, ring={"rejoin_after": "2s"})
    watch = env.watch(config)
    front = Front(env, config)
    before = env.state().load()
    for gateway in gateways:
        gateway.kill9()
    wait_until(lambda: env.state().load()["frozen"], 5, "the freeze")
    assert env.state().load()["digest"] == before["digest"]
    assert ring_is(env, gateways) and env.state().is_checked()
    assert front.owner() is not None
    result = env.dshard("status", config=config)
    assert result.rc == 3 and "frozen" in result.stdout, result
    assert watch.log().count("ring frozen") == 1

    watch.restart()
    assert env.state().load()["frozen"] and ring_is(env, gateways), "also after a restart"

    gateways[2].start()
    await_ring(env, [gateways[2]], 1.5)
    paths = [f"/metrics/job/first{i}" for i in range(8)]
    wait_until(lambda: {front.owner(p) for p in paths} == {gateways[2].address}, 1,
               "the handler")
    for path in paths:
        assert front.push(path) == gateways[2].address
    assert env.state().load()["frozen"] is None

    for gateway in (gateways[0], gateways[1], gateways[3]):
        gateway.start()
    await_ring(env, gateways, 10)
    assert env.state().load()["digest"] == before["digest"]
    env.dshard("status", config=config).ok()


@pytest.mark.parametrize("min_healthy", [3, "75%"])
def test_below_min_healthy_the_ring_is_frozen(env, min_healthy):
    gateways = env.pushgateways(4)
    config = env.config(gateways, ring={"min_healthy": min_healthy, "rejoin_after": "1m"})
    env.watch(config)
    gateways[0].kill9()
    await_ring(env, gateways[1:])
    assert env.state().load()["frozen"] is None
    gateways[1].kill9()
    wait_until(lambda: env.state().load()["frozen"], 5, "the freeze")
    assert ring_is(env, gateways), "the largest ring of a young watch is the one to keep"
    assert "2 of 4" in env.state().load()["frozen"]["reason"]
    result = env.dshard("status", config=config)
    assert result.rc == 3 and "frozen" in result.stdout
    gateways[1].start()
    await_ring(env, gateways[1:])  # not held, though rejoin_after is a minute
    assert env.state().load()["frozen"] is None
