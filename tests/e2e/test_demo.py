# SPDX-License-Identifier: Apache-2.0
"""bin/demo: what it claims is so, it fails when it is not, and it leaves nothing behind."""

import os
import pty
import re
import shutil
import signal
import subprocess
import urllib.request

import pytest

from testenv import BIN, TOP, Process, clean_environ, need_consul, wait_until
from testenv.process import _session_pids
from testenv.wait import LONG, SLOW

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Demo(Process):
    """The demo in a session of its own, with an empty directory for what it makes."""

    def __init__(self, directory, args=(), environ=None, programs=BIN, prefix=(), top=TOP):
        super().__init__("demo", directory)
        self.temp = os.path.join(directory, "tmp")
        os.makedirs(self.temp)
        os.chmod(self.temp, 0o777)
        # Who runs the tests in the background ignores SIGINT, and bash cannot trap it then.
        self.args = ["env", "--default-signal=INT", *prefix, os.path.join(top, "bin", "demo"), *args]
        self._environ = {"DSHARD_BIN": programs, "TMPDIR": self.temp, **(environ or {})}

    def command(self):
        return self.args

    def environ(self):
        return clean_environ(**self._environ)

    def wait_text(self, text, timeout=40):
        def found():
            assert self.running or text in self.log(), self.log()
            return text in self.log()
        wait_until(found, timeout, f"'{text}'")

    def interrupt(self):
        """Ctrl-C, as a terminal does it."""
        os.killpg(self.pid, signal.SIGINT)
        assert self._await_end(20 * SLOW), "it cannot be interrupted"
        return self

    def end(self, timeout=60):
        """Its exit status once it has ended, having left neither processes nor files."""
        assert self._await_end(timeout * SLOW), f"it did not end:\n{self.log()}"
        # A pipeline that was interrupted may need a moment; a server would stay.
        wait_until(lambda: not _session_pids(self.pid), 2, "its processes to be gone")
        self.exit_status = self.proc.wait()
        assert os.listdir(self.temp) == []
        return self.exit_status


@pytest.fixture
def demo(env):
    return lambda *args, **more: env.add(Demo(env.dir, args, **more)).start(wait=False)


@pytest.fixture
def demo_consul(demo):
    def run(*args, **more):
        return demo("--consul", *args, environ={"DSHARD_CONSUL": need_consul()}, **more)
    return run


def check_claims(text):
    assert text.count("ok: 300 of 300 pushes accepted") == 4
    assert "ok: each group is on one server" in text
    assert "ok: only the " in text
    removed = re.search(r"ok: its (\d+) old copies were removed", text)
    assert int(removed[1]) > 30
    assert "ok: each group is on its owner again, and nowhere else" in text
    assert "ok: every group is pushed to its first owner again" in text
    assert text.endswith("All of it was so.  Now everything is stopped and removed.\n")
    counts = [int(n) for n in re.findall(r"^ +(\d+) groups on ", text, re.M)]
    assert len(counts) == 5 and sum(counts[:3]) == sum(counts[3:]) == 300
    assert min(counts) > 30
    waited = re.search(r"accepted elsewhere after (\d+\.\d) s", text)
    assert float(waited.group(1)) < 10 * SLOW
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 80


def test_it_shows_what_it_claims_and_leaves_nothing(demo):
    it = demo()
    assert it.end() == 0, it.log()
    check_claims(it.log())


def lying_programs(env, pattern, script):
    """A directory with our programs; sed edits what `dshard` says to arguments that match."""
    programs = os.path.join(env.dir, "programs")
    os.mkdir(programs)
    os.symlink(os.path.join(BIN, "dshard-fcgi"), os.path.join(programs, "dshard-fcgi"))
    real = os.path.join(BIN, "dshard")
    with open(os.path.join(programs, "dshard"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\n"
                'case "$*" in\n'
                f"{pattern}) '{real}' \"$@\" | sed '{script}' ;;\n"
                f"*) exec '{real}' \"$@\" ;;\n"
                "esac\n")
        os.fchmod(f.fileno(), 0o755)
    return programs


def test_it_needs_no_privileges(env, demo):
    """As somebody who may write nowhere but in the directory for temporary files."""
    top = os.path.join(env.dir, "tree")
    shutil.copytree(os.path.join(TOP, "examples"), os.path.join(top, "examples"))
    shutil.copytree(BIN, os.path.join(top, "bin"))
    shutil.copy(os.path.join(TOP, "bin", "demo"), os.path.join(top, "bin", "demo"))
    somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    it = demo(programs=os.path.join(top, "bin"), top=top,
              prefix=somebody if os.getuid() == 0 else ())
    assert it.end() == 0, it.log()
    check_claims(it.log())


def test_it_fails_when_a_group_is_not_where_lookup_says(env, demo):
    it = demo(programs=lying_programs(env, "*'ring lookup'*", "7s/^[^\t]*/127.0.0.1:1/"))
    assert it.end() == 1
    assert "demo failed: a group is not where dshard ring lookup says" in it.log()
    assert "ok: each group" not in it.log()


def test_it_says_which_part_has_failed(env, demo):
    programs = os.path.join(env.dir, "programs")
    shutil.copytree(BIN, programs)
    with open(os.path.join(programs, "dshard-fcgi.new"), "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\necho it has no mind to >&2\nexit 1\n")
        os.fchmod(f.fileno(), 0o755)
    os.rename(os.path.join(programs, "dshard-fcgi.new"),
              os.path.join(programs, "dshard-fcgi"))
    it = demo(programs=programs)
    assert it.end() == 1
    assert "demo failed: fcgi has ended" in it.log()
    assert "it has no mind to" in it.log()


def test_keep_stays_until_it_is_interrupted(demo):
    it = demo("--keep")
    it.wait_text("# 127.0.0.1:")
    text = it.log()
    url = re.search(r"(http://\S+)/sd$", text, re.M).group(1)
    with OPENER.open(url + "/metrics/job/mine", timeout=10) as answer:
        assert answer.read().startswith(b"nextUrl:http://127.0.0.1:")
    command = re.search(r"^ +(\S+/dshard --config \S+ status)$", text, re.M).group(1)
    assert subprocess.run(command.split(), stdout=subprocess.DEVNULL, check=False,
                          env=clean_environ()).returncode == 0
    victim = re.search(r"^ +kill -9 (\d+) ", text, re.M).group(1)
    assert int(victim) in _session_pids(it.pid)
    os.kill(int(victim), signal.SIGKILL)
    assert it.interrupt().end() == 0, it.log()


@pytest.mark.skipif(not LONG, reason="half a minute for what a user hardly does: torture")
def test_what_keeps_running_ends_with_who_waits_for_ctrl_c(demo):
    it = demo("--keep")
    it.wait_text("Everything keeps running")
    it.signal(signal.SIGKILL)
    assert it.wait_exit() == -signal.SIGKILL
    wait_until(lambda: not _session_pids(it.pid), 20, "its processes to be gone")
    assert os.listdir(it.temp) == []


@pytest.mark.parametrize("until", ["1. Start", "2. Push", "4. Kill", "5. Start"])
def test_interrupted_anywhere_it_leaves_nothing(demo, until):
    it = demo()
    it.wait_text(until)
    assert it.interrupt().end() == 130, it.log()


def test_terminated_it_leaves_nothing(demo):
    it = demo()
    it.wait_text("3. Look")
    it.signal(signal.SIGTERM)
    assert it.end(20) == 143, it.log()


@pytest.mark.parametrize("environ, coloured", [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_terminals_that_want_them(env, environ, coloured):
    ours, theirs = pty.openpty()
    it = Demo(env.dir, environ=environ)
    it.proc = subprocess.Popen(it.command(), env=it.environ(), start_new_session=True,
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    env.add(it)
    os.close(theirs)
    text = b""
    while b"nginx\x1b" not in text and b"nginx\r" not in text:
        text += os.read(ours, 4096)
    it.signal(signal.SIGTERM)
    assert it.end(20) == 143
    os.close(ours)
    assert (b"\x1b" in text) is coloured


# ---- with Consul -----------------------------------------------------------------------


def test_two_frontends_agree_as_claimed(demo_consul):
    it = demo_consul()
    assert it.end(120) == 0, it.log()
    text = it.log()
    assert text.count("ok: 300 of 300 pushes accepted") == 8
    digests = re.findall(r"^ +(?:nginx|lighttpd) +has digest (\w{16})$", text, re.M)
    assert len(digests) == 6 and digests[::2] == digests[1::2]
    assert digests[0] != digests[2] and digests[0] == digests[4]
    # The DECIDES of the last table: one, and both with the digest.
    rows = re.findall(rf"^ +\S+ +{digests[0]}  yes +\S+ +(yes|-) +(?:yes|-)$", text, re.M)
    assert sorted(rows) == ["-", "yes"]
    assert "ok: each group is on one server, whichever way it came" in text
    assert float(re.search(r"dropped it after (\d+\.\d) s", text).group(1)) < 10 * SLOW
    assert re.search(r"ok: the watch of (nginx|lighttpd) decides, after", text)
    assert "ok: each group is on its owner again, and nowhere else" in text
    assert text.endswith("All of it was so.  Now everything is stopped and removed.\n")
    assert "\x1b" not in text and max(map(len, text.splitlines())) < 80


@pytest.mark.parametrize("until", ["1. Start", "4. Kill"])
def test_interrupted_with_consul_it_leaves_nothing(demo_consul, until):
    it = demo_consul()
    it.wait_text(until)
    assert it.interrupt().end() == 130, it.log()


def test_rings_that_differ_are_noticed(env, demo_consul):
    """One frontend's `status` tells another digest than the other's."""
    it = demo_consul(programs=lying_programs(env, "*lighttpd.yml*status*",
                                             's/"digest": ".../"digest": "xyz/'))
    assert it.end() == 1
    assert "demo failed: waited 20 s for two frontends with one ring" in it.log()


def test_unknown_words_are_refused(env):
    done = subprocess.run([os.path.join(TOP, "bin", "demo"), "--kept"], check=False,
                          env=clean_environ(DSHARD_BIN=BIN), stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"usage: demo [--consul] [--keep]\n")
