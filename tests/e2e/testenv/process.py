# SPDX-License-Identifier: Apache-2.0
"""A program in the background: own session, own directory, own log, stopped by its pid."""

import ctypes
import os
import signal
import subprocess
import tempfile
import time

from .wait import SLOW, wait_until

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# What sanitizers and failed assertions leave in a log.
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
           "Assertion `", "ERROR SUMMARY: ")


def find_reports(text):
    """The lines of a log that a sanitizer, valgrind or assert() wrote."""
    return [line for line in text.splitlines()
            if any(r in line for r in REPORTS) and "ERROR SUMMARY: 0 " not in line]


def _session_pids(sid):
    pids = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == sid and fields[0] not in "ZX":
            pids.append(int(name))
    return pids


class Process:
    """Start with start(), ask `running`, end with stop().

    `directory` is made when it is not given.  The log gathers stdout and stderr of all
    starts.  When the test process dies, the kernel sends death_signal to the program.
    """

    death_signal = signal.SIGKILL
    stop_signal = signal.SIGTERM
    expected_exits = (0, -signal.SIGTERM)  # after stop_signal
    ours = False  # our own program: its exit status and log are checked when it ends

    def __init__(self, name, directory=None):
        self.name = name
        self.dir = directory or tempfile.mkdtemp(prefix=f"dshard-{name}-")
        os.makedirs(self.dir, exist_ok=True)
        self.log_path = os.path.join(self.dir, f"{name}.log")
        self.proc = None
        self.problems = []  # what the end of the test complains about
        self.exit_status = None
        self.paused = False

    # -- what subclasses say ---------------------------------------------------------

    def command(self):
        raise NotImplementedError

    def environ(self):
        return None

    def is_ready(self):
        return True

    # -- life ------------------------------------------------------------------------

    def start(self, wait=True, stdin=subprocess.DEVNULL):
        assert not self.running, f"{self.name} is running already"
        parent, death_signal = os.getpid(), self.death_signal

        def in_child():
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os._exit(1)

        with open(self.log_path, "ab") as log:
            self.proc = subprocess.Popen(
                self.command(), cwd=self.dir, env=self.environ(), stdin=stdin,
                stdout=log, stderr=log, start_new_session=True, preexec_fn=in_child)
        self.exit_status = None
        self.paused = False
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        def ready():
            if not self.running:
                raise AssertionError(
                    f"{self.name} ended with {self.proc.poll()} instead of becoming "
                    f"ready:\n{self.log_tail()}")
            return self.is_ready()

        wait_until(ready, timeout, f"{self.name} to be ready")
        return self

    @property
    def pid(self):
        return self.proc.pid

    @property
    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def signal(self, number):
        """To this process only; never after it was reaped."""
        if self.proc is not None and self.proc.returncode is None:
            self.proc.send_signal(number)

    def pause(self):
        """SIGSTOP: it keeps its sockets and says nothing.  Returns once it stands still."""
        self.signal(signal.SIGSTOP)
        self.paused = True
        wait_until(self._is_stopped, 5, f"{self.name} to stand still")

    def resume(self):
        self.signal(signal.SIGCONT)
        self.paused = False

    def _is_stopped(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "Tt"

    def _await_end(self, timeout):
        """True once it has ended; leaves it unreaped, so that its pid stays taken."""
        deadline = time.monotonic() + timeout
        while True:
            flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
            try:
                if os.waitid(os.P_PID, self.pid, flags) is not None:
                    return True
            except ChildProcessError:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)

    def _end(self, number, timeout):
        """Signals, waits, ends what is left of the session; the pids left over."""
        self.proc.send_signal(number)
        # Not to others: a SIGCONT takes away the SIGSTOP by which LeakSanitizer stops its
        # own process at the end, and then it waits for ever.
        if self.paused:
            self.proc.send_signal(signal.SIGCONT)
        ended = self._await_end(timeout)
        if not ended:
            self.proc.kill()
            self._await_end(10)
            self.problems.append(f"{self.name} did not end within {timeout:g} s of "
                                 f"{signal.Signals(number).name}")
        # The pid is still ours (a zombie), so the session's id cannot be another's.
        left = _session_pids(self.pid)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.exit_status = self.proc.wait()
        return left

    def stop(self, timeout=10):
        """TERM, then KILL.  Complains about what was wrong at the end (see problems)."""
        if self.proc is None or self.exit_status is not None:
            return self.exit_status
        if self.proc.returncode is not None or self._await_end(0):
            self._was_dead()
            return self.exit_status
        left = self._end(self.stop_signal, timeout * SLOW)
        if left:
            self.problems.append(f"{self.name} left processes behind: {left}")
        if self.ours and self.exit_status not in self.expected_exits:
            self.problems.append(f"{self.name} ended with {self.exit_status}")
        return self.exit_status

    def _was_dead(self):
        self.exit_status = self.proc.wait()
        if self.ours and self.exit_status != 0:
            self.problems.append(f"{self.name} had ended with {self.exit_status}")

    def kill9(self):
        """As a crash would: nothing is said, nothing is saved."""
        if self.proc is not None and self.exit_status is None:
            self._end(signal.SIGKILL, 10)

    def wait_exit(self, timeout=10):
        """Waits for it to end by itself; its exit status (no complaint at the end)."""
        self.exit_status = self.proc.wait(timeout * SLOW)
        return self.exit_status

    def restart(self):
        self.stop()
        return self.start()

    # -- log -------------------------------------------------------------------------

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def log_tail(self, lines=80):
        return "\n".join(self.log().splitlines()[-lines:])

    def all_problems(self):
        """What the end of the test must not overlook."""
        reports = find_reports(self.log()) if self.ours else []
        return self.problems + [f"{self.name}: {line}" for line in reports]
