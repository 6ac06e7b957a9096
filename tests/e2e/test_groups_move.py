# SPDX-License-Identifier: Apache-2.0
"""groups move and groups dedupe: nothing is lost, nothing is changed, nothing is there
twice, whoever interferes."""

import fcntl
import os
import pty
import random
import re
import signal
import socket
import subprocess
import threading
import time

from testenv import BIN, check_schema, clean_environ, wait_until
from testenv import protobuf as pb
from testenv.groups import Owners, contents, families, path_of
from testenv.state import now_ms
from testenv.wait import SLOW

TEXT = """# HELP t_total counted\\nwith two lines
# TYPE t_total counter
t_total{l="a \\\\ \\"q\\" <&> \u00fc"} 1.7976931348623157e+308
t_total{l=""} 5e-324
# TYPE t_gauge gauge
t_gauge{l="nan"} NaN
t_gauge{l="inf"} +Inf
t_gauge{l="low"} -Inf
t_gauge{l="zero"} -0
t_untyped 9007199254740993
# TYPE t_summary summary
t_summary{quantile="0.5"} 1.5
t_summary{quantile="0.99"} NaN
t_summary_sum 17
t_summary_count 5
# TYPE t_histogram histogram
t_histogram_bucket{le="0.1"} 1
t_histogram_bucket{le="+Inf"} 5
t_histogram_sum 2.5
t_histogram_count 5
"""
AWKWARD = [
    {"job": "a/b"}, {"job": "a", "x": ""}, {"job": "a", "x": "//"}, {"job": "."},
    {"job": "a", "x": "\u00fc\U0001f600"}, {"job": "a", "x": 'q"\\\n\t%2F?#'},
    {"job": "a", "x": "n\0l"}, {"job": "a", "instance": ""}, {"job": "a", "_": "_"},
    # Two that have one key.
    {"job": "k", "x": "b/y/c"}, {"job": "k", "x": "b", "y": "c"},
]
NATIVE = pb.body(
    pb.family("p_native", pb.HISTOGRAM, [pb.native([(0, 2), (5, 1)], [3, -1, 7], l="1")],
              help="made by hand"),
    pb.family("p_float", pb.HISTOGRAM, [pb.native_float([(0, 1)], [2.5], l="1")]),
    pb.family("p_exemplar", pb.COUNTER, [pb.counter(5, exemplar=(2, {"trace": "x"}))]),
    pb.family("p_big", pb.SUMMARY, [pb.summary((1 << 53) + 1, 2.5)]))


class Fleet:
    """n Pushgateways and the state file as a watch would leave it: no watch is running.
    `members`: their indexes; the others are drained."""

    def __init__(self, env, n, members, **options):
        self.env, self.gateways = env, env.pushgateways(n, **options)
        self.members = [self.gateways[i] for i in members]
        self.config = env.config(self.gateways)
        self.state = env.state()
        self.owner = Owners([g.address for g in self.members])
        self.write()

    def write(self, **states):
        """states: fields of a server, by its index as `_0`."""
        rows = []
        for i, gateway in enumerate(self.gateways):
            member = gateway in self.members
            rows.append({"address": gateway.address, "member": member,
                         "intent": "in" if member else "draining", **states.get(f"_{i}", {})})
        self.state.write(rows, history=[{
            "added": [], "at": now_ms() - 3600_000, "cause": "operator", "generation": 1,
            "moved_ppm": 0, "removed": []}])

    def run(self, *args, command="move", **more):
        return self.env.dshard("groups", command, *args, config=self.config, **more)

    def move(self, *args, rc=0, command="move", patience="0s"):
        """One pass; its JSON, checked."""
        result = self.run("--once", "--patience", patience, "-o", "json", *args,
                          command=command)
        assert result.rc == rc, result
        return check_schema("groups-move", result.json())

    def start(self, *args, **more):
        return subprocess.Popen(
            [os.path.join(BIN, "dshard"), "--config", self.config.path, "groups", *args],
            env=clean_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more)

    def holders(self, labels):
        return [g.address for g in self.gateways if g.running and labels in g.groups()]


def push_kinds(gateway):
    """A group of every kind; their label sets."""
    pushed = [{"job": "text", "kind": "text"}, {"job": "native"}, {"job": "posted"},
              {"job": "failed"}, {"job": "empty"}]
    gateway.push("/metrics/job/text/kind/text", TEXT)
    assert gateway.request("PUT", "/metrics/job/native", NATIVE, pb.PUSH).status == 200
    gateway.push("/metrics/job/posted", "one 1\n")
    gateway.push("/metrics/job/posted", "two 2\n", "POST")
    gateway.push("/metrics/job/failed", "good 1\n")
    assert gateway.request("PUT", "/metrics/job/failed", "t_gauge 1\n").status == 400
    gateway.push("/metrics/job/empty", "")
    for i, labels in enumerate(AWKWARD):
        gateway.push(path_of(labels), f"awkward {i}\n")
    return pushed + AWKWARD


def test_every_kind_of_group_arrives_exactly_as_it_was(env):
    fleet = Fleet(env, 2, [1])
    old, new = fleet.gateways
    pushed = push_kinds(old)
    before = contents(old)
    assert len(before[0]) == len(pushed)
    result = fleet.move()
    assert result["done"] and result["copied"] == len(pushed) == result["groups"]
    assert not result["raced"] and not result["misplaced"] and not result["refused"]
    assert contents(new) == before
    wait_until(lambda: old.groups() == [], 2, "the deletes")
    assert fleet.state.load()["operation"] is None
    # The time of the failure came along; that of the push cannot.
    assert "push_failure_time_seconds 0" not in [
        line for line in new.metrics().splitlines() if 'job="failed"' in line]
    again = fleet.move()
    assert again["done"] and not again["copied"] + again["deleted"] + again["merged"]


def test_servers_that_do_not_check_show_it_a_moment_later(env):
    fleet = Fleet(env, 2, [1], args=["--push.disable-consistency-check"])
    old, new = fleet.gateways
    for i in range(60):
        old.push(f"/metrics/job/j{i}", f"m {i}\n")
    wait_until(lambda: len(old.groups()) == 60, 2, "the pushes")
    before = contents(old)
    result = fleet.move()
    assert result["done"] and result["copied"] == 60
    assert contents(new) == before
    wait_until(lambda: old.groups() == [], 2, "the deletes")


def test_families_of_both_copies_survive(env):
    fleet = Fleet(env, 2, [0, 1])
    a, b = fleet.gateways
    mine = fleet.owner.jobs(b.address, 3)
    for job in mine:
        a.push(f"/metrics/job/{job}", "old 1\nboth 1\n", "POST")
        b.push(f"/metrics/job/{job}", "new 2\nboth 2\n", "POST")
    # Groups that lie right, or alone, are none of dedupe's business.
    lone = fleet.owner.jobs(b.address, 1, "lone")[0]
    a.push(f"/metrics/job/{lone}")
    result = fleet.move(command="dedupe")
    assert result["done"] and result["merged"] == 3 and not result["copied"]
    assert result["misplaced"] == 1
    for job in mine:
        assert fleet.holders({"job": job}) == [b.address]
        assert families(b, job=job) == {"old": "1", "new": "2", "both": "2"}
    assert fleet.holders({"job": lone}) == [a.address]
    assert fleet.move("--match", "job=other")["groups"] == 0
    assert fleet.move("--match", f"job={lone}", "--match", "x=")["copied"] == 1
    assert fleet.holders({"job": lone}) == [b.address]


def test_what_is_refused_stays_where_it_was(env):
    fleet = Fleet(env, 2, [1])
    old, new = fleet.gateways
    new.push("/metrics/job/first", "# TYPE clash counter\nclash 1\n")
    new.push("/metrics/job/merged", "other 1\n")
    old.push("/metrics/job/second", "# TYPE clash gauge\nclash 2\n")
    old.push("/metrics/job/merged", "# TYPE clash gauge\nclash 3\n")
    old.push("/metrics/job/third", "fine 1\n")
    before = contents(old)[0]
    result = fleet.move(rc=1)
    assert result["copied"] == 1 and not result["done"]
    refused = {r["labels"]["job"]: r for r in result["refused"]}
    assert set(refused) == {"second", "merged"}
    assert (refused["second"]["from"], refused["second"]["to"]) == (old.address, new.address)
    assert "400" in refused["second"]["why"] and "clash" in refused["second"]["why"]
    assert contents(old)[0] == {k: v for k, v in before.items() if dict(k)["job"] != "third"}
    wait_until(lambda: sorted(g["job"] for g in new.groups()) == ["first", "merged", "third"],
               2, "the phantom to go")
    assert families(new, job="merged") == {"other": "1"}
    # The command that repeats does not try it for ever.
    again = fleet.run("--patience", "0s")
    assert again.rc == 1 and '{job="second"} stays on ' + old.address in again.stderr
    # Once nothing is in the way it goes.
    new.request("DELETE", "/metrics/job/first")
    wait_until(lambda: not new.has(job="first"), 2, "the delete")
    assert fleet.move()["done"]


def test_killed_at_any_point_and_run_again(env):
    fleet = Fleet(env, 3, [1, 2])
    old = fleet.gateways[0]
    labels = [{"job": f"j{i}", "x": "a/b"} for i in range(150)]
    for i, one in enumerate(labels):
        old.push(path_of(one), f"m {i}\n")
    before = contents(old)[0]
    seed = random.randrange(1 << 32)
    print("seed", seed)
    draw = random.Random(seed)
    for _ in range(8):
        process = fleet.start("move", "--once", "--patience", "0s", stderr=subprocess.PIPE)
        time.sleep(draw.uniform(0.01, 0.25))
        process.kill()
        process.communicate()
    fleet.start("move", "--once", "--patience", "0s").wait(20)
    fleet.state.rewrite(lambda state: state.update(operation={
        "by": f"{socket.gethostname()}:999999", "kind": "groups move", "since": 1,
        "step": "moving groups"}))  # as one that was killed leaves it
    result = fleet.move()
    assert result["done"] and result["groups"] == len(labels)
    wait_until(lambda: old.groups() == [], 2, "the deletes")
    after = {}
    for gateway in fleet.members:
        here = contents(gateway)[0]
        assert {fleet.owner(dict(group)) for group in here} == {gateway.address}
        after.update(here)
    assert after == before
    assert fleet.state.load()["operation"] is None


def test_a_dead_owner_is_waited_for(env):
    fleet = Fleet(env, 3, [0, 1, 2])
    a, b, dead = fleet.gateways
    job = fleet.owner.jobs(dead.address, 1)[0]
    other = fleet.owner.jobs(b.address, 1)[0]
    a.push(f"/metrics/job/{job}")
    a.push(f"/metrics/job/{other}")
    dead.kill9()
    result = fleet.run("--once", "--patience", "0s", "--timeout", "2s")
    assert result.rc == 75 and dead.address in result.stderr, result
    assert fleet.holders({"job": job}) == [a.address]
    assert fleet.holders({"job": other}) == [b.address]
    # The state knows: that is no failure, but something waits.
    fleet.write(_2={"health": "down"})
    result = fleet.move(rc=3)
    assert result["waiting"] == 1 and result["misplaced"] == 1
    assert [s["reached"] for s in result["servers"] if s["address"] == dead.address] == [False]


def test_pushes_while_it_moves_are_not_lost(env):
    """Each group is pushed once more, to its owner as nginx would, at some moment of the
    move."""
    fleet = Fleet(env, 3, [1, 2])
    old = fleet.gateways[0]
    labels = [{"job": f"j{i}"} for i in range(200)]
    for one in labels:
        old.push(path_of(one), "m 1\nkept 1\n")
    by_address = {g.address: g for g in fleet.gateways}
    clients, methods = [], {}

    def push(some):
        for one in some:
            method = random.choice(["PUT", "POST"])
            by_address[fleet.owner(one)].push(path_of(one), "m 2\n", method)
            methods[one["job"]] = method

    for i in range(4):
        clients.append(threading.Thread(target=push, args=(labels[i::4],)))
        clients[-1].start()
    fleet.run("--patience", "0s").ok()
    for client in clients:
        client.join()
    result = fleet.move()
    assert result["done"] and result["groups"] == len(labels) == len(methods)
    wait_until(lambda: old.groups() == [], 2, "the deletes")
    for gateway in fleet.members:
        for labels, group in contents(gateway)[0].items():
            job = dict(labels)["job"]
            assert fleet.owner({"job": job}) == gateway.address
            assert group["m"][2][0]["value"] == "2", job
            assert methods[job] == "PUT" or group["kept"][2][0]["value"] == "1", job


def test_it_waits_until_a_group_has_been_silent(env):
    fleet = Fleet(env, 2, [1])
    old, new = fleet.gateways
    old.push("/metrics/job/a")
    result = fleet.move(rc=3, patience="2s")
    assert result["waiting"] == 1 and result["due_at"] > now_ms()
    assert 200 <= result["pause_ms"] <= 2000
    assert old.has(job="a")
    said = fleet.run("--once", "--patience", "1h")
    assert said.rc == 3 and re.search(r"1 group is not in place yet: .* in 59m", said.stderr)
    # Too old to be copied is as good as in place.
    assert fleet.move("--leave-older-than", "1ms")["left"] == 1
    dry = fleet.run("--dry-run", "--patience", "0s").ok()
    assert re.search(rf'^{{job="a"}} +{old.address} +{new.address} +copy$', dry.stdout, re.M)
    assert fleet.move("--dry-run")["moves"][0]["what"] == "copy"
    assert old.has(job="a") and not new.has(job="a")
    # Without --once it waits for it, says nothing and ends well.
    result = fleet.run("--patience", "2s").ok()
    assert result.stdout == result.stderr == ""
    assert new.has(job="a")


def test_while_it_waits_others_have_their_turn_and_an_interrupt_ends_it(env):
    fleet = Fleet(env, 2, [1])
    fleet.gateways[0].push("/metrics/job/a")
    process = fleet.start("move", "--patience", "1m", "--verbose", stderr=subprocess.PIPE)
    try:
        assert b"1 group waits" in process.stderr.readline()
        other = fleet.run("--once", "--patience", "1m", "--timeout", "5s")
        assert other.rc == 3, other  # it had the lock
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=10)[1]
    assert process.returncode == 75 and b"interrupted: run it again" in said
    assert fleet.gateways[0].has(job="a")


def test_one_at_a_time_and_an_interrupt_ends_the_wait_for_the_other(env):
    fleet = Fleet(env, 2, [1])
    with open(env.path(".ring.json.fleet"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write('{"by": "far:1", "what": "scale up"}')
        lock.flush()
        began = time.monotonic()
        result = fleet.run("--once")
        assert time.monotonic() - began < 6 * SLOW
        assert result.rc == 75 and "far:1: scale up" in result.stderr, result
        process = fleet.start("move", "--timeout", "60s", stderr=subprocess.PIPE)
        wait_until(lambda: is_caught(process.pid), 5, "it to wait")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=5 * SLOW)[1]
        assert process.returncode == 75 and b"interrupted: run it again" in said


def is_caught(pid):
    """It has blocked SIGINT, to ask for it."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        blocked = next(line for line in f if line.startswith("SigBlk:"))
    return int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1


def test_a_bar_on_a_terminal(env):
    fleet = Fleet(env, 2, [1])
    for i in range(60):
        fleet.gateways[0].push(f"/metrics/job/j{i}")
    terminal, theirs = pty.openpty()
    process = fleet.start("move", "--patience", "0s", stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        text += data
    os.close(terminal)
    assert process.wait(10) == 0
    assert re.search(rb"moving groups \[#+-*\] \d+/60  [\d.]+/s", text), text
    assert text.splitlines()[-1].endswith(b"60 groups moved, 0 copies removed; 60 groups, "
                                          b"0 misplaced, 0 copies too many"), text
