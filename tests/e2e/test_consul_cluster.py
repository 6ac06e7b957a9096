# SPDX-License-Identifier: Apache-2.0
"""`watch` with three Consul servers and client agents: leaders, quorums and agents go, the
ring stays."""

import time

import pytest

from testenv import wait_until
from testenv.fleet import Fleet, Unharmed, addresses, holds
from testenv.wait import LONG, SLOW



@pytest.fixture
def cluster(env):
    """Agent 0 has the services, agent 1 is whom watch asks."""
    return env.consul_cluster(3, 2)


@pytest.fixture
def fleet(env, cluster):
    return Fleet(env, cluster.clients[0], 5, asks=cluster.clients[1])


def await_consul(fleet, cluster):
    """Until it answers again through the agent that watch asks; the time."""
    cluster.leader()
    wait_until(cluster.clients[1].is_ready, 30, "Consul to answer")
    return time.monotonic()


def leave(agent, cluster):
    """TERM: the node and all its services are gone from the catalog, properly."""
    agent.term()

    def is_gone():
        left = [e for e in cluster.servers[0].health() if e["Node"]["Node"] == agent.node]
        if left:  # a last sync on its way out can overtake its farewell
            cluster.servers[0].put("/v1/catalog/deregister", {"Node": agent.node})
        return not left

    wait_until(is_gone, 10, f"{agent.node} to be gone")


def test_a_killed_leader_harms_no_ring(fleet, cluster):
    with Unharmed(fleet.state):
        leader = cluster.leader()
        leader.kill9()
        wait_until(lambda: "Consul lost" in fleet.watch.log(), 10, "the loss")
        back = await_consul(fleet, cluster)
    fleet.drain(fleet.gateways[0])
    fleet.await_ring(fleet.gateways[1:])
    assert time.monotonic() - back <= 10 * SLOW
    leader.start()
    cluster.wait_nodes(5)
    fleet.await_ring(fleet.gateways[1:])


def test_a_lost_quorum_harms_no_ring(fleet, cluster):
    victim = fleet.gateways[4]
    with Unharmed(fleet.state):
        for server in cluster.servers[:2]:
            server.kill9()
        holds(lambda: fleet.is_ring(fleet.gateways), 30 if LONG else 5)
    if LONG:
        victim.kill9()  # our own checks see it, Consul cannot
        fleet.await_ring([g for g in fleet.gateways if g is not victim], 5)
        victim.start()
    with Unharmed(fleet.state):
        for server in cluster.servers[:2]:
            server.start(wait=False)
        back = await_consul(fleet, cluster)
    fleet.drain(fleet.gateways[0])
    wait_until(lambda: fleet.gateways[0].address not in fleet.state.members(), 10)
    assert time.monotonic() - back <= 10 * SLOW
    fleet.drain(fleet.gateways[0], False)
    fleet.await_ring(fleet.gateways, 20)


def test_an_agent_that_is_killed_and_restarted_changes_nothing(fleet, cluster):
    with Unharmed(fleet.state):
        for _ in range(2):
            fleet.agent.kill9()
            fleet.agent.start()
            fleet.agent.wait_passing(fleet.gateways)
        holds(lambda: fleet.is_ring(fleet.gateways), 3)
    fleet.follows_within(3)


def test_an_agent_that_stays_away_changes_nothing_but_a_dead_server_leaves(fleet, cluster):
    victim, rest = fleet.gateways[0], fleet.gateways[1:]
    with Unharmed(fleet.state):
        fleet.agent.kill9()
        wait_until(lambda: all(
            c["Status"] == "critical" for e in cluster.clients[1].health()
            for c in e["Checks"] if c["CheckID"] == "serfHealth"), 30, "serf to notice")
        holds(lambda: fleet.is_ring(fleet.gateways), 300 if LONG else 3)
    victim.kill9()
    fleet.await_ring(rest, 3)
    why = fleet.server(victim)["why"]
    assert "agent" in why and "refused" in why.lower(), why
    victim.start()
    holds(lambda: fleet.is_ring(rest), 2)  # our own check brings nobody back
    fleet.agent.start()
    fleet.await_ring(fleet.gateways, 20)


def test_an_agent_that_leaves_takes_nobody_along(fleet, cluster):
    victim, rest = fleet.gateways[0], fleet.gateways[1:]
    with Unharmed(fleet.state):
        leave(fleet.agent, cluster)
        wait_until(lambda: fleet.watch.log().count("vanished from Consul") >= 5, 5,
                   "watch to notice")
        holds(lambda: fleet.is_ring(fleet.gateways), 4)
    victim.kill9()
    fleet.await_ring(rest, 4)
    with_it_back = Unharmed(fleet.state)
    with with_it_back:
        fleet.agent.start()
        fleet.agent.wait_passing(rest)
        holds(lambda: fleet.is_ring(rest), 1)
    victim.start()
    fleet.await_ring(fleet.gateways)


def test_the_watchs_own_agent_goes(env, fleet, cluster):
    with Unharmed(fleet.state):
        cluster.clients[1].kill9()
        holds(lambda: fleet.is_ring(fleet.gateways), 2)
        cluster.clients[1].start()
        back = time.monotonic()
    fleet.drain(fleet.gateways[0])
    wait_until(lambda: fleet.state.members() == addresses(fleet.gateways[1:]), 15)
    assert time.monotonic() - back <= 10 * SLOW


def test_one_of_two_agents_leaves(env, cluster):
    """Most of the fleet with it: that is no word about them.  The fewer with the other one
    count as deregistered."""
    both = cluster.clients
    fleet = Fleet(env, both[0], 2, asks=cluster.servers[0])
    more = env.pushgateways(3)
    for gateway in more:
        both[1].register(gateway.address)
    fleet.await_ring([*fleet.gateways, *more])
    with Unharmed(fleet.state):
        leave(both[1], cluster)
        holds(lambda: fleet.is_ring([*fleet.gateways, *more]), 3)
        both[1].start()
        both[1].wait_passing(more)
        holds(lambda: fleet.is_ring([*fleet.gateways, *more]), 1)
    if LONG:
        leave(both[0], cluster)
        fleet.await_ring(more, 10)
