# SPDX-License-Identifier: Apache-2.0
"""`watch` where few have been: other users, odd files, no descriptors, all dead at once."""

import contextlib
import os
import pwd
import shutil
import stat
import time

import pytest

from testenv import BIN, Watch, free_port, wait_until
from testenv.programs import wrapper
from testenv.state import now_ms
from testenv.wait import SLOW

NOBODY = pwd.getpwnam("nobody")

only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")


def addresses(gateways):
    return sorted(g.address for g in gateways)


def await_members(env, gateways, timeout=5, path="ring.json"):
    names = addresses(gateways)
    wait_until(lambda: env.state(path).members() == names, timeout, f"the ring to be {names}")


class PrefixedWatch(Watch):
    """`watch` behind a program that changes what it may do.  The executable is a copy: its
    own directory may be closed to others."""

    prefix = ()

    def command(self):
        plain = super().command()
        program = os.path.join(self.dir, "dshard")
        if not os.path.exists(program):
            shutil.copy(os.path.join(BIN, "dshard"), program)
        n = len(wrapper())
        return [*plain[:n], *self.prefix, program, *plain[n + 1:]]


def watch_behind(env, config, *prefix):
    watch = PrefixedWatch(env.dir, config)
    watch.prefix = prefix
    return env.add(watch)


def watch_as_nobody(env, config):
    return watch_behind(env, config, "setpriv", f"--reuid={NOBODY.pw_uid}",
                        f"--regid={NOBODY.pw_gid}", "--clear-groups")


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def gateways(env):
    return env.pushgateways(3)


@pytest.fixture
def home(env, gateways):
    """A configuration whose state file is in a directory of the user nobody."""
    os.mkdir(env.path("home"))
    os.chown(env.path("home"), NOBODY.pw_uid, NOBODY.pw_gid)
    return env.config(gateways, state_file=env.path("home/ring.json"))


# ---- out, and in again ---------------------------------------------------------------


def test_a_server_that_was_out_is_heard_at_once_when_it_is_back(env, gateways):
    """Also under a watch that has counted many checks of it."""
    stub = env.stub()
    config = env.config([*gateways, stub])
    env.watch(config)
    target, rest = gateways[0], [*gateways[1:], stub]
    wait_until(lambda: stub.count() > 25, 20, "many checks")
    for _ in range(2):
        env.dshard("deregister", "--force", target.address, config=config).ok()
        await_members(env, rest)
        seen = stub.count()
        env.dshard("register", target.address, config=config).ok()
        assert stub.count() - seen < 15 * SLOW, "others were checked once or twice meanwhile"
        assert target.address in env.state().members()
        seen = stub.count()
        wait_until(lambda: stub.count() > seen + 3, 5, "a few checks")
    target.kill9()
    await_members(env, rest, 1.5)


# ---- other users ---------------------------------------------------------------------


@only_root
def test_what_root_writes_under_a_tight_umask_is_nobody_s_to_go_on_with(env, gateways, home):
    with umask(0o077):
        env.dshard("register", config=home).ok()
    for name in ("ring.json", ".ring.json.watch"):
        info = os.stat(env.path(f"home/{name}"))
        assert stat.S_IMODE(info.st_mode) == 0o644, name
        assert (info.st_uid, info.st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid), name
    watch = watch_as_nobody(env, home).start()
    gateways[0].kill9()
    await_members(env, gateways[1:], path="home/ring.json")
    with umask(0o077):
        env.dshard("deregister", "--force", gateways[0].address, config=home).ok()
        assert env.dshard("watch", "--once", config=home).rc == 75
    watch.stop()
    watch.start()
    await_members(env, gateways[1:], path="home/ring.json")


def hide(path, text=None):
    """Puts a file there that only root can read."""
    if text is None:
        with open(path, encoding="utf-8") as f:
            text = f.read()
    with open(f"{path}.side", "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(f"{path}.side", 0o600)
    os.rename(f"{path}.side", path)


def bytes_of(path):
    with open(path, "rb") as f:
        return os.fstat(f.fileno()).st_ino, f.read()


@only_root
def test_a_file_that_cannot_be_read_at_the_start_is_said_and_left(env, gateways, home):
    env.dshard("register", config=home).ok()
    hide(home.state_file)
    before = bytes_of(home.state_file)
    watch = watch_as_nobody(env, home).start(wait=False)
    assert watch.wait_exit() == 1
    last = watch.log().splitlines()[-1]
    assert home.state_file in last and "Permission denied" in last, watch.log()
    assert bytes_of(home.state_file) == before
    assert not os.path.exists(home.state_file + ".bad")


@only_root
def test_a_file_that_becomes_unreadable_is_neither_lost_nor_overwritten(env, gateways, home):
    watch = watch_as_nobody(env, home).start()
    hide(home.state_file)
    hidden = bytes_of(home.state_file)
    gateways[0].kill9()
    wait_until(lambda: "going on in memory" in watch.log(), 5, "the complaint")
    wait_until(lambda: "server down" in watch.log(), 5, "the server to be seen down")
    gateways[0].start()  # meanwhile more than one write is tried
    wait_until(lambda: "server up" in watch.log(), 10, "the server to be seen up")
    gateways[0].kill9()
    wait_until(lambda: watch.log().count("server down") == 2, 5, "it to be seen down again")
    assert bytes_of(home.state_file) == hidden and not os.path.exists(home.state_file + ".bad")
    assert watch.log().count("going on in memory") == 1, watch.log()
    assert "Permission denied" in watch.log()
    os.chmod(home.state_file, 0o644)
    await_members(env, gateways[1:], path="home/ring.json")
    wait_until(lambda: "state written again" in watch.log(), 2, "the good news")
    assert env.state("home/ring.json").is_checked()


# ---- no file at all ------------------------------------------------------------------


def await_fifo_aside(config):
    """Whoever opens it, this test too, would wait for ever."""
    wait_until(lambda: stat.S_ISFIFO(os.lstat(config.state_file + ".bad").st_mode), 5,
               "the fifo to be set aside")


def test_a_fifo_in_place_of_the_state_file_hangs_nobody(env, gateways):
    config = env.config(gateways)
    os.mkfifo(config.state_file)
    for args in (["status", "--state", config.state_file], ["ring"], ["register"],
                 ["ring", "lookup", "/metrics/job/a"]):
        result = env.dshard(*args, config=config, timeout=5)
        assert result.rc == 1 and "regular file" in result.stderr, result
    fcgi = env.fcgi(config.state_file)
    env.watch(config, start=False).start(wait=False)
    await_fifo_aside(config)
    await_members(env, gateways)
    assert fcgi.running


def test_a_fifo_under_a_running_watch_is_set_aside(env, gateways):
    config = env.config(gateways)
    env.watch(config)
    os.mkfifo(env.path("fifo"))
    os.rename(env.path("fifo"), config.state_file)
    await_fifo_aside(config)
    await_members(env, gateways)


# ---- only one ------------------------------------------------------------------------


def test_a_second_watch_gives_up_in_ten_seconds_and_says_why_it_waits(env, gateways):
    config = env.config(gateways, health_check={"interval": "60s", "timeout": "30s"})
    env.watch(config)
    second = env.watch(config, start=False)
    began = time.monotonic()
    second.start(wait=False)
    wait_until(lambda: "waiting for another watch" in second.log(), 2, "a word about it")
    assert second.wait_exit(20) == 75
    assert time.monotonic() - began < 10 + 2 * SLOW
    assert config.state_file in second.log()


# ---- many, and few descriptors -------------------------------------------------------


def test_no_server_that_answers_is_down_for_a_lack_of_descriptors(env):
    stub = env.stub(host="0.0.0.0", port=free_port())
    port = stub.address.rsplit(":", 1)[1]
    names = sorted(f"127.0.{1 + i // 250}.{1 + i % 250}:{port}" for i in range(300))
    config = env.config(names, health_check={"interval": "1s", "timeout": "15s"})
    watch = watch_behind(env, config, "prlimit", "--nofile=128:128").start()
    wait_until(lambda: env.state().members() == names, 40, "all of them")
    seen = stub.count()
    wait_until(lambda: stub.count() > seen + 900, 60, "three checks of each")
    assert env.state().members() == names and env.state().load()["generation"] == 1
    assert {s["health"] for s in env.state().load()["servers"]} == {"up"}
    assert "server down" not in watch.log()


@only_root
def test_no_server_with_a_name_is_down_for_a_lack_of_descriptors(env):
    stub = env.stub(host="0.0.0.0", port=free_port())
    port = stub.address.rsplit(":", 1)[1]
    with open(env.path("hosts"), "w", encoding="utf-8") as f:
        f.writelines(f"127.0.1.{i} pg{i}.example\n" for i in range(1, 201))
    names = sorted(f"pg{i}.example:{port}" for i in range(1, 201))
    config = env.config(names, health_check={"interval": "1s", "timeout": "15s"})
    watch = watch_behind(env, config, "unshare", "-m", "sh", "-c",
                         'mount --bind "$0" /etc/hosts && exec prlimit --nofile=64:64 "$@"',
                         env.path("hosts")).start()
    wait_until(lambda: env.state().members() == names, 30, "all of them")
    seen = stub.count()
    wait_until(lambda: stub.count() > seen + 600, 30, "three checks of each")
    assert "server down" not in watch.log() and "not written" not in watch.log()
    assert watch.log().count("too few file descriptors") == 1
    assert "LimitNOFILE=648 " in watch.log()


# ---- all of them ---------------------------------------------------------------------


def test_after_all_were_down_nobody_is_held(env, gateways):
    env.watch(env.config(gateways, ring={"rejoin_after": "10s"}))
    for gateway in gateways:
        gateway.kill9()
    wait_until(lambda: env.state().load()["frozen"], 5, "the freeze")
    gateways[0].start()
    await_members(env, gateways[:1])
    began = now_ms()
    for gateway in gateways[1:]:
        gateway.start(wait=False)
    await_members(env, gateways, 3)
    assert now_ms() - began < 3000 * SLOW and not env.state().load()["frozen"]
