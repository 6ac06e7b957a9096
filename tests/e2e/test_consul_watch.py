# SPDX-License-Identifier: Apache-2.0
"""`watch` with a real Consul: who leaves, who comes back, and what Consul's own troubles
must not do to the ring."""

import time

import pytest

from testenv import wait_until
from testenv.fleet import Fleet, Unharmed, addresses, holds, service_id
from testenv.front import Asker, Front
from testenv.wait import SLOW

INTERVAL = 1  # of the checks, as Consul's least

POLICY = """
    service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }
    key_prefix "dshard/" { policy = "write" } session_prefix "" { policy = "write" }
"""


@pytest.fixture
def consul(env):
    return env.consul()


@pytest.fixture
def fleet(env, consul):
    return Fleet(env, consul)


# ---- servers die and come back -------------------------------------------------------


def test_from_four_to_one_and_back(env, fleet):
    front, before = Front(env, fleet.config), fleet.state.load()
    gateways = fleet.gateways
    for victim in gateways[:3]:
        path = front.path_of(victim.address)
        victim.kill9()
        assert front.time_until_moved(path, victim.address,
                                      10 * SLOW) <= (INTERVAL + 1) * SLOW
    fleet.await_ring(gateways[3:])
    assert {front.owner(f"/metrics/job/{i}") for i in range(20)} == {gateways[3].address}
    for gateway in gateways[:3]:
        gateway.start()
    fleet.await_ring(gateways)
    assert fleet.state.load()["digest"] == before["digest"], "each has its old arc"
    flaps = [len(fleet.server(g)["flaps"]) for g in gateways]
    assert flaps == [1, 1, 1, 0]


def test_all_dead_freezes_the_ring_and_the_first_to_come_back_serves(env, fleet):
    front, before = Front(env, fleet.config), fleet.state.load()
    for gateway in fleet.gateways:
        gateway.kill9()
    wait_until(lambda: fleet.state.load()["frozen"], 10, "the freeze")
    assert fleet.state.load()["digest"] == before["digest"]
    assert front.owner() is not None
    fleet.gateways[1].start()
    fleet.await_ring(fleet.gateways[1:2])
    assert fleet.state.load()["frozen"] is None


def test_a_hung_server_leaves(env, fleet):
    front = Front(env, fleet.config)
    path = front.path_of(fleet.gateways[0].address)
    fleet.gateways[0].pause()
    assert front.time_until_moved(path, fleet.gateways[0].address,
                                  10 * SLOW) <= (INTERVAL + 1 + 1) * SLOW


# ---- what operators do ---------------------------------------------------------------


def test_a_drained_server_leaves_within_half_a_second_and_stays_in_sd(env, fleet):
    front, before, took = Front(env, fleet.config), fleet.state.load(), []
    for victim in fleet.gateways[:2]:
        path = front.path_of(victim.address)
        began = time.monotonic()
        fleet.drain(victim)
        wait_until(lambda p=path, v=victim: front.owner(p) != v.address, 5, "the drain",
                   every=0.005)
        took.append(time.monotonic() - began)
        assert fleet.server(victim)["intent"] == "draining"
    assert min(took) <= 0.5 * SLOW, took  # once: the machine may have been away meanwhile
    targets = [t for group in front.get("/sd").json() for t in group["targets"]]
    assert sorted(targets) == addresses(fleet.gateways)
    assert fleet.state.load()["history"][0]["cause"] == "operator"
    for victim in fleet.gateways[:2]:
        fleet.drain(victim, False)
    fleet.await_ring(fleet.gateways)
    assert fleet.state.load()["digest"] == before["digest"]


def test_a_whole_node_in_maintenance_freezes_nothing_but_drains(env, consul):
    other = env.consul(mode="client", host="127.0.0.2", ports=consul.ports,
                       join=["127.0.0.1"])
    fleet = Fleet(env, consul, 2)
    extra = env.pushgateway()
    other.register(extra.address)
    fleet.await_ring([*fleet.gateways, extra])
    other.put("/v1/agent/maintenance?enable=true&reason=x")
    fleet.await_ring(fleet.gateways, 2)
    assert fleet.server(extra)["intent"] == "draining"


def test_a_joining_server_is_listed_and_no_member_until_it_is_named(env, fleet, consul):
    extra = env.pushgateway()
    consul.register(extra.address, Meta={"dshard-intent": "joining"})
    consul.wait_passing([extra])
    fleet.await_health(extra, "up")
    assert fleet.server(extra)["intent"] == "joining"
    fleet.config.set(servers=addresses([*fleet.gateways, extra]))
    before = consul.services()[service_id(extra)]
    env.dshard("register", config=fleet.config).ok()
    assert consul.services()[service_id(extra)] == before, "cron does not end it"
    assert fleet.is_ring(fleet.gateways)
    with consul.flaps() as flaps:
        env.dshard("register", extra.address, config=fleet.config).ok()
        fleet.await_ring([*fleet.gateways, extra])
    assert "dshard-intent" not in consul.services()[service_id(extra)]["Meta"]
    assert flaps.changes == [], "its check goes on as it was"


def test_a_mark_in_the_store_takes_a_registered_server_out(fleet, consul):
    victim = fleet.gateways[2]
    rest = [g for g in fleet.gateways if g is not victim]
    key = f"dshard/pushgateway/out/{victim.address}"
    consul.kv_put(key, "")
    fleet.await_ring(rest, 2)
    assert fleet.server(victim)["intent"] == "out"
    fleet.watch.restart()
    assert fleet.is_ring(rest), "also after a restart"
    victim.restart()
    fleet.register(victim)
    holds(lambda: fleet.is_ring(rest), 1.5)
    consul.kv_delete(key)
    fleet.await_ring(fleet.gateways, 3)


def test_marks_that_are_none_change_nothing(fleet, consul):
    with Unharmed(fleet.state):
        for name in ["nonsense:port", "10.0.0.1", "deep/down", "10.9.9.9:99"]:
            consul.kv_put(f"dshard/pushgateway/out/{name}", "")
        wait_until(lambda: fleet.state.server("10.9.9.9:99"), 5, "the mark to be seen")


def test_deregistered_means_removed(fleet, consul):
    before, extra = fleet.state.load(), fleet.gateways[3]
    consul.deregister(service_id(extra))
    fleet.await_ring(fleet.gateways[:3], 3)
    assert "no longer registered" in fleet.server(extra)["why"], "it stays in /sd"
    fleet.register(extra)
    fleet.await_ring(fleet.gateways)
    assert fleet.state.load()["digest"] == before["digest"]


# ---- who is a member -----------------------------------------------------------------


def test_consul_says_who_is_a_member(env, consul):
    gateways = env.pushgateways(3)
    for gateway in gateways[:2]:
        consul.register(gateway.address)
    consul.wait_passing(gateways[:2])
    config = env.consul_config(consul, gateways[1:])  # one of two, and one that is not there
    env.watch(config)
    wait_until(lambda: env.state().members() == addresses(gateways[:2]), 5, "the ring")
    shown = env.state().server(gateways[2].address)
    assert not shown["member"] and "not registered" in shown["why"]
    result = env.dshard("status", config=config)
    assert gateways[2].address in result.stdout
    consul.register(gateways[2].address)
    wait_until(lambda: env.state().members() == addresses(gateways), 5, "the third")
    consul.deregister(service_id(gateways[0]))
    wait_until(lambda: env.state().members() == addresses(gateways[1:]), 5, "its removal")
    wait_until(lambda: env.state().server(gateways[0].address) is None, 3,
               "it to be forgotten: nobody knows it any more")


def test_weights_come_from_the_registration(fleet, consul):
    heavy = fleet.gateways[0]
    fleet.register(heavy, Meta={"dshard-weight": "3"})
    wait_until(lambda: fleet.server(heavy)["weight"] == 3, 3, "the weight")
    assert fleet.state.is_checked() and fleet.is_ring(fleet.gateways)
    for nonsense in ["0", "101", "-1", "2x", ""]:
        fleet.register(heavy, Meta={"dshard-weight": nonsense})
        wait_until(lambda: fleet.server(heavy)["weight"] == 1, 3, "the weight")
        fleet.register(heavy, Meta={"dshard-weight": "2"})
        wait_until(lambda: fleet.server(heavy)["weight"] == 2, 3, "the weight")
    assert fleet.state.is_checked() and fleet.is_ring(fleet.gateways)


def test_what_can_be_no_server_is_left_out(fleet, consul):
    with Unharmed(fleet.state):
        for i, port in enumerate([70000, -5, 0]):
            consul.put("/v1/agent/service/register", {
                "ID": f"absurd-{i}", "Name": "pushgateway", "Address": "127.0.0.1",
                "Port": port})
        consul.put("/v1/agent/service/register", {
            "ID": "absurd-host", "Name": "pushgateway", "Address": "a b/c", "Port": 9})
        wait_until(lambda: len(consul.health()) == 8, 5, "the catalog")
        holds(lambda: len(fleet.state.load()["servers"]) == 4, 0.5)
    fleet.follows_within(2)


def test_one_server_on_two_nodes_is_one_member(env, consul):
    fleet = Fleet(env, consul, watch={"groups": "off"})  # nobody can clean a dead one
    address = fleet.gateways[0].address
    host, port = address.split(":")

    def register(status):
        consul.put("/v1/catalog/register", {
            "Node": "elsewhere", "Address": "127.0.0.9",
            "Service": {"ID": service_id(address), "Service": "pushgateway",
                        "Address": host, "Port": int(port)},
            "Check": {"Node": "elsewhere", "CheckID": "c", "Name": "c", "Status": status,
                      "Output": "refused", "ServiceID": service_id(address)}})

    with Unharmed(fleet.state):
        register("passing")
        register("critical")  # the other agent says that it passes
        holds(lambda: len(fleet.state.load()["servers"]) == 4, 0.5)
    fleet.gateways[0].kill9()
    fleet.await_ring(fleet.gateways[1:], 3)
    register("passing")
    fleet.await_ring(fleet.gateways, 3)


# ---- Consul's own troubles -----------------------------------------------------------


@pytest.mark.parametrize("mode", ["server", "dev", "wiped"])
def test_a_killed_consul_harms_no_ring(env, mode):
    consul = env.consul(mode="server" if mode == "wiped" else mode)
    fleet = Fleet(env, consul)
    front = Front(env, fleet.config)
    with Asker(front, "/metrics/job/a", [front.owner("/metrics/job/a")]) as asker:
        with Unharmed(fleet.state):
            if mode == "wiped":
                consul.wipe()
            else:
                consul.kill9()
            wait_until(lambda: "Consul lost" in fleet.watch.log(), 5, "the loss")
            consul.start()
            if mode != "server":
                holds(lambda: fleet.is_ring(fleet.gateways), 2)
                fleet.register()
            consul.wait_passing(fleet.gateways)
            wait_until(lambda: "Consul is back" in fleet.watch.log(), 10, "its return")
            holds(lambda: fleet.is_ring(fleet.gateways), 0.5)
    assert asker.count > 20 and asker.wrong == []
    fleet.follows_within(10)


def test_a_restarted_consul_is_followed_again_within_ten_seconds(env, fleet, consul):
    """However long it was away: the back-off is bounded."""
    with Unharmed(fleet.state):
        consul.kill9()
        holds(lambda: fleet.is_ring(fleet.gateways), 4)
        consul.start()
        began = time.monotonic()
        fleet.register()
    fleet.drain(fleet.gateways[1])
    fleet.await_ring([g for g in fleet.gateways if g is not fleet.gateways[1]])
    assert time.monotonic() - began <= 10 * SLOW


def test_without_consul_a_refused_connection_takes_out_and_nothing_adds(fleet, consul):
    down, victim, rest = fleet.gateways[0], fleet.gateways[1], fleet.gateways[1:]
    down.kill9()
    fleet.await_ring(rest)
    with Unharmed(fleet.state):
        began = time.monotonic()
        consul.kill9()
        victim.kill9()
        down.start()
        fleet.gateways[2].pause()  # it hangs: that is no refusal
        holds(lambda: fleet.is_ring(rest), 9)
    fleet.await_ring(fleet.gateways[2:], 6)
    assert 10 <= time.monotonic() - began <= 10 + 3 * SLOW
    assert "refused" in fleet.server(victim)["why"].lower()
    holds(lambda: fleet.is_ring(fleet.gateways[2:]), 3)
    fleet.gateways[2].resume()
    victim.start()
    consul.start()
    fleet.register()
    fleet.await_ring(fleet.gateways, 15)


def test_with_consul_down_at_the_start_no_ring_is_invented(env):
    consul = env.consul(start=False)
    gateways = env.pushgateways(2)
    config = env.consul_config(consul, gateways)
    watch = env.watch(config, start=False)
    watch.start(wait=False)
    wait_until(lambda: "Consul lost" in watch.log(), 5, "the complaint")
    holds(lambda: watch.running and not env.state().exists(), 5.5)
    consul.start()
    for gateway in gateways:
        consul.register(gateway.address)
    wait_until(lambda: env.state().members() == addresses(gateways), 10, "the ring")


def test_with_consul_down_at_the_start_the_old_ring_serves(env, fleet, consul):
    front = Front(env, fleet.config)
    fleet.watch.stop()
    consul.kill9()
    with Unharmed(fleet.state):
        fleet.watch.start(wait=False)
        wait_until(lambda: "Consul lost" in fleet.watch.log(), 5, "the complaint")
        holds(lambda: front.owner() is not None, 2)
        consul.start()
        fleet.register()
        consul.wait_passing(fleet.gateways)
    fleet.follows_within(10)


def test_a_wiped_consul_while_watch_is_stopped_takes_nobody_out(env, fleet, consul):
    fleet.watch.stop()
    consul.kill9()
    consul.start()
    with Unharmed(fleet.state):
        fleet.watch.start(wait=False)
        wait_until(lambda: "watch started" in fleet.watch.log(), 5, "the start")
        holds(lambda: fleet.is_ring(fleet.gateways), 3)
        fleet.register()
        consul.wait_passing(fleet.gateways)
    fleet.follows_within(10)


# ---- access --------------------------------------------------------------------------


class AclFleet(Fleet):
    """Asks with a token from a file."""

    def __init__(self, env, rules=POLICY, **more):
        consul = env.consul(acl=True)
        self.token = consul.token(rules)
        self.file = env.write("token", self.token + "\n")
        super().__init__(env, consul, **more, asks={
            "addr": consul.addr, "token_file": self.file, "wait": "1s"})

    def revoke(self, secret):
        accessor = self.agent.get("/v1/acl/token/self", token=secret)["AccessorID"]
        assert self.agent.request("DELETE", f"/v1/acl/token/{accessor}").status == 200


def test_the_minimal_policy_is_enough(env):
    fleet = AclFleet(env)
    fleet.follows_within(2)
    assert "level=warn" not in fleet.watch.log()
    assert fleet.token not in fleet.watch.log()


def test_a_deleted_token_keeps_the_ring_and_says_so(env):
    fleet = AclFleet(env)
    with Unharmed(fleet.state):
        fleet.revoke(fleet.token)
        wait_until(lambda: "ACL not found" in fleet.watch.log(), 5, "the complaint")
        fleet.gateways[0].kill9()
        holds(lambda: fleet.is_ring(fleet.gateways), 3)
    assert fleet.watch.log().count("Consul lost") == 1
    assert fleet.token not in fleet.watch.log()
    fresh = fleet.agent.token(POLICY)
    env.write("token", fresh)
    fleet.await_ring(fleet.gateways[1:], 10)
    assert "Consul is back" in fleet.watch.log()


def test_a_rotated_token_is_taken_from_its_file_without_a_gap(env):
    fleet = AclFleet(env)
    env.write("token", fleet.agent.token(POLICY))
    fleet.revoke(fleet.token)
    holds(lambda: fleet.is_ring(fleet.gateways), 2.5)
    fleet.follows_within(3)
    assert "Consul lost" not in fleet.watch.log()


# ---- once ----------------------------------------------------------------------------


def test_once_is_enough_for_cron(env, consul):
    fleet = Fleet(env, consul, 3, start=False)
    env.dshard("watch", "--once", config=fleet.config).ok()
    assert fleet.is_ring(fleet.gateways) and fleet.state.is_checked()
    with Unharmed(fleet.state):
        env.dshard("watch", "--once", config=fleet.config).ok()
    fleet.gateways[0].kill9()
    wait_until(lambda: consul.statuses()[fleet.gateways[0].address] == "critical", 5,
               "Consul to know")
    result = env.dshard("watch", "--once", config=fleet.config).ok()
    assert fleet.is_ring(fleet.gateways[1:]), result
    with Unharmed(fleet.state):
        consul.kill9()
        result = env.dshard("watch", "--once", config=fleet.config)
        assert result.rc == 75 and consul.address in result.stderr, result


def test_once_invents_no_ring(env):
    consul = env.consul(start=False)
    config = env.consul_config(consul, env.pushgateways(1))
    result = env.dshard("watch", "--once", config=config)
    assert result.rc == 75, result
    assert not env.state().exists()


def test_once_after_a_wipe_keeps_the_ring(env, consul):
    fleet = Fleet(env, consul, 3, start=False)
    env.dshard("watch", "--once", config=fleet.config).ok()
    consul.kill9()
    consul.start()
    with Unharmed(fleet.state):
        env.dshard("watch", "--once", config=fleet.config)
