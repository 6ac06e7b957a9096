# SPDX-License-Identifier: Apache-2.0
"""What `scale up` from four to five real Pushgateways costs."""

import os
import subprocess
import time

from benchlib import cpu_s
from testenv import BIN, Env, RawHTTP, clean_environ, wait_until
from testenv.state import murmur3

GROUPS = 1000


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
        body = "".join(f"metric_{k} {i}\n" for k in range(5))
        assert connections[ring.owner(path)].request("PUT", path, body).status == 200
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
            "watch_cpu_s": cpu_s(watch.pid) - before, "command_rss_kib": usage.ru_maxrss}


def measure():
    env = Env()
    try:
        *gateways, spare = env.pushgateways(5)
        config = env.config(gateways)
        watch = env.watch(config)
        wait_until(lambda: len(watch.state.members()) == 4, 10, "the ring")
        fill(gateways)
        return scale_up(config, watch, spare)
    finally:
        env.close()
