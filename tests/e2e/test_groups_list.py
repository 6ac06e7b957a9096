# SPDX-License-Identifier: Apache-2.0
"""groups list: what is where, in text that no label can break and JSON that is frozen."""

import re

from testenv import check_schema, free_port
from testenv.groups import Owners, path_of
from testenv.state import now_ms


def rows(result):
    """[(group, server, owner, pushed, notes)] of the table, and its last line."""
    lines = result.stdout.splitlines()
    assert re.match(r"GROUP +SERVER +OWNER +PUSHED +NOTES$", lines[0]) and lines[-2] == ""
    return [re.split(r"  +", line) for line in lines[1:-2]], lines[-1]


def identity(labels):
    return b"\xff".join(part.encode() for pair in sorted(labels.items()) for part in pair)


def test_every_copy_is_a_line(env):
    a, b, old = env.pushgateways(3)
    config = env.config([a, b, old])
    env.state().write([a.address, b.address,
                       {"address": old.address, "member": False, "intent": "draining"}])
    owner = Owners([a.address, b.address])
    (mine,), (theirs,) = owner.jobs(a.address, 1), owner.jobs(b.address, 1)
    a.push(f"/metrics/job/{mine}", "m 1\nn 1\n")
    old.push(f"/metrics/job/{mine}")
    a.push(f"/metrics/job/{theirs}/instance/x")
    owner_of_theirs = owner({"job": theirs, "instance": "x"})
    strange = {"job": "s", "x": 'q"\n\x1b[31m\u009b\0\u00fc'}
    old.push(path_of(strange))
    assert a.request("PUT", "/metrics/job/phantom", "m 1 1\n").status == 400

    table, footer = rows(env.dshard("groups", config=config).ok())
    found = {(row[0], row[1]): row[2:] for row in table}
    assert found[(f'{{job="{mine}"}}', a.address)] == ["-", "0s"]
    assert found[(f'{{job="{mine}"}}', old.address)] == [
        a.address, "0s", "misplaced, copy"]
    # Nothing in a label reaches the terminal as it is.
    name = '{job="s",x="q\\"\\n\\x1b[31m\\xc2\\x9b\\x00\u00fc"}'
    assert found[(name, old.address)][2] == "misplaced"
    assert found[('{job="phantom"}', a.address)][-2:][0] == "never"
    assert "last push failed" in found[('{job="phantom"}', a.address)][-1]
    assert re.match(r"4 groups, \d misplaced, 1 copy too many$", footer), footer

    wide = env.dshard("groups", "list", "-o", "wide", config=config).ok().stdout
    assert re.search(rf'^{{job="{mine}"}} +{a.address} +- +\d+s +2 +2$', wide, re.M), wide

    content = check_schema("groups-list", env.dshard(
        "groups", "list", "-o", "json", config=config).ok().json())
    assert content["copies"] == 1 and len(content["groups"]) == 5
    order = [(identity(g["labels"]), g["server"]) for g in content["groups"]]
    assert order == sorted(order)
    by_labels = {tuple(g["labels"].items()): g for g in content["groups"]
                 if g["server"] != a.address}
    assert by_labels[tuple(strange.items())]["misplaced"]
    server = {s["address"]: s for s in content["servers"]}[old.address]
    assert (server["groups"], server["misplaced"], server["copies"]) == (2, 2, 1)

    def jobs(*args):
        result = env.dshard("groups", *args, "-o", "json", config=config).ok().json()
        return [g["labels"]["job"] for g in result["groups"]]
    assert jobs("--match", "job=s") == ["s"]
    assert jobs("--match", "x=", "--match", "instance=x") == [theirs]
    assert theirs not in jobs("--match", "instance=")
    assert jobs("--match", "job=s", "--match", f"job={mine}") == []
    assert jobs("--older-than", "1h") == []
    assert "s" in jobs("--older-than", "1ms")
    misplaced = jobs("--misplaced")
    assert "s" in misplaced and (theirs in misplaced) == (owner_of_theirs != a.address)


def test_servers_that_cannot_be_read_are_named(env):
    gateway, dead, down = env.pushgateway(), f"127.0.0.1:{free_port()}", "127.0.0.1:1"
    config = env.config([gateway])
    gateway.push("/metrics/job/a")
    env.state().write([gateway.address, dead,
                       {"address": down, "health": "down", "member": False,
                        "why": "connect: refused"},
                       {"address": "127.0.0.1:2", "intent": "out", "member": False}])
    result = env.dshard("groups", "-o", "json", config=config)
    assert result.rc == 75
    assert f"{dead} (" in result.stderr and f"{down} (down: " in result.stderr
    assert "127.0.0.1:2 " not in result.stderr
    content = check_schema("groups-list", result.json())
    assert [g["labels"] for g in content["groups"]] == [{"job": "a"}]
    assert {s["address"]: s["reached"] for s in content["servers"]} == {
        gateway.address: True, dead: False, down: False}
    # Nobody at all: there is no list.
    gateway.kill9()
    result = env.dshard("groups", config=config)
    assert result.rc == 75 and result.stdout == "" and "no server told" in result.stderr


def test_bad_matches_are_refused(env):
    config = env.config(["a:1"])
    for word in ("job", "=x", ""):
        result = env.dshard("groups", "--match", word, config=config)
        assert result.rc == 2 and "LABEL=VALUE" in result.stderr
    assert env.dshard("groups", "move", "--patience", "soon", config=config).rc == 2
    assert env.dshard("groups", "delete-all", config=config).rc == 2
    assert env.dshard("groups", config=config).rc == 1  # there is no state file
    env.state().write(["a:1"], history=[], written_at=now_ms())
    assert env.dshard("groups", "--older-than", "-1s", config=config).rc == 2
