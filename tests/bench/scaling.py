# SPDX-License-Identifier: Apache-2.0
"""What `scale up` from four to five real Pushgateways costs."""

import os
import re
import subprocess
import time

from benchlib import cpu_s
from testenv import BIN, Env, RawHTTP, clean_environ, wait_until
from testenv.state import murmur3

GROUPS = 1000
MANY = 10000  # on one server, for the memory
BODY = "".join(f"metric_{k} 12.5\n" for k in range(5))


class Ring:
    """Owners, quickly enough for a thousand groups."""

    def __init__(self, members, replicas=500):
        points = {murmur3(f"{i}{m}".encode()): m for m in sorted(members)
                  for i in range(replicas)}
        self.points = sorted(points.items())

    def owner(self, path):
        key = murmur3(path.encode())
        return next((m for hash_, m in self.points if hash_ > key), self.points[0][1])


def fill(gateways):
    ring = Ring([g.address for g in gateways])
    connections = {g.address: RawHTTP(g.address) for g in gateways}
    for i in range(GROUPS):
        path = f"/metrics/job/job{i}"
        assert connections[ring.owner(path)].request("PUT", path, BODY).status == 200
    for http in connections.values():
        http.close()


def scale_up(config, watch, spare):
    """CPU seconds of the command and of the watch, and the time that it all took."""
    before, began = cpu_s(watch.pid), time.monotonic()
    command = subprocess.Popen(
        [os.path.join(BIN, "dshard"), "--config", config.path, "scale", "up", spare.address,
         "--yes", "--patience", "1s", "--settle", "0s"],
        env=clean_environ(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    words = command.stderr.read().decode()
    _, status, usage = os.wait4(command.pid, 0)
    command.returncode = os.waitstatus_to_exitcode(status)
    assert command.returncode == 0, words
    return {"seconds": time.monotonic() - began, "groups": GROUPS, "moved": len(spare.groups()),
            "command_cpu_s": usage.ru_utime + usage.ru_stime,
            "watch_cpu_s": cpu_s(watch.pid) - before}


def peak_kib(command):
    """The most that a program had in memory.  (wait4() would tell no less than what this
    program has, which forked it.)"""
    peak = 0
    with subprocess.Popen(command, env=clean_environ(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with open(f"/proc/{process.pid}/status", encoding="utf-8") as f:
                found = re.search(r"^VmHWM:\s+(\d+)", f.read(), re.M)
            peak = max(peak, int(found.group(1)) if found else 0)
            time.sleep(0.005)
    return peak


def memory():
    """What it takes to move groups away from a server with ten thousand.  It checks no push
    against all that it has, which would take the square of them."""
    env = Env()
    try:
        pair = env.pushgateways(2, args=["--push.disable-consistency-check"])
        config = env.config(pair)
        env.dshard("register", config=config).ok()
        with RawHTTP(pair[0].address) as http:
            for i in range(MANY):
                assert http.request("PUT", f"/metrics/job/many{i}", BODY).status == 202
            json_kib = len(http.request("GET", "/api/v1/metrics").body) / 1024
        peak = peak_kib([os.path.join(BIN, "dshard"), "--config", config.path, "groups", "move",
                         "--once", "--patience", "0s"])
        return {"groups": MANY, "moved": len(pair[1].groups()), "json_kib": json_kib,
                "peak_kib": peak}
    finally:
        env.close()


def measure():
    env = Env()
    try:
        *gateways, spare = env.pushgateways(5)
        config = env.config(gateways)
        watch = env.watch(config)
        wait_until(lambda: len(watch.state.members()) == 4, 10, "the ring")
        fill(gateways)
        result = scale_up(config, watch, spare)
    finally:
        env.close()
    return {**result, "memory": memory()}
