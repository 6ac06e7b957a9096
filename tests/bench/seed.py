# SPDX-License-Identifier: Apache-2.0
"""The program that dshard replaces: started, and asked whether it is that."""

import http.client
import os

from scaling import Ring
from testenv import Env, Process, RawHTTP, clean_environ, free_port

ASKED = [f"/metrics/job/batch_{i}" for i in range(64)]
SERVERS = [f"127.0.0.{i}" for i in range(1, 5)]  # it knows one port for all


class Seed(Process):
    """quiet: its log, which nothing turns off (two lines a push), is thrown away, as the
    other rows write none.

    It has no Consul here: then it keeps the ring of its configuration, whole from the start.
    """

    def __init__(self, directory, program, servers, quiet=True):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        super().__init__("dynamic-sharding", directory)
        self.program, self.quiet = program, quiet
        self.conf = os.path.join(self.dir, "dynamic-sharding.yml")
        ring = Ring(servers)
        self.owners = {path: ring.owner(path) for path in ASKED}
        self.wrong = "it does not answer"
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write("consul_server:\n  addr: 127.0.0.1:1\n"
                    "  register_service_name: pushgateway\n"
                    f"http_listen_addr: {self.address}\n"
                    f"pushgateway:\n  port: {servers[0].split(':')[1]}\n  servers:\n" +
                    "".join(f"    - {s.split(':')[0]}\n" for s in servers))

    def command(self):
        command = [self.program, f"--config.file={self.conf}"]
        return ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh", *command] if self.quiet else command

    def environ(self):
        return clean_environ()

    def is_ready(self):
        """It redirects by the ring of all its servers."""
        with RawHTTP(self.address, timeout=2) as connection:
            for path, server in self.owners.items():
                answer = connection.request("PUT", path, "m 1\n")
                got = answer.status, answer.header("Location", "nowhere")
                if got != (307, f"http://{server}{path}"):
                    self.wrong = (f"PUT {path} is answered with {got[0]}, to {got[1]}, "
                                  f"and not with 307, to {server}")
                    return False
        return True


def check(program):
    """None, or why this program cannot be measured: sooner than after minutes."""
    if not os.path.isfile(program) or not os.access(program, os.X_OK):
        return "it is no program that can be run"
    env = Env()
    try:
        seed = env.add(Seed(env.dir, program, [f"{s}:9091" for s in SERVERS], quiet=False))
        seed.start(wait=False)
        seed.wait_ready(5)
    except OSError as e:
        return f"it cannot be run: {e.strerror}"
    except (AssertionError, http.client.HTTPException) as e:
        if not seed.running:
            why = f"it ended with {seed.proc.poll()} instead of redirecting"
        else:
            why = seed.wrong if isinstance(e, AssertionError) else repr(e)
        return f"{why}\n{seed.log_tail(3)}".strip()
    finally:
        env.close()
    return None
