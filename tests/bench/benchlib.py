# SPDX-License-Identifier: Apache-2.0
"""What the benchmark runs: servers side by side, pinned, and what they cost."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.dont_write_bytecode = True

from testenv import Process, free_port  # noqa: E402
from testenv.process import _session_pids as session_pids  # noqa: E402
from testenv.servers import can_connect  # noqa: E402

CPUS = sorted(os.sched_getaffinity(0))
CONNECTIONS = 64
# With one processor there is nothing to choose.
SERVER_CPU, CLIENT_CPU = CPUS[0], CPUS[-1]
os.sched_setaffinity(0, {CLIENT_CPU})  # this program and what it starts, but see pinned

_libc = ctypes.CDLL(None, use_errno=True)
_libc.clock_getcpuclockid.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_int)]


def cpu_s(pid):
    """CPU time of a process so far, all threads, user and system.  The same as utime and
    stime of /proc/PID/stat, in nanoseconds instead of hundredths of a second."""
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)):
        return 0.0
    return time.clock_gettime(clock.value)


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M).group(1))


def pids_of(process):
    """All processes of a program that was started: master, workers, children."""
    return session_pids(process.pid)


class pinned:
    """What is started inside runs on this processor."""

    def __init__(self, cpu):
        self.cpu = cpu

    def __enter__(self):
        self.before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.cpu})

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.before)


class Constant(Process):
    """A libfcgi program that gives the same answer to everything."""

    def __init__(self, directory, program):
        super().__init__("constant", directory)
        self.program = program
        self.socket = os.path.join(self.dir, "constant.sock")
        self.nginx_address = f"unix:{self.socket}"

    def command(self):
        return [self.program, self.socket]

    def is_ready(self):
        return os.path.exists(self.socket)


class HAProxy(Process):
    death_signal = signal.SIGTERM
    expected_exits = (0, 143, -signal.SIGTERM)

    def __init__(self, directory, conf):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        super().__init__("haproxy", directory)
        self.conf = os.path.join(self.dir, "haproxy.cfg")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(conf.replace("@PORT@", str(self.port)))

    def command(self):
        return ["haproxy", "-db", "-f", self.conf]

    def is_ready(self):
        return can_connect("127.0.0.1", self.port)


def load(address, seconds, connections=CONNECTIONS):
    """One closed loop: each connection sends its next push when it has its answer."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}",
         f"-d{max(1, round(seconds))}s", "--timeout", "5s",
         "-s", os.path.join(HERE, "load.lua"), f"http://{address}/"],
        stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def syscalls(pids, work):
    """How many system calls the first threads of processes, which answer, make while work()
    runs, by name; and its result."""
    with tempfile.NamedTemporaryFile("r", prefix="dshard-strace-") as out:
        tracer = subprocess.Popen(
            ["strace", "-c", "-o", out.name, *(x for p in pids for x in ("-p", str(p)))],
            stderr=subprocess.PIPE, text=True)
        for _ in pids:
            tracer.stderr.readline()  # "Process N attached"
        result = work()
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        rows = [line.split() for line in out.read().splitlines()]
    return {r[-1]: int(r[3]) for r in rows
            if len(r) >= 5 and r[3].isdigit() and r[-1] != "total"}, result


def stripped_size(path):
    with tempfile.NamedTemporaryFile(prefix="dshard-strip-") as out:
        shutil.copyfile(path, out.name)
        subprocess.run(["strip", out.name], check=True)
        return os.path.getsize(out.name)


def version_of(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    match = re.search(r"\d+\.\d+[\w.]*", done.stdout)
    return match.group(0) if match else "?"


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"^model name\s*:\s*(.*)", f.read(), re.M)
    return {"cpu": model.group(1) if model else os.uname().machine, "cpus": len(CPUS),
            "kernel": os.uname().release,
            "nginx": version_of("nginx", "-v"), "haproxy": version_of("haproxy", "-v"),
            "lighttpd": version_of("lighttpd", "-v"), "wrk": version_of("wrk", "-v")}
