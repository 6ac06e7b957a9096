# SPDX-License-Identifier: Apache-2.0
"""`status`: the verdict is right, and the exit status says it too."""

import os
import re
import socket
import subprocess
import time

import pytest
from test_groups_move import Fleet

from testenv import check_schema
from testenv.state import now_ms
from testenv.wait import SLOW

SERVERS = ["10.0.0.1:9091", "10.0.0.2:9091", "10.0.0.3:9091"]
DOWN = {"address": SERVERS[0], "health": "down", "member": False, "why": "connect: refused"}


def status(env, *args):
    return env.dshard("status", "--state", env.path("ring.json"), *args)


def test_a_healthy_fleet_exits_0(env):
    change = {"added": SERVERS, "removed": [], "at": now_ms() - 5000, "cause": "start",
              "generation": 1, "moved_ppm": 1000000}
    env.state().write(SERVERS, history=[change])
    result = status(env).ok()
    assert result.stdout.startswith("healthy: 3 of 3 servers are members, 3 up\n")
    assert result.stderr == ""
    for words in ("last check", "last change", "start", *SERVERS):
        assert words in result.stdout
    content = check_schema("status", status(env, "-o", "json").ok().json())
    assert content["verdict"] == "healthy" and content["problems"] == []
    assert content["last_change"]["added"] == SERVERS


CASES = [
    ("a server is down", [DOWN, *SERVERS[1:]], {}, "degraded", "10.0.0.1:9091 is down"),
    ("a server is held",
     [{"address": SERVERS[0], "health": "held", "member": False,
       "hold_until": now_ms() + 60000}, *SERVERS[1:]], {}, "degraded", "rejoins in"),
    ("a server is new", [{"address": SERVERS[0], "health": "new", "member": False},
                         *SERVERS[1:]], {}, "degraded", "not been checked"),
    ("the watch is dead", SERVERS, {"checked_at": now_ms() - 120000}, "critical",
     "the last check was 2m ago"),
    ("the clock was put back", SERVERS, {"checked_at": now_ms() + 3600000}, "critical",
     "nothing follows"),
    ("no watch ever ran", SERVERS, {"checked_at": 0}, "critical", "never"),
    ("the ring is frozen", SERVERS,
     {"frozen": {"reason": "1 of 3 servers is up", "since": now_ms()}}, "critical",
     "frozen"),
    ("nobody is a member", [{"address": a, "member": False, "health": "down"}
                            for a in SERVERS], {}, "critical", "503"),
]


@pytest.mark.parametrize("servers, fields, verdict, words",
                         [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_is_wrong_is_named_and_exits_3(env, servers, fields, verdict, words):
    env.state().write(servers, **fields)
    result = status(env)
    assert result.rc == 3, result
    assert result.stdout.startswith(f"{verdict}: ") and words in result.stdout, result
    result = status(env, "-o", "json")
    content = check_schema("status", result.json())
    assert result.rc == 3 and content["verdict"] == verdict
    assert any(words in p for p in content["problems"]), content


def test_a_drained_or_removed_server_is_nothing_wrong(env):
    env.state().write([*SERVERS[:2],
                       {"address": SERVERS[2], "intent": "draining", "member": False},
                       {"address": "10.0.0.4:9091", "intent": "out", "member": False,
                        "health": "down"}])
    status(env).ok()


def test_a_running_operation_is_shown(env):
    by = f"{socket.gethostname()}:{os.getpid()}"
    operation = {"kind": "scale up", "step": "moving groups", "by": by,
                 "since": now_ms() - 120000}
    env.state().write(SERVERS, operation=operation)
    line = f"operation    scale up, for 2m: moving groups ({by})\n"
    assert line in status(env).ok().stdout
    content = check_schema("status", status(env, "-o", "json").ok().json())
    assert content["operation"] == {**operation, "interrupted": False}


def test_an_interrupted_operation_is_a_problem(env):
    ended = subprocess.Popen(["true"])
    ended.wait()
    operation = {"kind": "scale up", "step": "moving groups", "since": now_ms() - 120000,
                 "by": f"{socket.gethostname()}:{ended.pid}"}
    env.state().write(SERVERS, operation=operation)
    result = status(env)
    assert result.rc == 3
    assert ("  - 'scale up', begun 2m ago, was interrupted at 'moving groups': run it again\n"
            in result.stdout)
    assert "operation" not in result.stdout
    content = check_schema("status", status(env, "-o", "json").json())
    assert content["verdict"] == "degraded" and content["operation"]["interrupted"]


@pytest.mark.parametrize("intent, rc", [("joining", 3), ("out", 0), ("draining", 0)])
def test_an_interrupted_operation_is_over_when_its_servers_are_settled(env, intent, rc):
    ended = subprocess.Popen(["true"])
    ended.wait()
    env.state().write(
        [*SERVERS[:2], {"address": SERVERS[2], "intent": intent, "member": False}],
        operation={"kind": f"scale up {SERVERS[2]}", "step": "joining", "since": now_ms(),
                   "by": f"{socket.gethostname()}:{ended.pid}"})
    result = status(env)
    assert result.rc == rc and (f"dshard scale up {SERVERS[2]}, or give it up: "
                                f"dshard deregister {SERVERS[2]}\n" in result.stdout) == (rc == 3)
    content = check_schema("status", status(env, "-o", "json").json())
    assert (content["operation"] is None) == (rc == 0)


def test_an_operation_of_another_host_is_not_called_interrupted(env):
    env.state().write(SERVERS, operation={"kind": "scale up", "step": "x", "since": 1,
                                          "by": "elsewhere.example:999999"})
    assert "scale up" in status(env).ok().stdout


def test_the_worst_problem_comes_first(env):
    env.state().write([DOWN, *SERVERS[1:]], checked_at=1000)
    problems = status(env, "-o", "json").json()["problems"]
    assert "last check" in problems[0] and SERVERS[0] in problems[1]


def test_a_thousand_servers_down_fit_a_screen(env):
    env.state().write([{"address": f"10.0.{i // 250}.{i % 250}:9091", "health": "down",
                        "member": False} for i in range(1000)])
    result = status(env, "-o", "json")
    assert result.rc == 3 and len(result.json()["problems"]) <= 32
    assert len(result.json()["servers"]) == 1000


def test_words_from_the_state_cannot_forge_lines(env):
    env.state().write([{**DOWN, "why": "x\ny \x1b[31mred"}, *SERVERS[1:]])
    for form in ("text", "json"):
        out = status(env, "-o", form).stdout
        assert "\x1b" not in out and "\ny " not in out, out


# ---- groups: the servers are asked ------------------------------------------------------


def misplaced_fleet(env, changed_ms=3600_000, **watch):
    """Groups of every kind of place, an hour after the last change of the ring unless told
    otherwise; (fleet, config)."""
    fleet = Fleet(env, 3, [0, 1])
    a, b, leaving = fleet.gateways
    jobs = fleet.owner.jobs(b.address, 4)
    for job in jobs:
        b.push(f"/metrics/job/{job}")
    a.push(f"/metrics/job/{jobs[0]}")
    leaving.push("/metrics/job/left")
    fleet.state.rewrite(lambda s: s["history"][0].update(at=now_ms() - changed_ms))
    return fleet, env.config(fleet.gateways, watch=watch)


def test_groups_are_counted_where_they_are(env):
    fleet, config = misplaced_fleet(env, groups="off")
    a, b, leaving = (g.address for g in fleet.gateways)
    content = check_schema("status", env.dshard("status", "-o", "json", config=config).ok().json())
    assert (content["groups"], content["misplaced"], content["copies"]) == (5, 2, 1)
    assert {s["address"]: (s["groups"], s["misplaced"], s["copies"])
            for s in content["servers"]} == {a: (1, 1, 1), b: (4, 0, 0), leaving: (1, 1, 0)}
    out = env.dshard("status", config=config).ok().stdout
    assert "\ngroups       5, 2 misplaced, 1 copy too many\n" in out
    assert re.search(rf"^{re.escape(b)} .*  4  +0$", out, re.M), out
    # Who does not ask does not know.
    for args in (["--no-groups"], ["--state", config.state_file]):
        out = env.dshard("status", *args, config=config).ok().stdout
        assert "groups" not in out and "GROUPS" not in out
        content = env.dshard("status", *args, "-o", "json", config=config).ok().json()
        assert check_schema("status", content)["groups"] is None
        assert all(s["misplaced"] is None for s in content["servers"])


@pytest.mark.parametrize("watch, changed_ms, operation, words", [
    ({"groups": "move"}, 3600_000, None, "2 groups are misplaced, 1h after the last change"),
    ({"groups": "dedupe"}, 3600_000, None, "1 group is on more than one server, 1h after"),
    ({"groups": "move", "patience": "10m"}, 600_000, None, None),
    ({"groups": "move"}, 3600_000, "scale up", None),
], ids=["move", "dedupe", "patience", "at work"])
def test_groups_that_do_not_follow_the_ring_are_a_problem(env, watch, changed_ms, operation,
                                                          words):
    fleet, config = misplaced_fleet(env, changed_ms, **watch)
    if operation:
        fleet.state.rewrite(lambda s: s.update(operation={
            "kind": operation, "step": "x", "since": now_ms(),
            "by": f"{socket.gethostname()}:{os.getpid()}"}))
    result = env.dshard("status", config=config)
    assert result.rc == (3 if words else 0), result
    assert (f"  - {words}" in result.stdout) == bool(words), result
    assert "groups       5, 2 misplaced" in result.stdout


def test_a_server_that_does_not_answer_neither_fails_nor_slows_it(env):
    fleet, config = misplaced_fleet(env, groups="move")
    a, b, leaving = fleet.gateways
    fleet.move("--match", "job=left")
    a.pause()
    leaving.kill9()
    began = time.monotonic()
    result = env.dshard("status", "--timeout", "300ms", config=config)
    took = time.monotonic() - began
    a.resume()
    assert result.rc == 0 and took < 1.5 * SLOW, (took, result)
    assert f"no answer from {', '.join(sorted([a.address, leaving.address]))}\n" in result.stdout
    assert re.search(rf"^{re.escape(a.address)} .*  [?]  +[?]$", result.stdout, re.M), result
    b.kill9()
    a.kill9()
    result = env.dshard("status", config=config).ok()
    assert "groups       not known; no answer from" in result.stdout
    content = env.dshard("status", "-o", "json", config=config).ok().json()
    assert check_schema("status", content)["groups"] is None
