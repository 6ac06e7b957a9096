# SPDX-License-Identifier: Apache-2.0
"""A watch that Consul shows nobody decides for nobody; what else may spoil an agreement."""

import json
import time

import pytest

from testenv import wait_until
from testenv.fleet import (LOCK, RING, Frontend, Unharmed, addresses, await_agreement, decider,
                           holds, service_id)
from testenv.wait import SLOW
from test_consul_watch import POLICY, AclFleet

NO_NODES = ('service_prefix "" { policy = "write" } key_prefix "dshard/" { policy = "write" } '
            'session_prefix "" { policy = "write" }')
NO_SESSION = ('service_prefix "" { policy = "write" } node_prefix "" { policy = "read" } '
              'key_prefix "dshard/" { policy = "write" }')


def fleet(env, n=3, **options):
    consul, gateways = env.consul(**options), env.pushgateways(n)
    for gateway in gateways:
        consul.register(gateway.address)
    consul.wait_passing(gateways)
    return consul, gateways


def frontend(env, consul, name, gateways, rules, start=True):
    return Frontend(env, name, consul, gateways, relay=False, start=start,
                    consul_server={"token": consul.token(rules), "wait": "1s"})


def published(consul):
    return [m["address"] for m in json.loads(consul.kv(RING))["members"]]


def test_who_sees_nobody_takes_no_lock_and_hurts_nobody(env):
    consul, gateways = fleet(env, acl=True)
    blind = frontend(env, consul, "a", gateways, NO_NODES, start=False)
    blind.watch.start(wait=False)
    wait_until(lambda: "is=alone" in blind.watch.log(), 10 * SLOW, "it to be alone")
    assert not consul.kv(LOCK) and not consul.kv(RING)
    seeing = frontend(env, consul, "b", gateways, POLICY)
    wait_until(lambda: seeing.decides(consul), 5 * SLOW, "the other to decide")
    await_agreement([blind, seeing], 3)
    assert published(consul) == addresses(gateways)


def test_a_fresh_watch_keeps_the_published_ring_when_the_list_is_empty(env):
    cluster = env.consul_cluster(1, 1)
    agent, server = cluster.clients[0], cluster.servers[0]
    gateways = env.pushgateways(3)
    for gateway in gateways:
        agent.register(gateway.address)
    agent.wait_passing(gateways)
    old = Frontend(env, "b", server, gateways, relay=False)
    await_agreement([old], 3)
    wait_until(lambda: server.kv(RING), 5, "the published ring")
    old.watch.stop()
    agent.term()  # it leaves, and takes its services out of the catalog; they live
    wait_until(lambda: not server.health(), 10 * SLOW, "an empty list")
    fresh = Frontend(env, "a", server, gateways, relay=False)
    wait_until(lambda: fresh.state.members() == addresses(gateways), 10 * SLOW, "the ring")
    with Unharmed(old.state):
        old.watch.start()
        holds(lambda: published(server) == addresses(gateways), 3)
    assert fresh.state.members() == addresses(gateways)


def test_once_without_rights_leaves_the_published_ring_alone(env):
    consul, gateways = fleet(env, acl=True)
    seeing = frontend(env, consul, "b", gateways, POLICY)
    await_agreement([seeing], 3)
    wait_until(lambda: consul.kv(RING), 5, "the published ring")
    before = consul.kv(RING)
    seeing.watch.stop()
    blind = frontend(env, consul, "a", gateways, NO_NODES, start=False)
    env.dshard("watch", "--once", config=blind.config)
    assert consul.kv(RING) == before


def test_a_decider_that_goes_blind_gives_the_lock_back(env):
    consul, gateways = fleet(env, acl=True)
    file = env.write("token", consul.token(POLICY))
    first = Frontend(env, "a", consul, gateways, relay=False,
                     consul_server={"token_file": file, "wait": "1s"})
    decider(consul, [first])
    second = frontend(env, consul, "b", gateways, POLICY)
    await_agreement([first, second], 3)
    old = open(file, encoding="ascii").read()
    env.write("token", consul.token(NO_NODES))
    accessor = consul.get("/v1/acl/token/self", token=old)["AccessorID"]
    assert consul.request("DELETE", f"/v1/acl/token/{accessor}").status == 200
    wait_until(lambda: second.decides(consul), 25 * SLOW, "the other to decide")
    consul.maintenance(service_id(gateways[0].address))
    await_agreement([first, second], 2)


def test_a_frontends_entry_is_written_again(env):
    consul, gateways = fleet(env)
    both = [Frontend(env, name, consul, gateways, relay=False) for name in "ab"]
    await_agreement(both, 3)

    def entries():
        return [k for k in consul.kv_keys() if "/frontends/" in k]

    wait_until(lambda: len(entries()) == 2, 5, "both entries")
    names = entries()
    consul.kv_delete("dshard/", recurse=True)
    wait_until(lambda: entries() == names, 10 * SLOW, "the entries to come back")
    for name in names:
        consul.kv_put(name, '{"digest": "0000000000000000"}')
    wait_until(lambda: env.dshard("status", config=both[0].config).rc == 0, 10 * SLOW,
               "all to be well again")


def test_a_session_that_is_forbidden_is_told(env):
    consul, gateways = fleet(env, acl=True)
    alone = frontend(env, consul, "a", gateways, NO_SESSION, start=False)
    alone.watch.start(wait=False)
    wait_until(lambda: "no agreement with other watches" in alone.watch.log(), 5 * SLOW, "it")
    assert "/v1/session/create: 403" in alone.watch.log()
    wait_until(lambda: alone.state.members() == addresses(gateways), 15 * SLOW, "a ring")
    status = env.dshard("status", config=alone.config)
    assert status.rc == 3 and "does not agree with others" in status.stdout


def test_an_empty_token_file_is_no_token(env):
    mine = AclFleet(env)
    good = mine.agent.token(POLICY)
    with Unharmed(mine.state):
        env.write("token", "")
        mine.revoke(mine.token)
        holds(lambda: mine.is_ring(mine.gateways), 2)
    env.write("token", good)
    mine.follows_within(10)


def test_many_drains_at_once_are_quick(env):
    consul, gateways = fleet(env, n=10)
    both = [Frontend(env, name, consul, gateways, relay=False) for name in "ab"]
    await_agreement(both, 10)
    for gateway in gateways[:9]:
        consul.maintenance(service_id(gateway.address))
    began = time.monotonic()
    for one in both:
        wait_until(lambda one=one: one.state.members() == [gateways[9].address], 5, "the last")
    assert time.monotonic() - began <= 0.5 * SLOW


@pytest.mark.parametrize("value", ['{"format": 2, "whatever": 1}'])
def test_a_ring_of_a_later_dshard_is_left_alone(env, value):
    consul, gateways = fleet(env)
    mine = Frontend(env, "a", consul, gateways, relay=False)
    await_agreement([mine], 3)
    with Unharmed(mine.state):
        consul.kv_put(RING, value)
        wait_until(lambda: "of a later dshard" in mine.watch.log(), 5 * SLOW, "it to be told")
        holds(lambda: consul.kv(RING) == value, 2)
