# SPDX-License-Identifier: Apache-2.0
"""Several frontends, each with its own watch and state file, come to one ring."""

import json
import time

import pytest

from testenv import wait_until
from testenv.fleet import (LOCK, RING, Frontend, QuietMoments, Unharmed, addresses,
                           await_agreement, decider, holds, service_id)
from testenv.front import Front
from testenv.wait import LONG, SLOW

UNTENDED = {"groups": "off"}  # a pass writes to Consul; who is dead is not cleaned
NO_KV = 'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }'


@pytest.fixture
def consul(env):
    return env.consul()


@pytest.fixture
def gateways(env, consul):
    found = env.pushgateways(4)
    for gateway in found:
        consul.register(gateway.address)
    consul.wait_passing(found)
    return found


def frontends(env, consul, gateways, n=2, **sections):
    return [Frontend(env, name, consul, gateways, **sections) for name in "abc"[:n]]


@pytest.fixture
def pair(env, consul, gateways):
    both = frontends(env, consul, gateways)
    await_agreement(both, 4)
    return both


def ring(consul):
    return json.loads(consul.kv(RING))


def published(consul):
    """The members that the ring in Consul has."""
    return [m["address"] for m in ring(consul)["members"]]


def ring_index(consul):
    return consul.get(f"/v1/kv/{RING}")[0]["ModifyIndex"]


def split(consul, both):
    """(the decider, the other one)"""
    first = decider(consul, both)
    return first, next(f for f in both if f is not first)


def end_session(consul):
    """Of who holds the lock, as if it had expired."""
    consul.put(f"/v1/session/destroy/{consul.get(f'/v1/kv/{LOCK}')[0]['Session']}")


# ---- one ring ------------------------------------------------------------------------


def test_three_frontends_have_one_digest_at_every_quiet_moment(env, consul, gateways):
    three = frontends(env, consul, gateways, 3)
    await_agreement(three, 4)
    with QuietMoments(three) as quiet:
        gateways[0].kill9()
        await_agreement(three, 3)
        gateways[1].kill9()
        gateways[2].kill9()
        await_agreement(three, 1)
        for gateway in gateways[:3]:
            gateway.start()
        await_agreement(three, 4)
        consul.maintenance(service_id(gateways[3]))
        await_agreement(three, 3)
        consul.register(gateways[0].address, Meta={"dshard-weight": "2"})
        wait_until(lambda: all(f.state.server(gateways[0].address)["weight"] == 2
                               for f in three), 5, "the weight")
        await_agreement(three, 3)
    assert quiet.n_quiet > 20
    assert published(consul) == three[0].state.members()
    keys = consul.kv_keys("dshard/pushgateway/frontends/")
    assert sorted(k[-8:] for k in keys) == sorted(f.key for f in three)
    digests = {json.loads(consul.kv(k))["digest"] for k in keys}
    assert digests == {three[0].digest()}


def test_pushes_through_both_frontends_meet_on_one_server(env, pair):
    fronts = [Front(env, f.config) for f in pair]
    for i in range(30):
        path = f"/metrics/job/j{i}"
        assert fronts[0].owner(path) == fronts[1].owner(path)


def test_a_drain_reaches_both_within_half_a_second(env, consul, gateways, pair):
    fronts = [Front(env, f.config) for f in pair]
    path = fronts[0].path_of(gateways[0].address)
    began = time.monotonic()
    consul.maintenance(service_id(gateways[0]))
    wait_until(lambda: all(f.owner(path) != gateways[0].address for f in fronts), 5,
               "the drain", every=0.005)
    assert time.monotonic() - began <= 0.5 * SLOW


WAYS = [("stopped", "decider"), ("cut", "follower"), ("silent", "decider")]
MORE_WAYS = [("stopped", "follower"), ("cut", "decider"), ("silent", "follower")]


@pytest.mark.parametrize("how, who", WAYS + (MORE_WAYS if LONG else []))
def test_a_server_that_flaps_before_only_one_of_them(env, consul, gateways, how, who):
    """The other one is blind meanwhile; then both see, and agree."""
    pair = frontends(env, consul, gateways, watch=UNTENDED)
    await_agreement(pair, 4)
    first, second = split(consul, pair)
    blind = first if who == "decider" else second
    sees = second if who == "decider" else first
    if how == "stopped":
        blind.watch.pause()
    else:
        blind.relay.cut("refuse" if how == "cut" else "silence")
    for _ in range(3):
        gateways[0].kill9()
        wait_until(lambda: sees.state.server(gateways[0].address)["health"] == "down", 5,
                   "it to be down")
        gateways[0].start()
        wait_until(lambda: sees.state.server(gateways[0].address)["health"] != "down", 5,
                   "it to be back")
    if how == "stopped":
        blind.watch.resume()
    else:
        blind.relay.mend()
    began = time.monotonic()
    with QuietMoments([sees]):
        await_agreement(pair, 4, 15)
    with QuietMoments(pair):
        assert time.monotonic() - began <= 10 * SLOW + 1
        holds(lambda: True, 1.5)
    assert len(sees.state.server(gateways[0].address)["flaps"]) == 3


def test_frontends_with_other_replicas_apply_the_deciders(env, consul, gateways):
    first = Frontend(env, "a", consul, gateways, ring={"replicas": 300})
    decider(consul, [first])
    second = Frontend(env, "b", consul, gateways, ring={"replicas": 700})
    await_agreement([first, second], 4)
    assert [f.state.load()["replicas"] for f in (first, second)] == [300, 300]
    assert ring(consul)["replicas"] == 300
    assert all(f.state.is_checked() for f in (first, second))
    first.watch.stop()
    wait_until(lambda: second.state.load()["replicas"] == 700, 5, "the new decider's")
    first.watch.start()
    await_agreement([first, second], 4)
    assert first.state.load()["replicas"] == 700


def test_a_newcomer_follows_and_changes_nothing(env, consul, gateways, pair):
    with Unharmed(pair[0].state), Unharmed(pair[1].state):
        index = ring_index(consul)
        third = Frontend(env, "c", consul, gateways)
        await_agreement([*pair, third], 4)
        assert ring_index(consul) == index
        assert not third.decides(consul)


# ---- who decides ---------------------------------------------------------------------


def new_decider_within(consul, both, gone, seconds):
    rest = [f for f in both if f is not gone]
    began = time.monotonic()
    found = decider(consul, rest, seconds + 5)
    assert time.monotonic() - began <= seconds * SLOW
    return found


def test_a_killed_decider_is_replaced_within_30_seconds(consul, gateways, pair):
    first, second = split(consul, pair)
    with Unharmed(second.state):
        first.watch.kill9()
        assert new_decider_within(consul, pair, first, 30) is second
    gateways[0].kill9()
    wait_until(lambda: published(consul) == addresses(gateways[1:]), 5, "its ring")
    assert second.state.members() == addresses(gateways[1:])
    first.watch.start()
    await_agreement(pair, 3)
    assert second.decides(consul)


def test_servers_that_die_while_nobody_decides_leave_at_once(consul, gateways, pair):
    first, second = split(consul, pair)
    first.watch.kill9()
    gateways[0].kill9()
    wait_until(lambda: second.state.members() == addresses(gateways[1:]), 2.5, "its removal")
    end_session(consul)
    holds(lambda: second.state.members() == addresses(gateways[1:]), 3)
    assert published(consul) == addresses(gateways[1:])


def test_a_decider_that_ends_is_replaced_within_3_seconds(consul, gateways, pair):
    first, second = split(consul, pair)
    with Unharmed(second.state):
        first.watch.stop()
        assert new_decider_within(consul, pair, first, 3) is second
    consul.maintenance(service_id(gateways[0]))
    wait_until(lambda: published(consul) == addresses(gateways[1:]), 2, "its ring")


def test_a_decider_that_slept_does_not_overwrite_its_successors_ring(consul, gateways, pair):
    first, second = split(consul, pair)
    consul.maintenance(service_id(gateways[0]))  # it shall have something to say
    await_agreement(pair, 3)
    first.watch.pause()
    end_session(consul)
    wait_until(lambda: second.decides(consul), 5, "the successor")
    consul.maintenance(service_id(gateways[1]))
    wait_until(lambda: published(consul) == addresses(gateways[2:]), 5, "its ring")
    index = ring_index(consul)
    first.watch.resume()
    holds(lambda: ring_index(consul) == index and second.decides(consul), 2)
    await_agreement(pair, 2)
    consul.maintenance(service_id(gateways[0]), False)
    await_agreement(pair, 3)
    assert ring(consul)["by"].endswith(second.key)


def test_a_lock_that_is_deleted_by_hand_is_taken_again(consul, gateways, pair):
    with Unharmed(pair[0].state), Unharmed(pair[1].state):
        consul.kv_delete(LOCK)
        decider(consul, pair)
    consul.maintenance(service_id(gateways[0]))
    await_agreement(pair, 3)
    assert published(consul) == addresses(gateways[1:])


def test_a_lock_that_is_overwritten_by_hand_stays_with_its_holder(consul, gateways, pair):
    consul.kv_put(LOCK, "hello")
    consul.maintenance(service_id(gateways[0]))
    await_agreement(pair, 3)
    assert published(consul) == addresses(gateways[1:])


# ---- what stands in the key ----------------------------------------------------------


GARBAGE = [
    None, "", "garbage", "[]", "{}", "null", '{"format": 1}',
    '{"format":1,"digest":"0000000000000000","members":[],"replicas":500,"by":"x"}',
    '{"format":1,"digest":"0000000000000000","members":[{"address":"1.2.3.4:5","weight":1}],'
    '"replicas":500,"by":"x","frozen":null}',
]


def test_a_ring_that_is_none_is_replaced_and_nobody_follows_it(consul, gateways, pair):
    with Unharmed(pair[0].state), Unharmed(pair[1].state):
        for text in GARBAGE:
            if text is None:
                consul.kv_delete(RING)
            else:
                consul.kv_put(RING, text)
            wait_until(lambda t=text: consul.kv(RING) not in (None, t), 5, "the true one")
            assert published(consul) == addresses(gateways), text
    consul.maintenance(service_id(gateways[0]))
    await_agreement(pair, 3, 3)


def test_the_whole_store_is_deleted(consul, gateways, pair):
    with Unharmed(pair[0].state), Unharmed(pair[1].state):
        consul.kv_delete("dshard/", recurse=True)
        decider(consul, pair)
        wait_until(lambda: consul.kv(RING), 5, "the ring")
    consul.maintenance(service_id(gateways[0]))
    await_agreement(pair, 3)


def test_a_store_that_is_forbidden_leaves_each_its_own_view(env):
    consul = env.consul(acl=True)
    gateways = env.pushgateways(3)
    for gateway in gateways:
        consul.register(gateway.address)
    consul.wait_passing(gateways)
    both = frontends(env, consul, gateways, start=False,
                     consul_server={"token": consul.token(NO_KV)})
    for frontend in both:
        frontend.watch.start(wait=False)
    await_agreement(both, 3)
    gateways[0].kill9()
    await_agreement(both, 2, 4)
    gateways[0].start()
    await_agreement(both, 3)
    consul.maintenance(service_id(gateways[0]))
    await_agreement(both, 2, 2)


def test_one_publication_is_one_write(env, consul, gateways):
    """Neither is a quiet fleet noisy: a session's renewals write nothing."""
    first = Frontend(env, "a", consul, gateways, watch=UNTENDED)
    decider(consul, [first])
    await_agreement([first], 4)
    before = consul.raft_index()
    consul.maintenance(service_id(gateways[0]))
    await_agreement([first], 3)
    counted = consul.raft_index() - before
    assert counted <= 3 + 1, "the maintenance, the ring, our digest, and the leader's barrier"
    before = consul.raft_index()
    holds(lambda: True, 3)
    assert consul.raft_index() - before <= 1
