# SPDX-License-Identifier: Apache-2.0
"""groups delete and groups expire: what was named goes, on every server, and nothing else."""

import os
import pty
import re

import pytest
from test_groups_move import AWKWARD, Fleet

from testenv import BIN, check_schema, clean_environ, free_port, wait_until
from testenv.groups import path_of


def delete(fleet, *args, rc=0, command="delete"):
    """Its JSON, checked."""
    result = fleet.run("-o", "json", *args, command=command)
    assert result.rc == rc, result
    return check_schema("groups-delete", result.json())


def results(answer):
    return {g["group"]: g["result"] for g in answer["groups"]}


def left(fleet):
    """The jobs that some server has, once a copy."""
    return sorted(g["job"] for gateway in fleet.gateways for g in gateway.groups())


class Terminal:
    """A command whose input and output are a terminal; `answer` waits for its question.
    stderr: a file for the errors."""

    def __init__(self, fleet, *args, stderr=None):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            if stderr:
                os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT, 0o644), 2)
            os.execve(os.path.join(BIN, "dshard"),
                      ["dshard", "--config", fleet.config.path, "groups", *args],
                      clean_environ())
        self.text = ""

    def read(self):
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += data.decode()
        return bool(data)

    def asked(self):
        while "[y/N] " not in self.text:
            assert self.read(), self.text
        return self.text

    def answer(self, word):
        self.asked()
        os.write(self.fd, word.encode() + b"\n")
        return self.wait()

    def wait(self):
        """Its exit status."""
        while self.read():
            pass
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_every_copy_of_what_matches_goes_and_nothing_else(env):
    fleet = Fleet(env, 3, [0, 1])
    pushed = [{"job": "a", "x": "1"}, {"job": "a", "x": "2"}, {"job": "b", "x": "1"},
              {"job": "ab", "x": "1"}]
    for labels in pushed:
        for gateway in fleet.gateways:
            gateway.push(path_of(labels))
    dry = delete(fleet, "--match", "job=a", "--match", "x=1", "--dry-run")
    assert results(dry) == {'{job="a",x="1"}': "would be deleted"}
    assert dry["groups"][0]["servers"] == sorted(g.address for g in fleet.gateways)
    assert "{job=\"a\",x=\"1\"}" in fleet.run("--match", "x=1", "--dry-run",
                                             command="delete").ok().stdout
    assert all(len(g.groups()) == 4 for g in fleet.gateways)
    # At once: it says so only when they are gone.
    done = delete(fleet, "--match", "job=a", "--match", "x=1")
    assert (done["deleted"], done["copies"]) == (1, 3)
    assert results(done) == {'{job="a",x="1"}': "deleted"}
    for gateway in fleet.gateways:
        assert sorted((g["job"], g["x"]) for g in gateway.groups()) == [
            ("a", "2"), ("ab", "1"), ("b", "1")]
    again = fleet.run("--match", "job=a", "--match", "x=1", command="delete").ok()
    assert again.stdout == again.stderr == ""
    assert fleet.state.load()["operation"] is None


def test_every_spelling_of_labels(env):
    fleet = Fleet(env, 1, [0])
    gateway = fleet.gateways[0]

    def there():
        return {frozenset(g.items()) for g in gateway.groups()}
    for labels in [*AWKWARD, {"job": "stays"}]:
        gateway.push(path_of(labels))
    names = {name for labels in AWKWARD for name in labels}
    for labels in AWKWARD:
        if "\0" in labels.get("x", ""):
            continue  # no command line can say that
        before = there()
        # Empty and lacking are one to --match.
        gone = {g for g in before if all(dict(g).get(n, "") == labels.get(n, "") for n in names)}
        words = [w for n in names for w in ("--match", f"{n}={labels.get(n, '')}")]
        assert delete(fleet, *words)["deleted"] == len(gone)
        assert there() == before - gone
    assert delete(fleet, "--match", "job=a")["deleted"] == 1  # the one with NUL
    assert gateway.groups() == [{"job": "stays"}]


def test_labels_that_a_family_hides(env):
    """{x="1"} is seen only in its series, instance="" not even there."""
    fleet = Fleet(env, 1, [0])
    gateway = fleet.gateways[0]
    for labels in ({"job": "h", "x": "1"}, {"job": "i", "instance": ""}):
        gateway.push(path_of(labels), "labels 1\n")
    assert delete(fleet, "--match", "job=h", "--match", "x=1")["deleted"] == 1
    assert delete(fleet, "--match", "job=i")["deleted"] == 1
    assert gateway.groups_raw() == []


def test_what_no_url_can_say_is_told(env):
    """Bytes that are not UTF-8: the list shows U+FFFD, and who deletes has to know them."""
    fleet = Fleet(env, 1, [0])
    gateway = fleet.gateways[0]
    assert gateway.request("PUT", "/metrics/job/bad/x/%FF", "m 1\n").status == 400
    result = fleet.run("--match", "job=bad", command="delete")
    assert result.rc == 1 and "1 group could not be deleted" in result.stderr, result
    assert 'dshard: {job="bad",x="\ufffd"}: it has bytes that are not UTF-8' in result.stderr
    assert gateway.address in result.stderr
    assert results(delete(fleet, "--match", "job=bad", rc=1)).popitem()[1] == "stays"
    assert "\\377" in gateway.metrics()
    gateway.request("DELETE", "/metrics/job/bad/x/%FF")
    wait_until(lambda: gateway.groups() == [], 2, "the delete")


def test_only_the_old_ones_expire(env):
    """A group is as old as its newest copy; one that no push ever worked for is as old as
    its failure."""
    fleet = Fleet(env, 2, [0, 1])
    a, b = fleet.gateways
    for job in ("old", "live", "twice", "other"):
        a.push(f"/metrics/job/{job}")
    b.push("/metrics/job/old")
    assert a.request("PUT", "/metrics/job/phantom", "process_open_fds 1\n").status == 400
    assert delete(fleet, "--older-than", "1h", command="expire")["groups"] == []
    wait_until(lambda: fleet.run("--older-than", "2s", command="list").stdout.count("job=") == 6,
               8, "them to be old")
    a.push("/metrics/job/live")
    b.push("/metrics/job/twice")
    done = delete(fleet, "--older-than", "2s", "--match", "x=", command="expire")
    assert {g["labels"]["job"] for g in done["groups"]} == {"old", "other", "phantom"}
    assert done["copies"] == 4
    assert left(fleet) == ["live", "twice", "twice"]


def test_a_terminal_is_asked_and_what_is_pushed_meanwhile_stays(env):
    fleet = Fleet(env, 2, [0, 1])
    a, b = fleet.gateways
    job = fleet.owner.jobs(b.address, 1)[0]
    for i in range(9):
        a.push(f"/metrics/job/{job}/x/{i}")
    a.push(f"/metrics/job/{job}")
    terminal = Terminal(fleet, "delete", "--match", f"job={job}")
    text = terminal.asked()
    assert "10 groups (10 copies on 1 server) will be deleted." in text
    assert "  ... and 5 more" in text
    assert terminal.answer("n") == 3 and "nothing was changed" in terminal.text
    assert len(a.groups()) == 10
    terminal = Terminal(fleet, "delete", "--match", f"job={job}")
    terminal.asked()
    a.push(f"/metrics/job/{job}/x/3", "n 1\n", "POST")  # where it was
    b.push(f"/metrics/job/{job}")  # at its owner, which lacked it
    assert terminal.answer("y") == 3
    assert re.search(r'\{job="\w+",x="3"\}: it was pushed meanwhile, and is on '
                     + re.escape(a.address), terminal.text), terminal.text
    assert {tuple(sorted(g)) + (g.get("x"),) for g in a.groups()} == {
        ("job", "x", "3"), ("job", None)}


def test_who_cannot_be_asked_is_named(env):
    fleet = Fleet(env, 3, [0, 1, 2])
    a, b, dead = fleet.gateways
    mine, gone = (fleet.owner.jobs(g.address, 1)[0] for g in (a, dead))
    for job in (mine, gone):
        b.push(f"/metrics/job/{job}")
    dead.kill9()
    # The owner may have a newer one.
    wait_until(lambda: delete(fleet, "--older-than", "100ms", command="expire",
                              rc=75)["deleted"] == 1, 3, "it to be old")
    assert left_of(b) == [gone]
    result = fleet.run("--match", f"job={gone}", command="delete")
    assert result.rc == 75 and "copies may be left" in result.stderr, result
    assert dead.address in result.stderr and left_of(b) == []
    fleet.write(_2={"health": "down", "member": False})
    result = fleet.run("--match", "job=none", command="delete")
    assert result.rc == 75 and f"{dead.address} (down" in result.stderr, result


def left_of(gateway):
    return [g["job"] for g in gateway.groups()]


def test_a_move_is_waited_for(env):
    """The lock is taken, and `operation` told, by who deletes."""
    fleet = Fleet(env, 1, [0])
    fleet.gateways[0].push("/metrics/job/a")
    fleet.gateways[0].pause()
    other = fleet.start("delete", "--match", "job=a")
    try:
        result = None

        def is_locked():
            nonlocal result
            result = fleet.run("--match", "job=a", "--timeout", "50ms", command="delete")
            return "groups delete" in result.stderr and result.rc == 75
        wait_until(is_locked, 3, "the lock")
    finally:
        fleet.gateways[0].resume()
    assert other.wait(10) == 0
    assert fleet.gateways[0].groups() == []


@pytest.mark.parametrize("args, words", [
    (["delete"], "--match LABEL=VALUE or --older-than"),
    (["delete", "--older-than", "0s"], "--match LABEL=VALUE or --older-than"),
    (["delete", "--match", "job"], "LABEL=VALUE"),
    (["delete", "--match", "=x"], "LABEL=VALUE"),
    (["delete", "job=a"], "job=a"),
    (["expire"], "--older-than"),
    (["expire", "--match", "job=a"], "--older-than"),
    (["expire", "--older-than", "-1s"], "-1s"),
], ids=str)
def test_nothing_is_deleted_by_accident(env, args, words):
    config = env.config([f"127.0.0.1:{free_port()}"])
    result = env.dshard("groups", *args, config=config)
    assert result.rc == 2 and words in result.stderr, result
