# SPDX-License-Identifier: Apache-2.0
"""Somebody interferes while groups are moved, at the worst moments: between a look and a
push, between a push and a delete."""

import json
import os
import signal
import subprocess
import threading

import pytest

from testenv import BIN, check_schema, clean_environ, wait_until
from testenv.between import Between
from testenv.groups import Owners, families
from testenv.state import now_ms

PATH = "/metrics/job/a"
OLD = "m 1\nkept 1\n"


class Pair:
    """Groups go from `old` to `new`, and the test stands before both."""

    def __init__(self, env, **options):
        self.env = env
        self.old, self.new = env.pushgateway(), env.pushgateway(**options)
        self.at_old, self.at_new = env.add(Between(self.old)), env.add(Between(self.new))
        self.config = env.config([self.at_old, self.at_new])
        env.state().write(
            [{"address": self.at_old.address, "member": False, "intent": "draining"},
             self.at_new.address],
            history=[{"added": [], "at": now_ms() - 3600_000, "cause": "operator",
                      "generation": 1, "moved_ppm": 0, "removed": []}])

    def move(self, *args, rc=0, patience="0s"):
        """One pass; its JSON, and what it said.  rc: what it is to end with; None: anything."""
        result = self.env.dshard("groups", "move", "--once", "--patience", patience, "-o",
                                 "json", *args, config=self.config)
        assert rc in (None, result.rc), result
        return check_schema("groups-move", json.loads(result.stdout)), result.stderr

    def finish(self):
        """Undisturbed, it ends well: nothing is left behind."""
        self.at_old.before = self.at_old.after = self.at_new.before = self.at_new.after = None
        # A pass has two seconds, on a busy machine, too.
        wait_until(lambda: self.move(rc=None)[0]["done"], 20, "all to be moved", every=0)
        wait_until(lambda: self.old.groups() == [], 2, "the deletes")


def push_once(gateway, body, method, at_method, path=PATH):
    """A hook: a client's push, at the first request of that method."""
    def hook(what, where, n):
        if what == at_method and where.startswith(path) and n == 1:
            gateway.push(path, body, method)
    return hook


def group_of(gateway, **labels):
    return next(g for g in gateway.groups_raw() if g["labels"] == labels)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_push_just_before_ours_stays(env, method):
    pair = Pair(env)
    pair.old.push(PATH, OLD)
    pair.at_new.before = push_once(pair.new, "m 2\n", method, "PUT")
    result, _ = pair.move(rc=3)
    assert result["raced"] == 1 and result["copied"] == 0
    # It is as if we had not been there.
    assert families(pair.new, job="a") == {"m": "2"}
    group = group_of(pair.new, job="a")
    assert group["last_push_successful"]
    assert group["push_failure_time_seconds"]["metrics"][0]["value"] == "0"
    assert families(pair.old, job="a") == {"m": "1", "kept": "1"}
    pair.finish()
    assert families(pair.new, job="a") == {"m": "2", "kept": "1"}


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_push_just_after_ours_stays(env, method):
    pair = Pair(env)
    pair.old.push(PATH, OLD)
    pair.at_new.after = push_once(pair.new, "m 2\n", method, "PUT")
    result, _ = pair.move()
    assert result["done"] and result["copied"] == 1 and result["raced"] == 0
    assert families(pair.new, job="a") == ({"m": "2"} if method == "PUT" else
                                           {"m": "2", "kept": "1"})
    pair.finish()


@pytest.mark.parametrize("times", [1, 9])
def test_a_late_push_to_the_old_server_is_not_lost(env, times):
    """It came through a frontend that was asleep: our copy is older by then."""
    pair = Pair(env)
    pair.old.push(PATH, OLD)

    def late(method, path, n):
        if method == "PUT" and n <= times:
            pair.old.push(PATH, f"m {n + 1}\n", "POST")
    pair.at_new.after = late
    result, _ = pair.move(rc=0 if times == 1 else 3)
    if times == 1:
        assert result["done"] and result["copied"] == 1 and result["raced"] == 0
    else:  # it gives up, and says so; both are there
        assert result["raced"] == 1 and result["copies"] == 1
        assert families(pair.old, job="a")["m"] == "4"
        return
    assert families(pair.new, job="a") == {"m": "2", "kept": "1"}
    pair.finish()


def test_a_copy_that_is_pushed_to_is_not_deleted(env):
    pair = Pair(env)
    pair.old.push(PATH, OLD)
    pair.new.push(PATH, "m 2\n")
    pair.new.push("/metrics/job/b", "m 2\n")
    pair.old.push("/metrics/job/b", "m 1\n")

    def late(method, path, n):
        if path.endswith("/api/v1/metrics") and n == 2:
            pair.old.push("/metrics/job/b", "late 1\n", "POST")
    pair.at_old.before = late
    result, _ = pair.move(rc=3)
    assert result["raced"] == 1
    assert families(pair.old, job="b") == {"m": "1", "late": "1"}
    pair.finish()
    assert families(pair.new, job="b") == {"m": "2", "late": "1"}
    assert families(pair.new, job="a") == {"m": "2", "kept": "1"}


def test_a_family_that_arrives_meanwhile_is_not_replaced(env):
    pair = Pair(env)
    pair.old.push(PATH, OLD)
    pair.new.push(PATH, "m 2\n")

    def late(method, path, n):
        if path.endswith("/api/v1/metrics") and n == 2:
            pair.new.push(PATH, "kept 2\n", "POST")
    pair.at_new.before = late
    result, _ = pair.move(rc=3)
    assert result["raced"] == 1 and result["merged"] == 0
    pair.finish()
    assert families(pair.new, job="a") == {"m": "2", "kept": "2"}


def test_a_group_that_is_always_pushed_gets_what_it_lacks(env):
    pair = Pair(env)
    pair.old.push(PATH, OLD)
    pair.new.push(PATH, "m 2\n")

    def busy(method, path, n):
        if method in ("GET", "POST"):
            pair.new.push(PATH, f"m {n + 2}\n", "POST")
    pair.at_new.before = busy
    result, _ = pair.move()
    assert result["merged"] == 1 and result["raced"] == 0
    assert families(pair.new, job="a")["kept"] == "1"
    assert families(pair.new, job="a")["m"] != "1"
    pair.finish()


def test_the_one_to_stay_is_gone(env):
    """Somebody deletes it, or its server comes back empty: then the other one is not
    deleted."""
    pair = Pair(env)
    pair.old.push(PATH, "m 1\n")
    pair.new.push(PATH, "m 2\n")

    def gone(method, path, n):
        if path.endswith("/api/v1/metrics") and n == 2:
            pair.new.request("DELETE", PATH)
            wait_until(lambda: not pair.new.groups(), 2, "the delete")
    pair.at_new.before = gone
    result, _ = pair.move(rc=3)
    assert result["raced"] == 1 and result["deleted"] == 0
    pair.finish()
    assert families(pair.new, job="a") == {"m": "1"}


def test_a_server_that_does_not_check_gets_no_guard(env):
    """There a push can be replaced; that is noticed."""
    pair = Pair(env, args=["--push.disable-consistency-check"])
    pair.old.push(PATH, OLD)
    pair.at_new.before = push_once(pair.new, "m 2\n", "PUT", "PUT")
    result, _ = pair.move()
    assert result["raced"] == 1 and result["copied"] == 1
    assert pair.new.request("GET", "/metrics").status == 200
    # One that has taken a guard all the same (it was told to end at that moment) is mended.
    twice = "push_failure_time_seconds 0\n" * 2
    pair.new.push(PATH, f"m 3\n# TYPE push_failure_time_seconds gauge\n{twice}")
    wait_until(lambda: pair.new.request("GET", "/metrics").status == 500, 2, "the guard")
    pair.finish()
    wait_until(lambda: pair.new.request("GET", "/metrics").status == 200, 2, "the mending")
    assert families(pair.new, job="a")["m"] == "3"


def test_what_is_queued_is_waited_for(env):
    """The answer is 202, and it is done later."""
    pair = Pair(env, args=["--push.disable-consistency-check"])
    pair.old.push(PATH, OLD)

    def queue(method, path, n):
        if method == "PUT":
            threading.Timer(0.1, pair.new.push, (PATH, OLD)).start()
            return 202, b""
        return None
    pair.at_new.before = queue
    result, _ = pair.move()
    assert result["done"] and result["copied"] == 1 and result["raced"] == 0
    assert families(pair.new, job="a") == {"m": "1", "kept": "1"}
    pair.finish()


def test_a_server_that_fails_on_the_way(env):
    pair = Pair(env, persist=True)
    jobs = [f"j{i}" for i in range(10)]
    for job in jobs:
        pair.old.push(f"/metrics/job/{job}", "m 1\n")
    wait_until(lambda: pair.old.groups(), 2, "the groups")

    def dies(method, path, n):
        if method == "PUT" and n == 4:
            pair.new.kill9()
    pair.at_new.before = dies
    result, said = pair.move(rc=75)
    assert pair.at_new.address in said and result["undone"] >= 7 and not result["done"]
    assert len(pair.old.groups()) == 10 - result["copied"]
    pair.new.start()
    pair.finish()
    assert len(pair.new.groups()) == 10


def test_errors_of_a_server(env):
    """One may be about the push; the second one is about the server."""
    pair = Pair(env)
    for i in range(5):
        pair.old.push(f"/metrics/job/j{i}", "m 1\n")
    pair.at_new.before = lambda method, path, n: (
        (500, b"write queue is full\n") if method == "PUT" and n == 1 else None)
    result, said = pair.move(rc=1)
    assert result["copied"] == 4 and len(result["refused"]) == 1
    assert "write queue is full" in result["refused"][0]["why"] and "stays on" in said
    pair.finish()
    for i in range(5):
        pair.old.push(f"/metrics/job/k{i}", "m 1\n")
    pair.at_new.before = lambda method, path, n: (
        (500, b"write queue is full\n") if method == "PUT" else None)
    result, said = pair.move(rc=75)
    assert "write queue is full" in said and pair.at_new.address in said
    assert result["undone"] == 5 and not result["refused"] and len(pair.old.groups()) == 5
    # Not answering at all.
    pair.at_new.before = lambda method, path, n: (502, b"") if method == "GET" else None
    result, said = pair.move(rc=75)
    assert "502" in said and pair.at_new.address in said and result["waiting"] == 5
    pair.finish()


def test_a_source_that_cannot_be_scraped_is_still_moved(env):
    """A label value that is not UTF-8 has broken it for good: its other groups leave it."""
    pair = Pair(env)
    text = ('# HELP h help\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\n'
            'h_sum 3\nh_count 2\n# TYPE s summary\ns{quantile="0.5"} NaN\ns_sum 1\ns_count 1\n')
    pair.old.push(PATH, text)
    before = group_of(pair.old, job="a")
    assert pair.old.request("PUT", "/metrics/job/a/x/%FF", "m 1\n").status == 400
    assert pair.old.request("GET", "/metrics").status == 500
    result, said = pair.move(rc=1)
    assert result["copied"] == 1 and "1 group has labels that no URL can say" in said
    after = group_of(pair.new, job="a")
    for name in ("h", "s"):
        assert after[name]["metrics"] == before[name]["metrics"]
    assert after["h"]["help"] == "help"


def test_owners_agree_with_ours():
    """The helper that these tests rest on, by hand."""
    owner = Owners(["b:1"])
    assert owner({"job": "x"}) == "b:1" and owner.jobs("b:1", 2) == ["job0", "job1"]


def test_told_to_end_twice_it_ends_its_step(env):
    """As happens to a pass of a watch that systemd stops: both of them tell it to end."""
    pair = Pair(env)
    for job in "ab":
        pair.old.push(f"/metrics/job/{job}", OLD)
    told = []

    def tell(method, path, n):
        if method == ("GET" if told else "PUT") and len(told) < 2:
            told.append(method)
            process.send_signal(signal.SIGTERM)
    pair.at_new.before = tell  # the GET is that after the PUT, when it has noticed the first
    with subprocess.Popen([os.path.join(BIN, "dshard"), "--config", pair.config.path, "groups",
                           "move", "--once", "--patience", "0s"], env=clean_environ(),
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        said = process.communicate(timeout=20)[1]
    assert process.returncode == 75 and b"interrupted: run it again" in said, said
    assert told == ["PUT", "GET"]
    wait_until(lambda: len(pair.old.groups()) == len(pair.new.groups()) == 1, 2, "the delete")
    assert env.state().load()["operation"] is None
