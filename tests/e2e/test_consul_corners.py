# SPDX-License-Identifier: Apache-2.0
"""Corners of the watch with Consul that were wrong once."""

import json
import signal
import uuid

import pytest

from testenv import wait_until
from testenv.fleet import LOCK, RING, Unharmed, addresses, holds, service_id
from test_consul_accord import consul, frontends, gateways, pair, published, split
from test_consul_faults import FakeFleet, failing, fleet
from test_consul_watch import POLICY, AclFleet

__all__ = ["consul", "fleet", "gateways", "pair"]
NO_NODES = 'service_prefix "" { policy = "write" } key_prefix "dshard/" { policy = "write" }'


def somebody_else_decides(fleet):
    """A session that is none of ours holds the lock, and never says anything."""
    fake, other = fleet.fake, str(uuid.uuid4())
    wait_until(lambda: fake.kv(RING), 5, "the ring")
    fleet.watch.stop()
    with fake.cond:
        fake._sessions[other] = {}
        fake._kv_write(LOCK, b'"other"')
        fake._kv[LOCK].update(session=other, lock=1)
    n = fake.count()
    fleet.watch.start()
    wait_until(lambda: any("index" in r.query and r.path.endswith("/lock")
                           for r in fake.requests[n:]), 5, "watch to have seen the lock")
    fleet.await_ring(fleet.stubs)


# test_consul_faults.py: "measured against the members of 30 s ago"
def test_more_than_half_in_steps_of_seconds_are_no_deregistrations(fleet):
    fleet.fake.set_health(fleet.entries[2:])
    fleet.await_ring(fleet.stubs[2:], 3)
    with Unharmed(fleet.state):
        fleet.fake.set_health(fleet.entries[3:])
        holds(lambda: fleet.is_ring(fleet.stubs[2:]), 2.5)


def test_a_dead_server_stays_out_until_another_decides(consul, gateways, pair):
    first, second = split(consul, pair)
    first.watch.kill9()
    gateways[0].kill9()
    wait_until(lambda: second.state.members() == addresses(gateways[1:]), 2.5, "its removal")
    holds(lambda: second.state.members() == addresses(gateways[1:]), 24)
    assert published(consul) == addresses(gateways[1:])


def test_without_consul_a_follower_takes_no_dead_server_back(env):
    fleet = FakeFleet(env)
    somebody_else_decides(fleet)
    fleet.fake.down()
    fleet.stubs[0].stop()
    fleet.await_ring(fleet.stubs[1:], 13)
    holds(lambda: fleet.is_ring(fleet.stubs[1:]), 12)


# test_consul_faults.py: "one that comes back is held for rejoin_after"
def test_a_follower_holds_one_that_comes_back(env):
    fleet = FakeFleet(env)
    fleet.config.set(ring={"rejoin_after": "5s"})
    somebody_else_decides(fleet)
    fleet.say(failing)
    fleet.await_ring(fleet.stubs[1:], 2)
    fleet.say()
    wait_until(lambda: fleet.state.server(fleet.stubs[0].address)["health"] == "held", 3)
    holds(lambda: fleet.is_ring(fleet.stubs[1:]), 3)


def test_an_insufficient_token_reads_as_nobody_and_keeps_the_ring(env):
    fleet = AclFleet(env)
    with Unharmed(fleet.state):
        env.write("token", fleet.agent.token(NO_NODES))
        fleet.revoke(fleet.token)
        wait_until(lambda: "node:read" in fleet.watch.log(), 10, "the complaint")
        holds(lambda: fleet.is_ring(fleet.gateways), 2)
    env.write("token", fleet.agent.token(POLICY))
    fleet.watch.signal(signal.SIGHUP)  # nothing else tells that this one is better
    fleet.follows_within(10)


def test_a_token_that_HUP_brings_is_the_accords_too(env):
    consul = env.consul(acl=True)
    gateways = env.pushgateways(2)
    for gateway in gateways:
        consul.register(gateway.address)
    consul.wait_passing(gateways)
    old = consul.token(POLICY)
    config = env.consul_config({"addr": consul.addr, "token": old, "wait": "1s"}, gateways)
    watch = env.watch(config)
    wait_until(lambda: consul.kv(RING), 5, "the ring")
    accessor = consul.get("/v1/acl/token/self", token=old)["AccessorID"]
    config.set(consul_server={"token": consul.token(POLICY)})
    watch.signal(signal.SIGHUP)
    wait_until(lambda: "configuration reloaded" in watch.log(), 5, "the reload")
    assert consul.request("DELETE", f"/v1/acl/token/{accessor}").status == 200
    consul.maintenance(service_id(gateways[0]))
    wait_until(lambda: [m["address"] for m in json.loads(consul.kv(RING))["members"]]
               == [gateways[1].address], 10, "the published ring to follow")
