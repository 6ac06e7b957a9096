# SPDX-License-Identifier: Apache-2.0
"""One server under two names: a copy "at the other name" is the group itself, so nothing is
deleted until one of the names is out."""

import shutil
import signal

from testenv import wait_until
from testenv.groups import contents
from testenv.state import now_ms

N_GROUPS = 12
SAID = "are one server, and what is deleted at one is gone at both"


class Twins:
    """Two Pushgateways, the first of them under two names, with all groups."""

    def __init__(self, env, **sections):
        self.env = env
        self.twin, self.other = env.pushgateways(2)
        self.alias = f"localhost:{self.twin.port}"
        self.names = [self.twin.address, self.alias, self.other.address]
        self.config = env.config(self.names, **sections)
        for i in range(N_GROUPS):
            self.twin.push(f"/metrics/job/job{i}", f"m {i}\n")
        self.before = contents(self.twin)

    def run(self, *args, rc=0):
        result = self.env.dshard(*args, config=self.config)
        assert result.rc == rc, result
        return result

    def write_state(self):
        self.env.state().write(self.names, history=[{
            "added": [], "at": now_ms() - 3600_000, "cause": "operator", "generation": 1,
            "moved_ppm": 0, "removed": []}])

    def assert_untouched(self):
        assert contents(self.twin) == self.before and self.other.groups() == []


def test_nothing_is_deleted_while_one_server_has_two_names(env):
    twins = Twins(env)
    twins.write_state()
    for args in [("move", "--once", "--patience", "0s"), ("move",), ("move", "--dry-run"),
                 ("dedupe", "--once"), ("expire", "--older-than", "1ms", "--yes"),
                 ("delete", "--match", "job=job1", "--yes")]:
        result = twins.run("groups", *args, rc=1)
        assert SAID in result.stderr and f"dshard deregister {twins.alias}" in result.stderr
        assert f"'{twins.twin.address}'" in result.stderr, result
        twins.assert_untouched()
    config = open(twins.config.path, encoding="utf-8").read()
    assert SAID in twins.run("scale", "down", twins.other.address, rc=1).stderr
    assert config == open(twins.config.path, encoding="utf-8").read()
    assert env.state().server(twins.other.address)["intent"] == "in"
    twins.assert_untouched()


def test_a_drained_server_is_not_wiped_under_another_name(env):
    twins = Twins(env)
    twins.config = env.config([twins.twin, twins.other])
    env.state().write([{"address": twins.twin.address, "member": False,
                        "intent": "draining"}, twins.other.address])
    result = twins.run("scale", "up", twins.alias, "--wipe", "--settle", "0s", rc=1)
    assert "are the same server" in result.stderr, result
    twins.assert_untouched()


def test_status_tells_and_deregister_mends_it(env):
    twins = Twins(env)
    twins.write_state()
    status = twins.run("status", "-o", "json", rc=3).json()
    assert status["verdict"] == "critical", status
    assert any(SAID in problem for problem in status["problems"]), status
    # Not both names, and not one that would lose groups.
    twins.run("deregister", twins.alias, twins.twin.address, rc=5)
    assert "under another name" in twins.run("deregister", twins.alias, "-v").stderr
    assert twins.alias not in env.state().members()
    status = twins.env.dshard("status", "-o", "json", config=twins.config).json()
    assert not any(SAID in problem for problem in status["problems"]), status
    twins.run("deregister", twins.twin.address, rc=5)
    wait_until(lambda: env.dshard("groups", "move", "--patience", "0s",
                                  config=twins.config).rc == 0, 10, "the groups to be moved")
    assert len(twins.twin.groups()) + len(twins.other.groups()) == N_GROUPS
    assert twins.other.groups()


def test_a_watch_says_so_once_and_leaves_the_groups(env):
    twins = Twins(env, watch={"groups": "move", "patience": "300ms"})
    watch = env.watch(twins.config)
    wait_until(lambda: SAID in watch.log(), 10, "it to be said")
    for n in range(2):
        watch.signal(signal.SIGHUP)  # which begins a pass
        wait_until(lambda: watch.log().count("configuration reloaded") > n, 5, "a reload")
    twins.assert_untouched()
    twins.run("deregister", twins.alias)
    wait_until(lambda: twins.other.groups(), 10, "the groups to be tended")
    assert watch.log().count(SAID) == 1
    wait_until(lambda: len(twins.twin.groups()) + len(twins.other.groups()) == N_GROUPS, 5,
               "all to be where they belong")


def test_servers_from_one_persistence_file_are_two(env):
    first, second = env.pushgateways(2, persist=True)
    for i in range(N_GROUPS):
        first.push(f"/metrics/job/job{i}", f"m {i}\n")
    first.stop()
    second.stop()
    shutil.copyfile(first.persistence, second.persistence)
    first.start()
    second.start()
    env.state().write([first.address, second.address])
    config = env.config([first, second])
    assert len(first.groups()) == len(second.groups()) == N_GROUPS
    result = env.dshard("groups", "dedupe", "--once", config=config)
    assert result.rc == 3 and "not in place yet" in result.stderr, result
    assert SAID not in env.dshard("status", config=config).stdout
