# SPDX-License-Identifier: Apache-2.0
"""`status`: the verdict is right, and the exit status says it too."""

import os
import socket
import subprocess

import pytest

from testenv import check_schema
from testenv.state import now_ms

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
