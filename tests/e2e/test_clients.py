# SPDX-License-Identifier: Apache-2.0
"""Real clients push through real frontends: what arrives where, and who notices when it
does not.  clients.py is the list, and the README's table says the same."""

import os
import re
import shutil

import pytest

import clients
import fronts
from testenv import TOP
from testenv.state import owner as owner_of
from testenv.wait import LONG

# Larger than what nginx keeps in memory; and what a Pushgateway takes a second for.
MIDDLE, LARGE = 2 << 20, 30 << 20
FRONTS = ("proxy", "redirect", "lighttpd", "auth", "apache")
PROXIES = ("proxy", "auth")


class Fleet:
    """Three Pushgateways, and the frontends: each is started when it is first asked for."""

    def __init__(self, env):
        self.env = env
        self.gateways = env.pushgateways(3)
        self.addresses = [g.address for g in self.gateways]
        state = env.state()
        state.write(self.addresses)
        self.handler = env.fcgi(state)
        self.fronts = {}

    def front(self, name):
        if name not in self.fronts:
            self.fronts.update(self.start(name))
        return self.fronts[name]

    def start(self, name):
        if name in ("proxy", "redirect"):
            return dict(zip(("proxy", "redirect"), fronts.nginx_example(self.env, self.handler)))
        make = {"lighttpd": fronts.lighttpd_example, "apache": fronts.apache_example,
                "auth": fronts.nginx_auth}
        return {name: make[name](self.env, self.handler)}

    def owner(self, path):
        address = owner_of([(a, 1) for a in self.addresses], path.encode())
        return self.gateways[self.addresses.index(address)]


@pytest.fixture(scope="module")
def fleet(module_env):
    return Fleet(module_env)


def path_of(client, push):
    return f"/metrics/job/{push.job}" + "".join(
        f"/{name}/{clients.LABELS[name]}" for name in client.labels)


def content(gateway):
    """What a server has: {job: {metric: length of its help}}."""
    jobs = {}
    for group in gateway.groups_raw():
        job = group["labels"]["job"]
        assert job not in jobs, "the client has pushed another group"
        jobs[job] = {name: len(family.get("help", "")) for name, family in group.items()
                     if name in ("old", "rows")}
    return jobs


BEFORE = {"old": 0}


def after(push):
    """What the owner has once the push has arrived."""
    return {"PUT": {"rows": push.size}, "POST": {**BEFORE, "rows": push.size},
            "DELETE": None}[push.method]


def check_answer(client, push, outcome, ok, said):
    assert ok == (outcome != clients.FAILS), f"{push.method}: {said}"
    if outcome == clients.FAILS:
        assert client.says and client.says in said, push.method


def check_content(fleet, client, outcomes):
    """outcomes: {push: what should have become of it}."""
    for gateway in fleet.gateways:
        expected = {}
        for push, outcome in outcomes.items():
            mine = gateway is fleet.owner(path_of(client, push))
            expected[push.job] = after(push) if mine and outcome == clients.ARRIVES else BEFORE
        # A DELETE is answered before it is carried out; a PUT after it, when it is.
        gateway.push("/metrics/job/after")
        has = content(gateway)
        assert {job: has.get(job) for job in expected} == expected, gateway.name


def look_for(client):
    """Only what npm fetches may be missing, and never under `make torture`."""
    why = client.missing()
    if why and not LONG:
        pytest.skip(why)
    assert not why


def is_tried(client, front):
    """What takes large packages is tried by `make torture`, which installs them; and
    prom-client, which is small, wherever there is an npm."""
    if LONG:
        return True
    if client.package and (client.package != "npm" or shutil.which("npm") is None):
        return False
    return client.quick or front in ("proxy", "redirect", "lighttpd")


@pytest.mark.parametrize("client, front", [
    pytest.param(client, front, id=f"{client.name}-{front}")
    for front in FRONTS for client in clients.TRIED if is_tried(client, front)])
def test_what_becomes_of_pushes(fleet, client, front):
    look_for(client)
    number = clients.TRIED.index(client)
    pushes = [clients.Push(method, f"{front}-{number}-{method}") for method in client.methods]
    large = LONG or (client.large and front in ("proxy", "redirect"))
    pushes.append(clients.Push("PUT", f"{front}-{number}-large", LARGE if large else MIDDLE))
    for push in pushes:
        for gateway in fleet.gateways:
            gateway.push(path_of(client, push), "old 1\n")
    answers = client.run(fleet.front(front).address, pushes)
    outcomes = {push: clients.ARRIVES if front in PROXIES else client.outcome(push.method)
                for push in pushes}
    for (push, outcome), answer in zip(outcomes.items(), answers):
        check_answer(client, push, outcome, *answer)
    check_content(fleet, client, outcomes)
    for push in pushes:
        for gateway in fleet.gateways:
            gateway.request("DELETE", path_of(client, push))


def test_the_readme_has_the_table_of_clients():
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        section = f.read().split("\n## Which clients need the proxy\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\|.*\|$", section, re.M)
    assert rows[2:] == [client.row() for client in clients.CLIENTS if client.in_readme]
