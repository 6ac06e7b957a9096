# SPDX-License-Identifier: Apache-2.0
"""The state file under attack while `watch` and `dshard-fcgi` live on it."""

import ctypes
import json
import os
import shutil

import pytest

from testenv import wait_until
from testenv.front import Asker, Front
from testenv.state import checksum, dump


_libc = ctypes.CDLL(None, use_errno=True)


def addresses(gateways):
    return sorted(g.address for g in gateways)


# ---- what can befall a file ----------------------------------------------------------


def replace(path, data):
    """As an editor or a restored backup would: in one step, from the side."""
    with open(f"{path}.side", "wb") as f:
        f.write(data)
    os.rename(f"{path}.side", path)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def changed(path, **fields):
    """The file's content with other fields and a right checksum."""
    content = json.loads(read(path))
    content.update(fields)
    content["checksum"] = checksum(content)
    return dump(content).encode() + b"\n"


def in_place(path, data):
    with open(path, "wb") as f:
        f.write(data)


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def exchange(path, side):
    """Swaps the two in one step, whatever they are; what was at path is gone."""
    here, flag = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if os.path.lexists(path):
        assert _libc.renameat2(here, side.encode(), here, path.encode(), flag) == 0
        remove(side)
    else:
        os.rename(side, path)


def to_directory(path):
    os.mkdir(f"{path}.side")
    exchange(path, f"{path}.side")


def to_full_directory(path):
    os.mkdir(f"{path}.side")
    in_place(f"{path}.side/file", b"x")
    exchange(path, f"{path}.side")


def to_dangling_link(path):
    os.symlink("nowhere", f"{path}.side")
    os.rename(f"{path}.side", path)


HARM = {
    "cut": lambda p: replace(p, read(p)[:-40]),
    "cut in place": lambda p: os.truncate(p, os.path.getsize(p) // 2),
    "emptied": lambda p: replace(p, b""),
    "emptied in place": lambda p: os.truncate(p, 0),
    "one bit": lambda p: replace(p, read(p).replace(b'"weight":1', b'"weight":3', 1)),
    "garbage": lambda p: replace(p, os.urandom(3000)),
    "zeros": lambda p: replace(p, b"\0" * os.path.getsize(p)),
    "not an object": lambda p: replace(p, b"[1]\n"),
    "newer format": lambda p: replace(p, changed(p, format=2)),
    "wrong digest": lambda p: replace(p, changed(p, digest="0" * 16)),
    "impossible": lambda p: replace(p, changed(p, replicas=0)),
    "unknown key": lambda p: replace(p, changed(p, colour="green")),
    "too long": lambda p: replace(p, read(p) + b" " * 5_000_000),
    "deep": lambda p: replace(p, b"[" * 100_000),
    "directory": to_directory,
    "full directory": to_full_directory,
    "dangling link": to_dangling_link,
    "deleted": os.unlink,
    "moved away": lambda p: os.rename(p, f"{p}.away"),
}
NO_BAD = {"deleted", "moved away", "dangling link"}  # there is nothing to set aside


@pytest.fixture
def house(env):
    """Two gateways, a watch and a front that has the ring."""
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    watch = env.watch(config)
    front = Front(env, config)
    wait_until(front.owner, 5, "the ring in the handler")
    return gateways, config, watch, front


def await_good(env, generation, digest):
    def good():
        content = env.state().load()
        return (content["checksum"] == checksum(content) and content["format"] == 1
                and content["generation"] == generation and content["digest"] == digest)

    wait_until(good, 3, "a good file")


def test_watch_sets_a_bad_file_aside_and_the_handler_notices_nothing(env, house):
    gateways, config, watch, front = house
    first = env.state().load()
    owner, bad = front.owner(), config.state_file + ".bad"
    with Asker(front, "/metrics/job/a", {owner}) as asker:
        for harm, do in HARM.items():
            remove(bad)
            do(config.state_file)
            if harm not in NO_BAD:
                wait_until(lambda: os.path.lexists(bad), 3, f"{harm} to be set aside")
            await_good(env, first["generation"], first["digest"])
            assert os.path.lexists(bad) == (harm not in NO_BAD), harm
        assert asker.count > 10
    assert not asker.wrong
    left = {n for n in os.listdir(env.dir) if "ring.json" in n}
    assert left <= {"ring.json", "ring.json.away", ".ring.json.watch", ".ring.json.fleet",
                    "ring.json.bad"}, left
    gateways[0].kill9()
    wait_until(lambda: env.state().members() == [gateways[1].address], 5, "it follows on")
    wait_until(lambda: front.owner() == gateways[1].address, 1, "the handler too")


def test_one_bad_file_is_kept_the_newest_whatever_they_are(env, house):
    _, config, watch, front = house
    first = env.state().load()
    kinds = ["garbage", "directory", "cut", "emptied", "directory", "full directory"]
    for i, harm in enumerate(kinds):
        HARM[harm](config.state_file)
        wait_until(lambda: watch.log().count("file set aside") > i, 3, f"the {i}th")
        await_good(env, first["generation"], first["digest"])
        assert sorted(n for n in os.listdir(env.dir) if n.startswith("ring.json")) == \
            ["ring.json", "ring.json.bad"]
        assert os.path.isdir(config.state_file + ".bad") == ("directory" in harm), harm
    HARM["cut"](config.state_file)  # now nothing can take the place of ring.json.bad
    await_good(env, first["generation"], first["digest"])


def test_what_cannot_be_set_aside_is_said_once(env, house):
    gateways, config, watch, front = house
    to_full_directory(config.state_file + ".bad")
    to_full_directory(config.state_file)
    wait_until(lambda: "cannot be set aside" in watch.log(), 3, "the log line")
    gateways[0].kill9()
    wait_until(lambda: f"server down\" server={gateways[0].address}" in watch.log(), 5, "it")
    remove(config.state_file)
    wait_until(lambda: env.state().members() == [gateways[1].address], 5, "the next write")
    assert watch.log().count("cannot be set aside") == 1
    assert watch.log().count("state not written") == 1


def test_the_log_says_what_was_wrong_once(env, house):
    _, config, watch, front = house
    first = env.state().load()
    HARM["newer format"](config.state_file)
    await_good(env, first["generation"], first["digest"])
    assert watch.log().count("set aside") == 1
    line = next(x for x in watch.log().splitlines() if "set aside" in x)
    assert "format" in line and config.state_file in line


def test_a_good_but_older_file_is_replaced_by_what_watch_knows(env, house):
    """A restored backup: valid, but not what the servers are like now."""
    gateways, config, watch, front = house
    backup = read(config.state_file)
    gateways[0].kill9()
    wait_until(lambda: env.state().members() == [gateways[1].address], 5, "the new ring")
    replace(config.state_file, backup)
    wait_until(lambda: env.state().members() == [gateways[1].address], 3, "it again")
    wait_until(lambda: front.owner() == gateways[1].address, 1, "the handler")


def test_a_good_file_with_a_ring_of_its_own_is_decided_anew(env, house):
    """Copied from another machine: valid and of a higher generation."""
    gateways, config, watch, front = house
    foreign = env.state().load()
    foreign["servers"][0]["member"] = False
    del foreign["checksum"], foreign["digest"]
    env.state().write(**{**foreign, "generation": 50})
    wait_until(lambda: env.state().members() == addresses(gateways), 2, "both again")
    assert env.state().load()["generation"] == 51


# ---- at the start --------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["garbage", "newer format", "directory", "emptied"])
def test_watch_starts_in_spite_of_a_bad_file(env, harm):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    env.state().write(addresses(gateways))
    HARM[harm](config.state_file)
    watch = env.watch(config, start=False)
    watch.start(wait=False)
    wait_until(lambda: os.path.exists(config.state_file + ".bad"), 5, "the bad one")
    wait_until(lambda: env.state().members() == addresses(gateways), 5, "the ring")
    assert env.state().is_checked()
    assert watch.log().count("set aside") == 1


def test_the_handler_answers_503_until_there_is_a_good_file(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    front = Front(env, config)

    def assert_503():
        for target in ("/metrics/job/a", "/sd", "/-/ready"):
            answer = front.get(target)
            assert answer.status == 503, answer
        assert front.get("/metrics/job/a").header("Retry-After").isdigit()
        assert front.get("/-/healthy").status == 200
        assert front.owner() is None

    assert_503()
    for harm in ("garbage", "newer format", "directory", "cut in place"):
        env.state("side.json").write(addresses(gateways))
        HARM[harm](env.path("side.json"))
        seen = front.fcgi.log().count("cannot be used")
        os.rename(env.path("side.json"), config.state_file)
        wait_until(lambda: front.fcgi.log().count("cannot be used") > seen, 2, "the log")
        assert_503()
        remove(config.state_file)
    env.state().write(addresses(gateways))
    wait_until(lambda: front.owner() in addresses(gateways), 1, "the ring")
    assert front.get("/-/ready").status == front.get("/sd").status == 200
    assert front.fcgi.running


def test_without_a_watch_the_handler_keeps_the_last_good_ring(env):
    gateways = env.pushgateways(2)
    config = env.config(gateways)
    path = config.state_file
    good = env.state().write(addresses(gateways))
    front = Front(env, config)
    owner = wait_until(front.owner, 2, "the ring")
    with Asker(front, "/metrics/job/a", {owner}) as asker:
        for do in HARM.values():
            do(path)
            seen = asker.count  # each takes 5 ms or more, the handler looks each 100 ms
            wait_until(lambda: asker.count >= seen + 25, 5, "more answers")
            remove(path)
            env.state().write(addresses(gateways), generation=good["generation"] + 1)
    assert front.fcgi.log().count("cannot be used") >= 10
    assert front.get("/-/ready").status == 200
    assert not asker.wrong
    env.state().write([gateways[1].address], generation=9)
    wait_until(lambda: front.owner("/metrics/job/b") == gateways[1].address, 1, "the new")


@pytest.mark.parametrize("harm", ["cut", "one bit", "newer format", "wrong digest", "emptied",
                                  "directory", "impossible"])
def test_commands_refuse_a_bad_file_and_leave_it(env, harm):
    config = env.config(["127.0.0.1:1"])
    env.state().write(["127.0.0.1:1"])
    HARM[harm](config.state_file)
    before = os.stat(config.state_file)
    for args in (["register", "127.0.0.1:1"], ["deregister", "--force", "127.0.0.1:1"],
                 ["status"], ["ring"], ["ring", "lookup", "/metrics/job/a"]):
        result = env.dshard(*args, config=config)
        assert result.rc == 1 and config.state_file in result.stderr, result
        assert result.stdout == "" and len(result.stderr.splitlines()) == 1, result
    after = os.stat(config.state_file)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not os.path.exists(config.state_file + ".bad")
