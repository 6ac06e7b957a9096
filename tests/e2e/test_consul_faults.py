# SPDX-License-Identifier: Apache-2.0
"""`watch` and a Consul that says whatever it can say: each kind of answer, and what it
means for the ring."""

import threading
import time

import pytest

from testenv import Answer, entry, wait_until
from testenv.fakeconsul import (FAULTS, HEALTH, PERMISSION_DENIED, SILENT, agent_lost, huge,
                                story_agent_leaves, story_agent_restart, story_leader_lost,
                                story_restart_without_data, unprobed)
from testenv.fleet import Unharmed, addresses, holds
from testenv.wait import LONG, SLOW

REFUSALS = {"token unknown", "permission denied", "bad wait", "bad namespace", "not found"}


class FakeFleet:
    """Stubs as servers, entries for all of them in a fake Consul, a watch."""

    def __init__(self, env, n=4, wait="1s"):
        self.env, self.fake = env, env.fake_consul()
        self.stubs = [env.stub() for _ in range(n)]
        self.entries = [entry(s.address) for s in self.stubs]
        self.fake.set_health(self.entries)
        self.config = env.consul_config({"addr": self.fake.addr, "wait": wait}, self.stubs)
        self.state = env.state()
        self.watch = env.watch(self.config)
        self.await_ring(self.stubs)

    def is_ring(self, servers):
        return self.state.members() == addresses(servers)

    def await_ring(self, servers, timeout=5):
        wait_until(lambda: self.is_ring(servers), timeout,
                   f"the ring to be {addresses(servers)}")
        assert self.state.is_checked()

    def say(self, *changes):
        """The entries, each as a function of its old self where one is given."""
        self.fake.set_health([c(e) if c else e for e, c in zip(self.entries, changes)] +
                             self.entries[len(changes):])

    def asked(self):
        return self.fake.asked(HEALTH)

    def follows(self, timeout=6):
        """Within the longest back-off it sees what has changed."""
        self.say(drained)
        self.await_ring(self.stubs[1:], timeout)
        self.say()
        self.await_ring(self.stubs, timeout)


@pytest.fixture
def fleet(env):
    return FakeFleet(env)


def address(e):
    return f"{e['Service']['Address']}:{e['Service']['Port']}"


def failing(e):
    return entry(address(e), "critical")


def warning(e):
    return entry(address(e), "warning")


def drained(e):
    return entry(address(e), maintenance=True)


# ---- no answer at all ----------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_an_error_keeps_the_ring_and_backs_off(fleet, name):
    with Unharmed(fleet.state):
        fleet.fake.always(HEALTH, FAULTS[name])
        wait_until(lambda: "Consul lost" in fleet.watch.log(), 5, "the complaint")
        n = len(fleet.asked())
        holds(lambda: fleet.is_ring(fleet.stubs), 1)
        if name not in REFUSALS and name != "rate limited":
            wait_until(lambda: fleet.asked()[n:], 5, "another try")
        later = fleet.asked()[n:]
        assert all("index" not in r.query for r in later), "an error's index is none"
        if name in REFUSALS or name == "rate limited":
            assert not later
        else:
            assert 1 <= len(later) <= 8
        assert fleet.watch.log().count("Consul lost") == 1, "said once"
        fleet.fake.clear()
    if LONG and name not in REFUSALS and name != "rate limited":
        fleet.follows()
        assert "Consul is back" in fleet.watch.log()


@pytest.mark.parametrize("answer, least", [
    (Answer(429, b"later", "", {"Retry-After": "2"}), 2),
    (Answer(503, b"later", "", {"Retry-After": "1"}), 1),
])
def test_retry_after_is_heeded(fleet, answer, least):
    fleet.fake.script(HEALTH, answer, answer)
    wait_until(lambda: not fleet.fake.left(HEALTH), 10, "both answers to be fetched")
    first, second, third = wait_until(lambda: len(fleet.asked()) >= 4 and
                                      [r.at for r in fleet.asked()[-3:]], 10, "a third")
    assert second - first >= least or third - second >= least
    fleet.follows()


def test_a_refused_one_asks_again_on_HUP(fleet):
    fleet.fake.always(HEALTH, PERMISSION_DENIED)
    wait_until(lambda: "Permission denied" in fleet.watch.log(), 5, "the complaint")
    fleet.fake.clear()
    fleet.watch.signal(1)
    fleet.follows()


def test_a_server_that_accepts_and_says_nothing(fleet):
    """The request is given up some time after its wait."""
    with Unharmed(fleet.state):
        fleet.fake.script(HEALTH, SILENT)
        wait_until(lambda: not fleet.fake.left(HEALTH), 5, "the silence")
        wait_until(lambda: "Consul lost" in fleet.watch.log(), 20, "it to be given up")
    fleet.follows()


def test_nobody_listens(fleet):
    with Unharmed(fleet.state):
        fleet.fake.down()
        holds(lambda: fleet.is_ring(fleet.stubs), 2)
        fleet.fake.up()
    fleet.follows()


def rss_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024


def test_a_hundred_megabytes_are_not_read(fleet):
    with Unharmed(fleet.state):
        fleet.fake.script(HEALTH, huge(100))
        wait_until(lambda: "Consul lost" in fleet.watch.log(), 10, "the complaint")
    assert rss_mb(fleet.watch.pid) < 120 * SLOW
    fleet.follows()


def test_a_member_in_an_error_is_no_member(fleet):
    """The body of a 500 may look like anything."""
    with Unharmed(fleet.state):
        fleet.fake.script(HEALTH, Answer(500, [entry("127.0.0.1:9")], 7))
        wait_until(lambda: "Consul lost" in fleet.watch.log(), 5, "the complaint")
    fleet.follows()


# ---- indices -------------------------------------------------------------------------


def test_an_index_that_goes_back_is_used_and_then_forgotten(fleet):
    wait_until(lambda: any("index" in r.query for r in fleet.asked()), 5, "a blocking query")
    n = len(fleet.asked())
    rest = fleet.entries[1:]
    fleet.fake.script(HEALTH, Answer(body=[drained(fleet.entries[0]), *rest], index=3))
    # Not by the ring of a moment: the next answer, soon after, takes it back.
    out = fleet.stubs[0].address
    wait_until(lambda: any(out in change["removed"] for change in fleet.state.load()["history"]),
               2, f"{out} to be taken out")
    wait_until(lambda: len(fleet.asked()) > n, 5, "the next request")
    assert "index" not in fleet.asked()[n].query
    fleet.await_ring(fleet.stubs, 3)


def test_an_early_answer_without_news_starts_anew(env):
    """As a restored snapshot does: the same index, before the wait is over."""
    fleet = FakeFleet(env, wait="10s")
    wait_until(lambda: "index" in fleet.asked()[-1].query, 5, "a blocking query")
    n, index = len(fleet.asked()), int(fleet.asked()[-1].query["index"])
    with Unharmed(fleet.state):
        fleet.fake.script(HEALTH, Answer(body=fleet.entries, index=index))
        wait_until(lambda: len(fleet.asked()) > n, 5, "the next request")
        assert "index" not in fleet.asked()[n].query
    fleet.fake.set_health([drained(fleet.entries[0]), *fleet.entries[1:]], index=2)
    fleet.fake.script(HEALTH, Answer(body=fleet.entries, index=index))
    fleet.await_ring(fleet.stubs[1:], 3)


def test_a_late_answer_without_news_goes_on_waiting(fleet):
    wait_until(lambda: len([r for r in fleet.asked() if "index" in r.query]) >= 3, 10,
               "three waits of a second")
    assert ["index" in r.query for r in fleet.asked()][1:] == [True] * (
        len(fleet.asked()) - 1)
    assert all(r.query["wait"] == "1000ms" for r in fleet.asked()[1:])


def requests_in(fleet, seconds):
    n, began = len(fleet.asked()), time.monotonic()
    holds(lambda: fleet.is_ring(fleet.stubs), seconds)
    return (len(fleet.asked()) - n) / (time.monotonic() - began)


def test_fast_wake_ups_are_rate_limited(fleet):
    stop = threading.Event()

    def churn():
        while not stop.wait(0.01):
            fleet.say()

    thread = threading.Thread(target=churn, daemon=True)
    thread.start()
    with Unharmed(fleet.state):
        assert 1 <= requests_in(fleet, 3) <= 11
    stop.set()
    thread.join()
    fleet.follows()


def test_early_wake_ups_without_end_are_rate_limited(fleet):
    index = int(wait_until(lambda: fleet.asked()[-1].query.get("index"), 5))
    with Unharmed(fleet.state):
        fleet.fake.always(HEALTH, Answer(body=fleet.entries, index=index))
        assert 1 <= requests_in(fleet, 3) <= 11


# ---- what the entries say ------------------------------------------------------------


def test_an_empty_list_keeps_the_ring_and_a_dead_server_still_leaves(fleet):
    with Unharmed(fleet.state):
        fleet.fake.set_health([])
        holds(lambda: fleet.is_ring(fleet.stubs), 3)
    fleet.stubs[0].stop()
    fleet.await_ring(fleet.stubs[1:], 4)
    fleet.fake.set_health(fleet.entries[1:])
    fleet.await_ring(fleet.stubs[1:], 4)


def test_one_that_is_missing_was_deregistered(fleet):
    fleet.fake.set_health(fleet.entries[1:])
    fleet.await_ring(fleet.stubs[1:], 3)


def test_most_of_them_vanish_one_by_one(fleet):
    """An agent's end comes in steps of milliseconds: the first steps are no majority."""
    with Unharmed(fleet.state):
        for n in range(1, 5):
            fleet.fake.set_health(fleet.entries[n:])
            time.sleep(0.015)
        holds(lambda: fleet.is_ring(fleet.stubs), 3)
    fleet.fake.set_health(fleet.entries)
    fleet.follows()


def test_maintenance_takes_out_at_once(fleet):
    fleet.say(drained)
    fleet.await_ring(fleet.stubs[1:], 0.5)
    assert fleet.state.server(fleet.stubs[0].address)["intent"] == "draining"
    fleet.say(drained, lambda e: entry(address(e), node_maintenance=True))
    fleet.await_ring(fleet.stubs[2:], 0.5 + 0.3)


def test_one_that_was_never_probed_is_held_by_our_own_check(fleet):
    with Unharmed(fleet.state):
        fleet.say(unprobed, unprobed, unprobed, unprobed)
        holds(lambda: fleet.is_ring(fleet.stubs), 2)
    fleet.stubs[0].stop()
    fleet.await_ring(fleet.stubs[1:], 3)


def test_a_new_one_that_was_never_probed_waits(env, fleet):
    new = env.stub()
    with Unharmed(fleet.state):
        fleet.fake.set_health([*fleet.entries, unprobed(entry(new.address))])
        wait_until(lambda: fleet.state.server(new.address), 3, "it to be shown")
        holds(lambda: fleet.is_ring(fleet.stubs), 2)
    fleet.fake.set_health([*fleet.entries, entry(new.address)])
    fleet.await_ring([*fleet.stubs, new], 3)


@pytest.mark.skipif(not LONG, reason="takes half a minute")
def test_a_new_one_that_is_never_probed_joins_after_half_a_minute(env, fleet):
    """Some agents hide what their checks say; our own check counts then."""
    new = env.stub()
    fleet.fake.set_health([*fleet.entries, unprobed(entry(new.address))])
    fleet.await_ring([*fleet.stubs, new], 40)


def test_one_whose_agent_is_lost_is_held_by_our_own_check(fleet):
    with Unharmed(fleet.state):
        fleet.say(agent_lost, agent_lost)
        holds(lambda: fleet.is_ring(fleet.stubs), 2)
    fleet.stubs[0].stop()
    fleet.await_ring(fleet.stubs[1:], 3)


def test_one_whose_agent_is_lost_and_that_hangs_leaves_too(fleet):
    fleet.stubs[0].hang = True
    fleet.say(agent_lost)
    fleet.await_ring(fleet.stubs[1:], 6)


def test_one_that_fails_leaves_and_all_that_fail_freeze(fleet):
    fleet.say(failing)
    fleet.await_ring(fleet.stubs[1:], 1)
    fleet.say(failing, failing, failing, failing)
    wait_until(lambda: fleet.state.load()["frozen"], 3, "the freeze")
    fleet.await_ring(fleet.stubs)


def test_an_overloaded_one_stays_and_a_new_one_joins(env, fleet):
    new = env.stub()
    with Unharmed(fleet.state):
        fleet.say(warning)
        holds(lambda: fleet.is_ring(fleet.stubs), 1)
    fleet.fake.set_health([warning(fleet.entries[0]), *fleet.entries[1:], entry(new.address)])
    fleet.await_ring([*fleet.stubs, new], 2)
    fleet.fake.set_health([*fleet.entries, warning(entry(new.address))])
    holds(lambda: fleet.is_ring([*fleet.stubs, new]), 0.7)


def test_the_order_of_the_list_means_nothing(fleet):
    with Unharmed(fleet.state):
        for _ in range(3):
            fleet.entries.reverse()
            fleet.say()
            holds(lambda: fleet.is_ring(fleet.stubs), 0.4)


@pytest.mark.parametrize("story", [
    story_agent_restart, story_agent_leaves, story_restart_without_data, story_leader_lost])
def test_a_story_that_harms_no_ring(fleet, story):
    with Unharmed(fleet.state):
        answers = story(fleet.entries)
        fleet.fake.script(HEALTH, *answers)
        wait_until(lambda: not fleet.fake.left(HEALTH), 20, "the story's end")
        holds(lambda: fleet.is_ring(fleet.stubs), 1.5)
    fleet.follows()


def test_what_is_no_server_is_left_out(fleet):
    odd = [
        {}, {"Service": None}, {"Service": {}}, {"Service": []}, None, 5, "text", [],
        {"Service": {"Address": "10.0.0.1", "Port": 70000}},
        {"Service": {"Address": "10.0.0.1", "Port": -1}},
        {"Service": {"Address": "10.0.0.1", "Port": 0}},
        {"Service": {"Address": "10.0.0.1", "Port": "80"}},
        {"Service": {"Address": "10.0.0.1", "Port": 1e300}},
        {"Service": {"Address": "a" * 5000, "Port": 80}},
        {"Service": {"Address": "a\0b", "Port": 80}},
        {"Service": {"Address": "", "Port": 80}, "Node": {"Address": ""}},
        {"Service": {"Address": "a b", "Port": 80}, "Checks": "none"},
    ]
    with Unharmed(fleet.state):
        fleet.fake.set_health([*odd, *fleet.entries, *fleet.entries])
        holds(lambda: len(fleet.state.load()["servers"]) == 4, 1)
    fleet.follows()


# ---- many ----------------------------------------------------------------------------


def test_a_thousand_servers(env):
    fleet = FakeFleet(env)
    many = [entry(f"127.1.{i // 250}.{i % 250 + 1}:9091") for i in range(996)]
    whole = sorted(addresses(fleet.stubs) + [address(e) for e in many])
    fleet.fake.set_health([*fleet.entries, *many])
    fleet.await_ring(whole, 15)
    fleet.fake.set_health([*map(failing, fleet.entries[:1]), *fleet.entries[1:], *many])
    fleet.await_ring([a for a in whole if a != fleet.stubs[0].address], 5)
    fleet.fake.set_health([*fleet.entries, *many])
    fleet.await_ring(whole, 5)
    with Unharmed(fleet.state):
        fleet.fake.set_health([*fleet.entries, *many, entry("127.2.0.1:9091")])
        wait_until(lambda: "1001 servers" in fleet.watch.log(), 5, "the complaint")
