# SPDX-License-Identifier: Apache-2.0
"""`watch` keeps the groups in place: after changes of the ring, returns, restarts; it alone,
and only the one that decides."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from testenv import BIN, clean_environ, wait_until
from testenv.fleet import Frontend, await_agreement, decider, holds
from testenv.groups import Owners, families
from testenv.process import _session_pids
from testenv.state import now_ms
from testenv.wait import LONG, SLOW

PATIENCE_MS = 300
SLOW_CHECKS = {"interval": "30s", "timeout": "30s"}  # nothing is noticed by them


class Tended:
    """n Pushgateways that a watch tends."""

    def __init__(self, env, n=3, groups="move", start=True, persist=False, **sections):
        self.env, self.gateways = env, env.pushgateways(n, persist=persist)
        self.by_name = {g.address: g for g in self.gateways}
        self.config = env.config(
            self.gateways, watch={"groups": groups, "patience": f"{PATIENCE_MS}ms"}, **sections)
        self.state = env.state()
        self.watch = env.watch(self.config, start=start)

    def owner(self, *gateways):
        """Of a job, in a ring of these (all)."""
        return Owners([g.address for g in gateways or self.gateways])

    def jobs(self, gateway, n, prefix="job"):
        """So many that belong to it while all are members."""
        return self.owner().jobs(gateway.address, n, prefix)

    def push(self, job, value, *members):
        address = self.owner(*members)({"job": job})
        self.by_name[address].push(f"/metrics/job/{job}", f"m {value}\n")
        return self.by_name[address]

    def places(self, job):
        """{address: value} of all its copies."""
        found = {g.address: families(g, job=job) for g in self.gateways if g.running}
        return {a: f["m"] for a, f in found.items() if f is not None}

    def await_places(self, wanted, timeout=8, what="the groups to be in place"):
        """wanted: {job: {gateway: value}}"""
        names = {job: {g.address: str(v) for g, v in where.items()}
                 for job, where in wanted.items()}
        wait_until(lambda: {job: self.places(job) for job in names} == names, timeout,
                   f"{what}: {names}")

    def await_ring(self, *gateways):
        names = sorted(g.address for g in gateways)
        wait_until(lambda: self.state.members() == names, 5, f"the ring to be {names}")

    def await_grace(self):
        """Pushes to the owners are now known to be newer than the change of the ring."""
        at = self.state.load()["history"][0]["at"]
        wait_until(lambda: now_ms() > at + PATIENCE_MS + 50, 2, "the grace")

    def health(self, gateway):
        return self.state.server(gateway.address)["health"]

    def children(self):
        return children_of(self.watch)


def children_of(watch):
    return [p for p in _session_pids(watch.pid) if p != watch.pid]


def await_words(watch, words):
    """A pass has ended, and was said."""
    wait_until(lambda: words in watch.log(), 5, f"the log to say '{words}'")


def asked(gateway, handler):
    """How often it has been asked for it."""
    found = re.search(rf'^pushgateway_http_requests_total{{code="200",handler="{handler}",'
                      r'method="get"} (\d+)$', gateway.metrics(), re.M)
    return int(found[1]) if found else 0


def is_told_to_end(pid):
    """SIGTERM has ended it, or is there for it to take."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            lines = dict(line.split(":", 1) for line in f.read().splitlines())
    except OSError:
        return True
    pending = int(lines["ShdPnd"], 16) | int(lines["SigPnd"], 16)
    return lines["State"].split()[0] in "ZX" or bool(pending >> (signal.SIGTERM - 1) & 1)


# ---- changes of the ring -----------------------------------------------------------------


def test_groups_go_where_the_ring_says_without_any_command(env):
    fleet = Tended(env)
    a, b, c = fleet.gateways
    moving, staying = fleet.jobs(c, 4), fleet.jobs(a, 2)
    for job in moving + staying:
        fleet.push(job, 1)
    env.dshard("drain", c.address, config=fleet.config).ok()
    away = fleet.owner(a, b)
    wanted = {job: {a: 1} for job in staying}
    wanted.update({job: {fleet.by_name[away({"job": job})]: 1} for job in moving})
    fleet.await_places(wanted)
    assert not c.groups()

    env.dshard("undrain", c.address, config=fleet.config).ok()
    fleet.await_ring(a, b, c)
    fleet.await_grace()
    fleet.push(moving[0], 2)  # this one moves by itself
    wanted.update({job: {c: 1} for job in moving})
    wanted[moving[0]] = {c: 2}
    fleet.await_places(wanted)
    await_words(fleet.watch, "groups tended")
    assert "level=warn" not in fleet.watch.log()
    wait_until(lambda: env.state().load()["operation"] is None, 2, "the pass to end")


def test_a_server_that_comes_back_with_old_data_is_cleaned_before_it_rejoins(env):
    fleet = Tended(env, persist=True)
    a, b, c = fleet.gateways
    jobs = fleet.jobs(c, 5)
    for job in jobs:
        fleet.push(job, 1)
    wait_until(lambda: os.path.exists(c.persistence), 5, "the file")
    saved = os.stat(c.persistence).st_mtime_ns
    fleet.push(jobs[0], 1)
    wait_until(lambda: os.stat(c.persistence).st_mtime_ns > saved, 5, "the file")
    c.kill9()
    fleet.await_ring(a, b)
    fleet.await_grace()
    for job in jobs[:4]:
        fleet.push(job, 2, a, b)
    came_back = now_ms()
    c.start()
    assert len(c.groups()) == 5
    wait_until(lambda: not [j for j in jobs[:4] if families(c, job=j) == {"m": "1"}],
               20, "the stale copies to go")
    assert now_ms() - came_back <= (200 + 3000) * SLOW  # interval x rise + 3 s
    # Now it is a member again, and has what was pushed without it; what only it had stays.
    fleet.await_ring(a, b, c)
    fleet.await_places({job: {c: 1 if job == jobs[4] else 2} for job in jobs})
    log = fleet.watch.log()
    cleaned, joined = log.index('msg="groups tended"'), log.rindex('msg="server up"')
    assert cleaned < joined and "old groups may be left" not in log, log


def come_back_with_old_data(fleet, gateway, n=3):
    """To be started; a function that tells how many old copies are left on it."""
    rest = [g for g in fleet.gateways if g is not gateway]
    jobs = fleet.jobs(gateway, n, "old")
    for job in jobs:
        fleet.push(job, 1)
    gateway.stop()
    fleet.await_ring(*rest)
    fleet.await_grace()
    for job in jobs:
        fleet.push(job, 2, *rest)
    return lambda: sum(families(gateway, job=job) == {"m": "1"} for job in jobs)


def test_who_cannot_be_cleaned_stays_held_until_somebody_else_has_done_it(env):
    fleet = Tended(env, n=2, persist=True, ring={"rejoin_after": "0s"})
    a, b = fleet.gateways
    n_old = come_back_with_old_data(fleet, b, 1)
    with open(env.path(".ring.json.fleet"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write('{"by": "far:1", "what": "scale up"}')
        lock.flush()
        b.start()
        wait_until(lambda: fleet.health(b) == "held", 5, "it to be held")
        await_words(fleet.watch, "server stays held until its groups can be cleaned")
        holds(lambda: fleet.health(b) == "held", 1)
        result = env.dshard("status", config=fleet.config)
        assert "is back and rejoins when its old groups are cleaned away" in result.stdout, result
        assert n_old() == 1
        job, = fleet.jobs(b, 1, "old")
        b.request("DELETE", f"/metrics/job/{job}")
        wait_until(lambda: fleet.state.members() == sorted(fleet.by_name), 8, "it to rejoin")
    log = fleet.watch.log()
    assert "old groups may be left" not in log
    for words in ("groups not tended now", "server stays held"):
        assert re.findall(rf'msg="{words}.* why=(.*)', log) == [
            '"groups move: the fleet\'s lock is held by far:1: scale up"'], log


def test_who_waits_for_patience_lets_the_watch_clean(env):
    """A `groups move --match` in the foreground, which would hold the lock for minutes."""
    fleet = Tended(env, persist=True, ring={"rejoin_after": "0s"})
    fleet.config.set(watch={"groups": "dedupe", "patience": f"{PATIENCE_MS}ms"})
    fleet.watch.signal(signal.SIGHUP)
    a, b, c = fleet.gateways
    n_old = come_back_with_old_data(fleet, c)
    lone, = fleet.owner(a, b).jobs(a.address, 1, "lone")
    b.push(f"/metrics/job/{lone}", "m 1\n")
    move = subprocess.Popen(
        [os.path.join(BIN, "dshard"), "--config", fleet.config.path, "groups", "move",
         "--match", f"job={lone}", "--patience", "100s", "--verbose"],
        env=clean_environ(), stderr=subprocess.PIPE, text=True)
    try:
        assert "1 group waits" in move.stderr.readline()
        c.start()
        fleet.await_ring(a, b, c)
        assert not n_old()
    finally:
        move.terminate()
        said = move.communicate()[1]
    assert move.returncode == 75 and "interrupted" in said
    assert fleet.places(lone) == {b.address: "1"}
    assert "old groups may be left" not in fleet.watch.log()


def test_a_tie_keeps_nobody_out(env):
    """Two pushes at the same time are no old data and the other way round."""
    fleet = Tended(env, n=2, persist=True, ring={"rejoin_after": "0s"})
    fleet.config.set(watch={"groups": "move", "patience": "3s"})
    fleet.watch.restart()
    a, b = fleet.gateways
    fleet.await_ring(a, b)
    job, = fleet.jobs(b, 1)
    fleet.push(job, 1)
    b.stop()
    fleet.await_ring(a)
    fleet.push(job, 2, a)  # before the grace is over, and so by both clocks
    b.start()
    fleet.await_ring(a, b)
    assert "old groups may be left" not in fleet.watch.log()


def test_a_restart_between_two_checks_is_noticed(env):
    fleet = Tended(env, persist=True, start=False, health_check=SLOW_CHECKS)
    a, b, c = fleet.gateways
    job, = fleet.jobs(c, 1)
    b.push(f"/metrics/job/{job}", "m 1\n")  # where it does not belong
    wait_until(lambda: os.path.exists(b.persistence), 5, "the file")
    old = shutil.copy(b.persistence, b.persistence + ".old")
    fleet.watch.start()
    fleet.await_places({job: {c: 1}})
    fleet.watch.restart()  # a start is followed by one pass, and then by none for minutes
    before = {h: asked(b, h) for h in ("api/v1/status", "api/v1/metrics")}
    fleet.watch.restart()
    wait_until(lambda: all(asked(b, h) > n for h, n in before.items()), 5, "the pass")
    wait_until(lambda: not fleet.children(), 5, "its end")
    b.kill9()
    shutil.copy(old, b.persistence)
    b.start()
    assert fleet.places(job) == {b.address: "1", c.address: "1"}
    fleet.await_places({job: {c: 1}}, 9)
    log = fleet.watch.log()
    assert "server restarted" in log and "server down" not in log, log


# ---- modes -------------------------------------------------------------------------------


def test_dedupe_copies_nothing_and_leaves_one_of_each(env):
    fleet = Tended(env, n=2, groups="dedupe", start=False)
    a, b = fleet.gateways
    lone, twice = fleet.jobs(b, 2)
    for job in (lone, twice):
        a.push(f"/metrics/job/{job}", "m 1\n")
    fleet.watch.start()
    fleet.await_grace()
    fleet.push(twice, 2)
    fleet.await_places({lone: {a: 1}, twice: {b: 2}})
    holds(lambda: fleet.places(lone) == {a.address: "1"}, 2 * PATIENCE_MS / 1000)
    fleet.push(lone, 2)  # the next push brings it home
    fleet.await_places({lone: {b: 2}, twice: {b: 2}})
    await_words(fleet.watch, "copied=0")
    assert not re.search(r"copied=[^0]", fleet.watch.log())


def test_off_touches_nothing(env):
    fleet = Tended(env, n=2, groups="off", start=False, ring={"rejoin_after": "0s"})
    a, b = fleet.gateways
    job, = fleet.jobs(b, 1)
    for gateway in (a, b):
        gateway.push(f"/metrics/job/{job}", "m 1\n")
    fleet.watch.start()
    holds(lambda: not fleet.children(), 1)
    b.kill9()
    fleet.await_ring(a)
    b.start()
    fleet.await_ring(a, b)  # nobody waits for a cleaning
    assert "held" not in fleet.watch.log()
    assert fleet.places(job) == {a.address: "1"}
    # SIGHUP turns it on, and off.
    fleet.config.set(watch={"groups": "move"})
    fleet.watch.signal(signal.SIGHUP)
    fleet.await_places({job: {b: 1}})


# ---- the child ---------------------------------------------------------------------------


def hang_a_pass(fleet):
    """The pid of a pass that waits for a server: the one that is there for longer."""
    since = {}
    fleet.gateways[0].pause()
    fleet.watch.signal(signal.SIGHUP)

    def lasts():
        now = time.monotonic()
        return [p for p in fleet.children() if now - since.setdefault(p, now) > 0.4 * SLOW]

    return wait_until(lasts, 5, "a pass")[0]


def test_a_pass_dies_with_a_killed_watch(env):
    fleet = Tended(env, n=2, health_check=SLOW_CHECKS)
    child = hang_a_pass(fleet)
    assert not is_told_to_end(child)
    os.kill(fleet.watch.pid, signal.SIGKILL)  # it alone
    wait_until(lambda: is_told_to_end(child), 5, "the kernel's word")
    fleet.gateways[0].resume()
    wait_until(lambda: not fleet.children(), 5, "the pass to end")
    fleet.watch.kill9()


def test_sigterm_ends_the_pass_too(env):
    fleet = Tended(env, n=2, health_check=SLOW_CHECKS)
    child = hang_a_pass(fleet)
    fleet.watch.signal(signal.SIGTERM)
    wait_until(lambda: is_told_to_end(child), 5, "the word")
    assert fleet.watch.running, "it waits for the pass"
    fleet.gateways[0].resume()
    assert fleet.watch.wait_exit() == 0
    assert not os.path.exists(f"/proc/{child}")
    assert "not tended" not in fleet.watch.log()


def test_once_tends_nothing(env):
    fleet = Tended(env, n=2, start=False)
    a, b = fleet.gateways
    job, = fleet.jobs(b, 1)
    a.push(f"/metrics/job/{job}", "m 1\n")
    env.dshard("watch", "--once", config=fleet.config).ok()
    assert fleet.places(job) == {a.address: "1"}


def test_a_file_that_went_bad_is_said_once_and_mended(env):
    fleet = Tended(env, n=2)
    a, b = fleet.gateways
    with open(fleet.config.path, encoding="utf-8") as f:
        good = f.read()
    fleet.config.write_text(good + "nonsense: 1\n")
    # The watch goes on by what it has read; its passes read anew.
    env.dshard("drain", b.address, config=env.write("other.yml", good)).ok()
    await_words(fleet.watch, "groups not tended now")
    assert "exit status 2: " in fleet.watch.log()
    fleet.config.write_text(good)
    fleet.watch.signal(signal.SIGHUP)
    await_words(fleet.watch, "groups are tended again")
    assert fleet.watch.log().count("groups not tended now") == 1


# ---- with Consul -------------------------------------------------------------------------


@pytest.mark.parametrize("end", [signal.SIGTERM] + ([signal.SIGKILL] if LONG else []))
def test_only_the_decider_tends(env, end):
    consul = env.consul()
    gateways = env.pushgateways(3)
    for gateway in gateways:
        consul.register(gateway.address)
    consul.wait_passing(gateways)
    both = [Frontend(env, name, consul, gateways, relay=False,
                     watch={"groups": "move", "patience": f"{PATIENCE_MS}ms"})
            for name in "ab"]
    await_agreement(both, 3)
    first = decider(consul, both)
    second = next(f for f in both if f is not first)
    a, b, c = gateways
    jobs = Owners([g.address for g in gateways]).jobs(c.address, 3)
    for job in jobs:
        c.push(f"/metrics/job/{job}", "m 1\n")

    env.dshard("drain", c.address, config=first.config).ok()
    wait_until(lambda: not c.groups(), 10, "the first to move the groups")
    await_words(first.watch, "groups tended")
    assert "groups tended" not in second.watch.log() and not children_of(second.watch)

    if end == signal.SIGTERM:
        first.watch.stop()
    else:
        first.watch.kill9()
    decider(consul, [second], 40)
    env.dshard("undrain", c.address, config=second.config).ok()
    wait_until(lambda: all(families(c, job=job) == {"m": "1"} for job in jobs), 10 + 30 * LONG,
               "the second to bring them back")
    await_words(second.watch, "groups tended")
    wait_until(lambda: not a.groups() + b.groups(), 5, "the copies to go")
