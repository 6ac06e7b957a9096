# SPDX-License-Identifier: Apache-2.0
"""The state file survives writers that are killed, disks that fill up, and many at once."""

import concurrent.futures
import os
import random
import signal
import subprocess
import time

import pytest

from testenv import BIN, Watch, clean_environ, wait_until
from testenv.background import Background
from testenv.state import State, checksum
from testenv.wait import SLOW

KILLS, LANES = 500, 4


def addresses(gateways):
    return sorted(g.address for g in gateways)


# ---- kill -9 -------------------------------------------------------------------------


class Reader(Background):
    """Loads the file all the time and checks it as a reader would."""

    def __init__(self, state):
        super().__init__()
        self.state, self.loads, self.bad = state, 0, []

    def _run(self):
        while not self._stop.wait(0.002):
            try:
                content = self.state.load()
                assert content["checksum"] == checksum(content)
            except (OSError, ValueError, KeyError, AssertionError) as e:
                self.bad.append(repr(e))
            self.loads += 1


def run_and_kill(args, rng, longest):
    """Starts dshard and kills it after a random part of its life; True if it was killed."""
    done = subprocess.Popen([os.path.join(BIN, "dshard"), *args], env=clean_environ(),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    try:
        done.wait(rng.uniform(0, longest))
    except subprocess.TimeoutExpired:
        done.kill()
    return done.wait() == -signal.SIGKILL


def test_kill_9_of_a_writer_at_any_moment_leaves_a_good_file(env):
    stub = env.stub()
    gateway = env.pushgateway()
    config = env.config([gateway], health_check={"interval": "50ms"})
    env.dshard("register", config=config).ok()
    began = time.monotonic()
    env.dshard("register", f"{stub.address}=1", config=config).ok()
    lifetime = 1.2 * (time.monotonic() - began)
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)

    def lane(number):
        rng, killed = random.Random(seed + number), 0
        for i in range(KILLS // LANES):
            command = rng.choice([["register", f"{stub.address}={1 + i % 9}"],
                                  ["deregister", "--force", stub.address],
                                  ["watch", "--once"]])
            killed += run_and_kill(["--config", config.path, *command], rng, lifetime)
        return killed

    with Reader(env.state()) as reader, \
            concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        killed = sum(pool.map(lane, range(LANES)))
    assert not reader.bad and reader.loads > 100
    assert killed > KILLS / 4, "the test must hit them alive"
    left = {n for n in os.listdir(env.dir) if "ring.json" in n}
    assert left <= {"ring.json", ".ring.json.tmp", ".ring.json.watch",
                    ".ring.json.fleet"}, left
    env.dshard("register", stub.address, config=config).ok()
    assert env.state().is_checked() and gateway.address in env.state().members()
    assert not os.path.exists(env.path(".ring.json.tmp"))


def test_kill_9_of_watch_while_it_writes_leaves_a_good_file(env):
    """A server that changes its mind at each check makes watch write without end."""
    gateway, stub = env.pushgateway(), env.stub()
    flip = [0]

    def answer(*_):
        flip[0] += 1
        return (200 if flip[0] % 2 else 503), {}, b""

    stub.answer = answer
    config = env.config([gateway, stub], ring={"rejoin_after": "0s"},
                        health_check={"interval": "50ms", "rise": 1, "fall": 1})
    watch = env.watch(config)
    rng = random.Random(7)
    with Reader(env.state()) as reader:
        for _ in range(25):
            time.sleep(rng.uniform(0, 0.06))  # no synchronisation: the moment of the crash
            watch.kill9()
            watch.start(wait=False)
    assert not reader.bad
    wait_until(watch.is_ready, 5, "the last one")
    assert env.state().is_checked()


# ---- a disk that is full, or read-only -----------------------------------------------


def may_mount():
    try:
        return subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


class SmallDisk(Watch):
    """A watch whose state file lies on a small tmpfs in a mount namespace of its own."""

    def __init__(self, directory, config):
        super().__init__(directory, config)
        self.disk = os.path.dirname(config.state_file)

    def command(self):
        script = 'mount -t tmpfs -o size=64k,mode=755 none "$0" && exec "$@"'
        return ["unshare", "-rm", "sh", "-c", script, self.disk, *super().command()]

    def is_ready(self):
        self.state = State(self.inside(self.config.state_file))
        return super().is_ready()

    def inside(self, path):
        return f"/proc/{self.pid}/root{path}"

    def fill(self):
        with open(self.inside(f"{self.disk}/filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass

    def empty(self):
        os.unlink(self.inside(f"{self.disk}/filler"))

    def remount(self, how):
        subprocess.run(["nsenter", "-t", str(self.pid), "-U", "-m", "--preserve-credentials",
                        "mount", "-o", f"remount,{how}", self.disk], check=True)

    def forbid(self):
        self.remount("ro")

    def allow(self):
        self.remount("rw")


@pytest.mark.parametrize("harm, heal, words", [("fill", "empty", "No space left"),
                                               ("forbid", "allow", "Read-only")])
def test_a_disk_that_refuses_is_survived_in_memory(env, harm, heal, words):
    if not may_mount():
        pytest.skip("this kernel lets nobody mount in a namespace")
    gateways = env.pushgateways(3)
    os.mkdir(env.path("disk"))
    config = env.config(gateways, state_file=env.path("disk/ring.json"),
                        watch={"groups": "off"})  # passes have a file there, too
    watch = env.add(SmallDisk(env.dir, config)).start()
    first = watch.state.load()
    getattr(watch, harm)()
    gateways[0].kill9()
    wait_until(lambda: "state not written" in watch.log(), 5, "a failed write")
    gateways[1].kill9()
    wait_until(lambda: watch.log().count("server down") == 2, 5, "it to follow on")
    began = time.monotonic()
    while time.monotonic() - began < 1.5:  # longer than it waits to try again
        assert watch.state.load() == first and watch.running
        time.sleep(0.05)
    assert watch.log().count("state not written") == 1, "said once"
    assert words in watch.log()
    assert sorted(os.listdir(watch.inside(watch.disk))) == sorted(
        [".ring.json.watch", "ring.json"] + (["filler"] if harm == "fill" else []))
    getattr(watch, heal)()
    wait_until(lambda: watch.state.members() == [gateways[2].address], 3, "the write")
    assert watch.state.is_checked() and watch.log().count("state written again") == 1


def test_a_command_on_a_full_disk_exits_1_and_harms_nothing(env):
    if not may_mount():
        pytest.skip("this kernel lets nobody mount in a namespace")
    config = env.config(["127.0.0.1:1"], state_file=env.path("disk/ring.json"))
    os.mkdir(env.path("disk"))
    other = State(env.path("other.json"))
    other.write(["127.0.0.1:1", "127.0.0.1:2"])
    script = """
        mount -t tmpfs -o size=16k none "$1/disk" && cp "$1/other.json" "$1/disk/ring.json" &&
        dd if=/dev/zero of="$1/disk/filler" bs=4k count=100 2>/dev/null
        "$2" --config "$1/dshard.yml" deregister --force 127.0.0.1:2; echo "exit $?"
        ls -A "$1/disk" | sort | tr '\\n' ' '
        cmp "$1/other.json" "$1/disk/ring.json" && echo same"""
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", env.dir,
                           os.path.join(BIN, "dshard")], env=clean_environ(), check=True,
                          capture_output=True, text=True, timeout=30 * SLOW)
    assert "exit 1\n" in done.stdout and "same" in done.stdout, done
    assert "filler ring.json" in done.stdout and ".tmp" not in done.stdout
    assert "No space left" in done.stderr and "disk" in done.stderr, done
    assert config.path


def test_a_file_size_limit_is_an_error_like_others(env):
    config = env.config(["127.0.0.1:1"])
    env.state().write(["127.0.0.1:1", "127.0.0.1:2"])
    before = env.state().load()
    done = subprocess.run(
        ["prlimit", "--fsize=100", os.path.join(BIN, "dshard"), "--config", config.path,
         "deregister", "--force", "127.0.0.1:2"], env=clean_environ(), check=False,
        capture_output=True, text=True, timeout=30 * SLOW)
    assert done.returncode == 1 and "File too large" in done.stderr, done
    assert env.state().load() == before
    assert not os.path.exists(env.path(".ring.json.tmp"))


# ---- many at once --------------------------------------------------------------------


@pytest.mark.parametrize("with_watch", [True, False])
def test_eight_writers_at_once_lose_nothing(env, with_watch):
    stubs = [env.stub() for _ in range(8)]
    gateway = env.pushgateway()
    config = env.config([gateway], health_check={"interval": "50ms", "timeout": "10s"})
    if with_watch:
        env.watch(config)
    rounds = 4 if with_watch else 2

    def toggle(number):
        """The last word of the even ones is in, that of the odd ones out."""
        name = stubs[number].address
        for _ in range(rounds):
            acts = [["register", f"{name}={number + 1}"], ["deregister", "--force", name]]
            for act in acts if number % 2 else reversed(acts):
                if act[0] == "register" or env.state().exists() and \
                        env.state().server(name):
                    env.dshard(*act, config=config).ok()

    with Reader(env.state()) as reader, concurrent.futures.ThreadPoolExecutor(8) as pool:
        if not with_watch:
            env.dshard("register", config=config).ok()
            reader.bad.clear()  # there was none before
        list(pool.map(toggle, range(8)))
    assert not reader.bad
    stay = sorted([gateway.address] + [s.address for s in stubs[::2]])
    wait_until(lambda: env.state().members() == stay, 10, "all of their last words")
    for number, stub in enumerate(stubs):
        server = env.state().server(stub.address)
        assert server["intent"] == ("out" if number % 2 else "in")
        assert number % 2 or server["weight"] == number + 1
    assert env.state().is_checked()
