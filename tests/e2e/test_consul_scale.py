# SPDX-License-Identifier: Apache-2.0
"""`scale` with a real Consul and two frontends."""

import os
import signal
import subprocess

from testenv import BIN, check_schema, clean_environ, wait_until
from testenv.fleet import Frontend, addresses, await_agreement, service_id
from testenv.groups import Owners, families

JOBS = [{"job": f"job{i}"} for i in range(24)]


def push_all(gateways):
    owner = Owners(addresses(gateways))
    at = {g.address: g for g in gateways}
    for i, labels in enumerate(JOBS):
        at[owner(labels)].push(f"/metrics/job/{labels['job']}", f"m {i}\n")


def assert_in_place(members, others=()):
    owner = Owners(addresses(members))
    for i, labels in enumerate(JOBS):
        holders = [g.address for g in [*members, *others] if labels in g.groups()]
        assert holders == [owner(labels)], labels
        at = next(g for g in members if g.address == holders[0])
        assert families(at, **labels) == {"m": str(i)}


def test_up_and_down_with_two_frontends(env):
    consul = env.consul()
    *gateways, spare = env.pushgateways(4)
    off = {"watch": {"groups": "off"}, "relay": False}
    a = Frontend(env, "a", consul, gateways, start=False, **off)
    env.dshard("register", config=a.config).ok()
    consul.wait_passing(gateways)
    a.watch.start()
    b = Frontend(env, "b", consul, gateways, **off)
    await_agreement([a, b], 3)
    push_all(gateways)
    with open(b.config.path, encoding="utf-8") as f:
        theirs = f.read()

    # It joins: registered, listed by both, no member, and cron does not change that.
    scaling = subprocess.Popen(
        [os.path.join(BIN, "dshard"), "--config", a.config.path, "scale", "up",
         spare.address, "--settle", "60s"],
        env=clean_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    for frontend in (a, b):
        wait_until(lambda f=frontend: f.state.server(spare.address), 10, f"{frontend} to see it")
        assert frontend.state.server(spare.address)["intent"] == "joining"
        assert frontend.state.members() == addresses(gateways)
    env.dshard("register", config=a.config).ok()
    meta = consul.services()[service_id(spare)]["Meta"]
    assert meta["dshard-intent"] == "joining"
    # Stopped, it gives the lock back; run again, it goes on.
    scaling.send_signal(signal.SIGINT)
    err = scaling.communicate(timeout=10)[1]
    assert scaling.returncode == 75 and b"stopped" in err, err
    assert a.state.server(spare.address)["intent"] == "joining"
    content = check_schema("scale", env.dshard(
        "scale", "up", spare.address, "--settle", "0s", "--patience", "300ms", "-o", "json",
        config=a.config, timeout=60).ok().json())
    assert content["done"] and content["copied"] == len(spare.groups()) > 0
    assert "dshard-intent" not in consul.services()[service_id(spare)]["Meta"]
    for frontend in (a, b):
        assert frontend.state.members() == addresses([*gateways, spare])
    assert_in_place([*gateways, spare])

    # And another one goes, by the other frontend.
    gone, *rest = [*gateways, spare]
    result = env.dshard("scale", "down", gone.address, "--patience", "300ms",
                        config=b.config, timeout=60).ok()
    assert result.stdout == f"{gone.address} can be stopped now\n", result
    assert_in_place(rest, [gone])
    assert consul.members() == addresses(rest) and consul.marks() == [gone.address]
    await_agreement([a, b], 3)
    with open(b.config.path, encoding="utf-8") as f:
        assert f.read() == theirs.replace(f'    - "{gone.address}"\n', "")
