# SPDX-License-Identifier: Apache-2.0
"""`scale up`, `down` and `to`, and `drain --wait`: standalone, with real Pushgateways."""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from testenv import BIN, RawHTTP, check_schema, clean_environ, free_port, wait_until
from testenv.groups import Owners, contents, families
from testenv.state import now_ms

N_GROUPS = 48
FAST = ("--patience", "300ms", "--settle", "0s")
# What `operation` says, in this order.
STEPS = ["joining", "editing the configuration", "waiting for Prometheus",
         "changing the ring", "moving groups", "verifying", "deregistering"]


def addresses(gateways):
    return sorted(g.address for g in gateways)


class Fleet:
    """n Pushgateways that are members, N_GROUPS groups where the ring wants them, a spare
    server; `fleet.watch` follows them unless told otherwise."""

    def __init__(self, env, n=3, watch=True, groups=N_GROUPS, persist=False, mode="off",
                 **sections):
        self.env = env
        *self.gateways, self.spare = env.pushgateways(n + 1, persist=persist)
        self.all = [*self.gateways, self.spare]
        self.config = env.config(
            self.gateways, watch={"groups": mode, "patience": "300ms"}, **sections)
        self.comment()
        self.state = env.state()
        self.watch = env.watch(self.config) if watch else None
        if not watch:
            env.dshard("register", config=self.config).ok()
        wait_until(lambda: self.is_ring(self.gateways), 10, "the ring")
        owner = Owners(addresses(self.gateways))
        self.jobs = [{"job": f"job{i}"} for i in range(groups)]
        for i, labels in enumerate(self.jobs):
            self.at(owner(labels)).push(f"/metrics/job/{labels['job']}", f"m{i % 7} {i}\n")

    def comment(self):
        """Comments, and a list that is no list of ours."""
        with open(self.config.path, encoding="utf-8") as f:
            text = f.read()
        self.config.write_text("# oben: ä\n" + text.replace(
            "servers:\n", "servers: # all of them\n", 1))

    def text(self):
        with open(self.config.path, encoding="utf-8") as f:
            return f.read()

    def at(self, address):
        return next(g for g in self.all if g.address == address)

    def is_ring(self, gateways):
        return self.state.members() == addresses(gateways)

    def scale(self, *args, rc=0, fast=FAST, **more):
        """The command's result, which must end so."""
        if "down" in args:
            fast = fast[:2]
        result = self.env.dshard("scale", *args, *fast, config=self.config, **more)
        assert result.rc == rc, result
        return result

    def json(self, *args, rc=0, **more):
        return check_schema("scale", self.scale(*args, "-o", "json", rc=rc, **more).json())

    def start(self, *args, stderr=subprocess.DEVNULL):
        return subprocess.Popen(
            [os.path.join(BIN, "dshard"), "--config", self.config.path, "scale", *args],
            env=clean_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=stderr)

    def holders(self, labels):
        return [g.address for g in self.all if g.running and labels in g.groups()]

    def assert_in_place(self, members):
        """Each group is on its owner alone, with the value that was pushed."""
        owner = Owners(addresses(members))
        for i, labels in enumerate(self.jobs):
            if not labels:  # deleted
                continue
            assert self.holders(labels) == [owner(labels)], labels
            assert families(self.at(owner(labels)), **labels) == {f"m{i % 7}": str(i)}
        assert self.is_ring(members) and self.state.is_checked()
        assert self.state.load()["operation"] is None

    def step(self):
        """What is done now; None: nothing."""
        return (self.state.load()["operation"] or {}).get("step")

    def snapshot(self):
        """All that an operation may change, but for times and generations."""
        servers = [(s["address"], s["intent"], s["member"])
                   for s in self.state.load()["servers"]]
        return self.text(), servers, {g.address: contents(g)[0] for g in self.all}


# ---- up ------------------------------------------------------------------------------


@pytest.mark.parametrize("watch", [True, False], ids=["watch", "alone"])
def test_up_moves_what_the_plan_said_and_nothing_else(env, watch):
    fleet = Fleet(env, watch=watch)
    before = fleet.text()
    plan = fleet.json("up", fleet.spare.address, "--dry-run")["plan"]
    planned = {m["group"]: m["from"] for m in plan["groups"]["moving"]}
    assert 0 < len(planned) < N_GROUPS and {m["to"] for m in plan["groups"]["moving"]} == {
        fleet.spare.address}
    result = fleet.scale("up", fleet.spare.address)
    assert result.stdout == f"{fleet.spare.address} is a member now\n"
    fleet.assert_in_place(fleet.all)
    moved = {f'{{job="{g["job"]}"}}' for g in fleet.spare.groups()}
    assert moved == set(planned)
    assert fleet.text() == before.replace(
        f'"{fleet.gateways[-1].address}"\n',
        f'"{fleet.gateways[-1].address}"\n    - "{fleet.spare.address}"\n')
    assert re.findall(r"^dshard: (\d/\d) ", result.stderr, re.M) == [
        "1/4", "2/4", "3/4", "4/4"], "a line a step"
    assert f"{fleet.spare.address} has no --persistence.file" in result.stderr
    again = fleet.json("up", fleet.spare.address)
    assert again["done"] and not again["copied"] and not again["missing"]


def test_dry_run_changes_nothing(env):
    fleet = Fleet(env, groups=8)
    before, written = fleet.snapshot(), os.stat(fleet.config.path).st_mtime_ns
    for args in (["up", fleet.spare.address], ["down", fleet.gateways[0].address],
                 ["to", fleet.gateways[1].address, fleet.spare.address]):
        assert "would move" in fleet.scale(*args, "--dry-run").stdout
        content = fleet.json(*args, "--dry-run")
        assert content["dry_run"] and not content["done"]
    assert fleet.snapshot() == before
    assert os.stat(fleet.config.path).st_mtime_ns == written


def test_a_newcomer_is_listed_before_it_is_a_member(env):
    fleet = Fleet(env, groups=4)
    scaling = fleet.start("up", fleet.spare.address, "--settle", "30s", "--patience", "0s")
    try:
        wait_until(lambda: fleet.step() == STEPS[2], 10, "the wait for Prometheus")
        server = fleet.state.server(fleet.spare.address)
        assert server["intent"] == "joining" and not server["member"]
        assert f'- "{fleet.spare.address}"' in fleet.text()
        assert fleet.is_ring(fleet.gateways)
        result = env.dshard("scale", "down", fleet.gateways[0].address, "--timeout", "1s",
                            config=fleet.config)
        assert result.rc == 75 and "scale up" in result.stderr, "one at a time"
        result = env.dshard("drain", fleet.gateways[0].address, "--wait", "--timeout", "1s",
                            config=fleet.config)
        assert result.rc == 75 and "nothing was drained" in result.stderr, result
        assert fleet.state.server(fleet.gateways[0].address)["intent"] == "in"
    finally:
        scaling.kill()
        scaling.wait()
    assert fleet.state.load()["operation"]["kind"] == f"scale up {fleet.spare.address}"


def test_who_comes_back_meanwhile_is_cleaned_and_rejoins(env):
    fleet = Fleet(env, groups=12, persist=True, mode="move", ring={"rejoin_after": "0s"})
    gone, *rest = fleet.gateways
    theirs = [labels for labels in fleet.jobs if fleet.holders(labels) == [gone.address]]
    assert theirs
    gone.stop()
    wait_until(lambda: fleet.is_ring(rest), 5, "it to leave")
    since = fleet.state.load()["history"][0]["at"]
    wait_until(lambda: now_ms() > since + 400, 3, "the grace to end")
    owner = Owners(addresses(rest))
    for labels in theirs:
        fleet.at(owner(labels)).push(f"/metrics/job/{labels['job']}", "new 1\n")
    scaling = fleet.start("up", fleet.spare.address, "--settle", "60s")
    try:
        wait_until(lambda: fleet.step() == STEPS[2], 10, "the wait for Prometheus")
        gone.start()
        wait_until(lambda: fleet.is_ring(fleet.gateways), 10, "it to rejoin")
        assert fleet.step() == STEPS[2]
        assert not [g for g in theirs if gone.address in fleet.holders(g)]
    finally:
        scaling.terminate()
        scaling.wait()
    log = fleet.watch.log()
    assert "server stays held" in log and "old groups may be left" not in log, log


def test_a_scrape_ends_the_wait(env):
    fleet = Fleet(env, groups=4)
    fcgi = env.fcgi(fleet.state)
    nginx = env.nginx(conf="server { listen 127.0.0.1:@PORT@; location / { "
                      f"fastcgi_pass {fcgi.nginx_address}; "
                      "fastcgi_param REQUEST_METHOD $request_method; "
                      "fastcgi_param REQUEST_URI $request_uri; } }\n")
    env.prometheus(conf="global: {scrape_interval: 1s}\nscrape_configs:\n"
                   "- job_name: pg\n  honor_labels: true\n  http_sd_configs:\n"
                   f"  - {{url: 'http://{nginx.address}/sd', refresh_interval: 1s}}\n")
    began = time.monotonic()
    result = fleet.scale("up", fleet.spare.address,
                         fast=("--settle", "60s", "--patience", "0s"), timeout=60)
    assert time.monotonic() - began < 30 and "scrape" not in result.stderr, result
    fleet.assert_in_place(fleet.all)


def test_without_a_scrape_it_goes_on_and_a_clients_delete_is_no_loss(env):
    fleet = Fleet(env, groups=4)
    scaling = fleet.start("up", fleet.spare.address, "--settle", "1s", "--patience", "0s",
                          stderr=subprocess.PIPE)
    wait_until(lambda: fleet.step() == STEPS[2], 10, "the wait for Prometheus")
    gone = fleet.jobs.pop(0)
    fleet.at(fleet.holders(gone)[0]).request("DELETE", f"/metrics/job/{gone['job']}")
    said = scaling.communicate(timeout=30)[1].decode()
    assert scaling.returncode == 0
    assert f"nobody seems to scrape {fleet.spare.address} yet" in said
    assert '{job="job0"} was there when this began and is gone now' in said
    fleet.jobs.insert(0, None)
    fleet.assert_in_place(fleet.all)


# ---- newcomers that are not empty ----------------------------------------------------


@pytest.fixture
def stocked(env):
    """The spare has an older copy of a group of the fleet, and one of its own."""
    fleet = Fleet(env, groups=12)
    fleet.spare.push("/metrics/job/own", "own 1\n")
    fleet.spare.push("/metrics/job/job3", "stale 1\n")
    holder = fleet.at(Owners(addresses(fleet.gateways))({"job": "job3"}))
    holder.push("/metrics/job/job3", "m3 3\n")
    return fleet


def test_a_newcomer_that_holds_groups_is_refused(stocked):
    before = stocked.snapshot()
    result = stocked.scale("up", stocked.spare.address, rc=5)
    assert "' holds 2 groups" in result.stderr and "--adopt" in result.stderr, result
    assert stocked.snapshot() == before
    result = stocked.scale("up", stocked.spare.address, "--adopt", "--wipe", rc=2)


def test_adopt_keeps_what_nobody_else_has(stocked):
    stocked.scale("up", stocked.spare.address, "--adopt")
    owner = Owners(addresses(stocked.all))
    for labels in [*stocked.jobs, {"job": "own"}]:
        assert stocked.holders(labels) == [owner(labels)]
    assert families(stocked.at(owner({"job": "own"})), job="own") == {"own": "1"}
    assert families(stocked.at(owner({"job": "job3"})), job="job3")["m3"] == "3"


def test_wipe_empties_it_first(stocked):
    stocked.scale("up", stocked.spare.address, "--wipe")
    stocked.assert_in_place(stocked.all)
    assert stocked.holders({"job": "own"}) == []


# ---- down ----------------------------------------------------------------------------


@pytest.mark.parametrize("watch", [True, False], ids=["watch", "alone"])
def test_down_ends_empty_and_taken_out(env, watch):
    fleet = Fleet(env, watch=watch)
    gone, *rest = fleet.gateways
    before = fleet.text()
    content = fleet.json("down", gone.address)
    assert content["done"] and content["copied"] == sum(
        m["from"] == gone.address for m in content["plan"]["groups"]["moving"])
    fleet.assert_in_place(rest)
    assert gone.groups() == []
    assert fleet.state.server(gone.address)["intent"] == "out"
    assert fleet.text() == before.replace(f'    - "{gone.address}"\n', "")
    result = fleet.scale("down", gone.address)
    assert result.stdout == f"{gone.address} can be stopped now\n", "again is as good"


def test_old_groups_may_be_left_behind(env):
    fleet = Fleet(env, groups=12)
    gone = fleet.gateways[0]
    n = len(gone.groups())
    time.sleep(1.1)
    result = fleet.scale("down", gone.address, "--leave-older-than", "1s")
    left = f"{n} old group was left" if n == 1 else f"{n} old groups were left"
    assert f"{gone.address} can be stopped now ({left} on it)" in result.stdout, result
    assert len(gone.groups()) == n


def test_a_group_that_nobody_takes_stays_and_is_named(env):
    fleet = Fleet(env, n=2, groups=0)
    gone, rest = fleet.gateways
    gone.push("/metrics/job/odd", "# TYPE clash counter\nclash 1\n")
    gone.push("/metrics/job/even", "fine 1\n")
    rest.push("/metrics/job/other", "# TYPE clash gauge\nclash 2\n")
    content = fleet.json("down", gone.address, rc=1)
    assert [(r["group"], r["from"], r["to"]) for r in content["refused"]] == [
        ('{job="odd"}', gone.address, rest.address)]
    assert gone.groups() == [{"job": "odd"}]
    assert families(gone, job="odd") == {"clash": "1"}
    assert not rest.has(job="odd") and rest.has(job="even")
    assert fleet.state.server(gone.address)["intent"] == "draining", "it is scraped still"
    assert fleet.state.load()["operation"]["step"] == "moving groups", "for status to tell"
    result = fleet.scale("down", gone.address, rc=1)
    assert '{job="odd"}' in result.stderr, result
    RawHTTP.once(gone.address, "DELETE", "/metrics/job/odd")
    assert fleet.json("down", gone.address)["done"]


def on_terminal(fleet, answer, *args):
    """(exit status, what the terminal showed)."""
    control, terminal = pty.openpty()
    scale = subprocess.Popen(
        [os.path.join(BIN, "dshard"), "--config", fleet.config.path, "scale", *args],
        env=clean_environ(TERM="xterm"), stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while True:
            shown += os.read(control, 65536)
            if shown.endswith(b"[y/N] "):
                os.write(control, answer)
    except OSError:  # the other end is closed
        pass
    os.close(control)
    return scale.wait(), shown.decode()


def test_a_terminal_is_asked_and_shown_how_far_it_is(env):
    fleet = Fleet(env, groups=12)
    args = ["up", fleet.spare.address, *FAST]
    before = fleet.snapshot()
    for answer in (b"n\n", b"\n", b"\x04"):
        rc, shown = on_terminal(fleet, answer, *args)
        assert rc == 3 and "nothing was changed" in shown and "12 groups would move" in shown
        assert "[y/N] dshard" not in shown, "each on a line of its own"
        assert fleet.snapshot() == before
    rc, shown = on_terminal(fleet, b"y\n", *args)
    assert rc == 0 and "moving groups [" in shown and "is a member now" in shown, shown
    fleet.assert_in_place(fleet.all)
    rc, shown = on_terminal(fleet, b"", "down", fleet.spare.address, "--yes", *FAST[:2])
    assert rc == 0 and "Go on?" not in shown


# ---- guards --------------------------------------------------------------------------


def test_what_cannot_be_is_refused_before_anything_changes(env):
    fleet = Fleet(env, groups=4, ring={"min_healthy": 2})
    nobody = f"127.0.0.1:{free_port()}"
    one, two, three = addresses(fleet.gateways)
    before = fleet.snapshot()
    for args, rc, words in [
            (["up", nobody], 75, nobody), (["down", nobody], 1, "is not registered"),
            (["down", one, two], 5, "ring.min_healthy is 2"),
            (["down", one, two, three, "--force"], 1, "no server would be left"),
            (["up", nobody, nobody], 2, "named twice"), (["up", "x y"], 2, "x y"),
            (["to", one, "--patience", "soon"], 2, "--patience"), (["down"], 2, "SERVER")]:
        result = env.dshard("scale", *args, config=fleet.config)
        assert result.rc == rc and words in result.stderr, result
    assert fleet.snapshot() == before


def test_without_a_state_file_nothing_is_said_to_be_written(env):
    fleet = Fleet(env, watch=False, groups=0)
    config = env.config(fleet.gateways, state_file="/dev/null/state.json")
    result = env.dshard("scale", "up", fleet.spare.address, config=config)
    assert result.rc == 1 and "/dev/null" in result.stderr, result
    assert "written" not in result.stderr


def test_a_newcomer_must_be_set_up_like_the_others(env):
    """A later release than is at hand: it passes on what a real one tells, but for that."""
    fleet = Fleet(env, groups=2)

    def answer(method, path, headers, body):
        real = fleet.spare.request(method, path)
        content = real.body
        if path == "/api/v1/status":
            status = json.loads(content)
            status["data"]["flags"]["push.enable-utf8-names"] = "true"
            status["data"]["build_information"]["version"] = "1.11.0"
            content = json.dumps(status).encode()
        return real.status, {"Content-Type": "application/json"}, content

    newcomer = env.stub(answer)
    result = fleet.scale("up", newcomer.address, rc=5)
    assert "runs with --push.enable-utf8-names" in result.stderr, result
    result = fleet.scale("up", newcomer.address, "--force", "--dry-run", "-v")
    assert "can lock it up" not in result.stderr, "it is a later release"
    result = fleet.scale("up", fleet.spare.address, "--dry-run", "-v")
    assert f"{fleet.spare.address} is Pushgateway 1.5.1: before 1.6.1" in result.stderr
    newcomer.answer = (503, {}, b"starting")
    result = fleet.scale("up", newcomer.address, rc=1)
    assert "503" in result.stderr and newcomer.address in result.stderr, result


def test_one_server_is_not_added_under_two_names(env):
    fleet = Fleet(env, groups=2)
    for known, other in [(fleet.gateways[0], []), (fleet.spare, [fleet.spare.address])]:
        alias = f"localhost:{known.port}"
        result = fleet.scale("up", *other, alias, rc=1)
        assert "are the same server" in result.stderr and alias in result.stderr, result
    assert fleet.spare.address not in fleet.text()


def test_a_dead_server_is_given_up_only_by_force(env):
    fleet = Fleet(env, groups=6)
    gone, *rest = fleet.gateways
    gone.kill9()
    wait_until(lambda: fleet.is_ring(rest), 5, "it to leave the ring")
    result = fleet.scale("down", gone.address, rc=5)
    assert "does not answer" in result.stderr, result
    result = fleet.scale("down", gone.address, "--force")
    assert f"{gone.address} can be stopped now (what it held" in result.stdout
    assert fleet.state.server(gone.address)["intent"] == "out"
    assert gone.address not in fleet.text()


# ---- to ------------------------------------------------------------------------------


def test_to_replaces_what_differs(env):
    fleet = Fleet(env, groups=24)
    gone, *rest = fleet.gateways
    wanted = [*rest, fleet.spare]
    content = fleet.json("to", *addresses(wanted))
    assert sorted((s["address"], s["act"]) for s in content["servers"]) == sorted(
        [(gone.address, "remove"), (fleet.spare.address, "add")])
    fleet.assert_in_place(wanted)
    assert gone.groups() == [] and gone.address not in fleet.text()
    assert fleet.json("to", *addresses(wanted))["servers"] == []
    result = fleet.scale("up", rest[0].address, "--verbose")
    assert "nothing to do" in result.stderr and "moving groups" not in result.stderr, result


# ---- interrupted ---------------------------------------------------------------------


def kill_at(fleet, step, number, args):
    """Ends the command as soon as it is at that step or behind it."""
    process = fleet.start(*args)
    try:
        def is_there():
            if process.poll() is not None:
                return True
            now = fleet.step()
            return now and STEPS.index(now) >= STEPS.index(step)

        wait_until(is_there, 20, step, every=0.0005)
    finally:
        process.send_signal(number)
    return process.wait()


@pytest.mark.parametrize("number, steps", [
    (signal.SIGKILL, STEPS), (signal.SIGINT, ["waiting for Prometheus", "moving groups"])],
    ids=["killed", "stopped"])
def test_ended_at_any_step_and_run_again_it_ends_the_same(env, number, steps):
    fleet = Fleet(env, groups=24)
    gone, *rest = fleet.gateways
    args = ["to", *addresses([*rest, fleet.spare]), "--patience", "200ms", "--settle", "100ms"]
    back = ["to", *addresses(fleet.gateways), "--patience", "0s", "--settle", "0s"]
    fleet.scale(*args, fast=())
    undisturbed = fleet.snapshot()
    for step in steps:
        fleet.scale(*back, fast=())
        rc = kill_at(fleet, step, number, args)
        assert rc or step in STEPS[-2:], f"it was through before it was ended at {step}"
        fleet.scale(*args, fast=())
        assert fleet.snapshot() == undisturbed, step
    fleet.assert_in_place([*rest, fleet.spare])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "stopped"])
def test_status_says_how_to_finish_it_until_it_is_given_up(env, number):
    fleet = Fleet(env, n=2, groups=0)
    spare = fleet.spare.address
    kill_at(fleet, "waiting for Prometheus", number,
            ["up", spare, "--settle", "60s", "--patience", "0s"])
    result = env.dshard("status", config=fleet.config)
    assert result.rc == 3 and (f"run it again: dshard scale up {spare}, or give it up: "
                               f"dshard deregister {spare}\n") in result.stdout, result
    env.dshard("deregister", spare, config=fleet.config).ok()
    env.dshard("status", config=fleet.config).ok()
    assert fleet.state.load()["operation"] is None


def test_a_pass_of_groups_does_not_hide_a_scale_that_was_killed(env):
    fleet = Fleet(env, n=3, groups=24)
    gone, *rest = fleet.gateways
    args = ["down", gone.address, "--patience", "60s"]
    kill_at(fleet, "moving groups", signal.SIGKILL, args)
    env.dshard("groups", "move", "--patience", "0s", config=fleet.config).ok()
    result = env.dshard("status", config=fleet.config)
    assert result.rc == 3 and f"run it again: dshard scale down {gone.address}" in result.stdout
    fleet.scale("down", gone.address)
    fleet.assert_in_place(rest)
    env.dshard("status", config=fleet.config).ok()


def test_the_watch_logs_whom_an_operator_takes_out(env):
    fleet = Fleet(env, n=2, groups=0)
    gone = fleet.gateways[0].address
    env.dshard("drain", gone, config=fleet.config).ok()
    wait_until(lambda: f"removed={gone}" in fleet.watch.log(), 3, "the watch to log it")
    line = [l for l in fleet.watch.log().splitlines() if f"removed={gone}" in l]
    assert len(line) == 1 and 'msg="ring changed"' in line[0] and "cause=operator" in line[0]


# ---- drain --wait --------------------------------------------------------------------


def test_drain_waits_until_the_server_is_empty(env):
    fleet = Fleet(env, groups=24)
    gone, *rest = fleet.gateways
    assert gone.groups()
    result = env.dshard("drain", gone.address, "--wait", "--patience", "300ms",
                        config=fleet.config).ok()
    assert result.stdout == f"{gone.address} is empty\n" and result.stderr == ""
    fleet.assert_in_place(rest)
    assert fleet.state.server(gone.address)["intent"] == "draining"
    env.dshard("undrain", gone.address, config=fleet.config).ok()
    wait_until(lambda: fleet.is_ring(fleet.gateways), 5, "it to come back")


def test_who_waits_says_for_which_group(env):
    fleet = Fleet(env, n=2, groups=0)
    gone, rest = fleet.gateways
    for server in fleet.gateways:  # at the same time, so that nobody knows which is newer
        server.push("/metrics/job/tie", f"m {server.port}\n")
    drain = subprocess.Popen(
        [os.path.join(BIN, "dshard"), "--config", fleet.config.path, "drain", gone.address,
         "--wait", "--patience", "2s"], env=clean_environ(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = drain.stderr.readline()
    assert re.search(r"1 group waits .*\(next at \d\d:\d\d:\d\d UTC\); the first is "
                     rf'{{job="tie"}} on {gone.address}, which belongs on {rest.address}',
                     said), said
    drain.send_signal(signal.SIGINT)
    assert "stopped" in drain.communicate(timeout=10)[1] and drain.returncode == 75


def test_drain_names_what_it_cannot_move(env):
    fleet = Fleet(env, n=2, groups=0)
    gone, rest = fleet.gateways
    gone.push("/metrics/job/odd", "# TYPE clash counter\nclash 1\n")
    rest.push("/metrics/job/other", "# TYPE clash gauge\nclash 2\n")
    result = env.dshard("drain", gone.address, "--wait", "--patience", "0s",
                        config=fleet.config)
    assert result.rc == 1 and '{job="odd"}' in result.stderr, result
    assert families(gone, job="odd") == {"clash": "1"} and not rest.has(job="odd")
    result = env.dshard("drain", gone.address, "--patience", "1s", config=fleet.config)
    assert result.rc == 2, "--patience goes with --wait"
