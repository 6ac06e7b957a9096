# SPDX-License-Identifier: Apache-2.0
"""What a test holds in its hand: starts everything, stops everything, complains."""

import os
import shutil
import tempfile

from .config import ConfigFile
from .consul import Consul, ConsulCluster, Tls
from .fakeconsul import FakeConsul
from .programs import BIN, TOP, Dshard, Fcgi, Watch
from .rawhttp import RawHTTP, Stub
from .servers import Lighttpd, Nginx, Prometheus, Pushgateway
from .state import State

__all__ = ["BIN", "TOP", "Env"]


class Env:
    """Each method makes one server or program in this environment's directory.  They are
    started unless start=False, and stopped in the opposite order at the end."""

    def __init__(self):
        # Not below pytest's own directory: paths of sockets are limited to 107 bytes.
        self.dir = tempfile.mkdtemp(prefix="dshard-test-")
        os.chmod(self.dir, 0o755)
        self.things = []
        self.dshard = Dshard(self.dir)

    # -- what tests call ---------------------------------------------------------------

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        """A file in the environment's directory; its path."""
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def add(self, thing):
        """Anything with stop(), log_tail() and all_problems()."""
        self.things.append(thing)
        return thing

    def _run(self, thing, start):
        self.add(thing)
        if start:
            thing.start()
        return thing

    def pushgateway(self, start=True, **options):
        return self._run(Pushgateway(self.dir, **options), start)

    def pushgateways(self, n, **options):
        """n of them, started side by side."""
        all_of_them = [self.pushgateway(start=False, **options) for _ in range(n)]
        for p in all_of_them:
            p.start(wait=False)
        for p in all_of_them:
            p.wait_ready()
        return all_of_them

    def nginx(self, start=True, **options):
        return self._run(Nginx(self.dir, **options), start)

    def lighttpd(self, start=True, **options):
        return self._run(Lighttpd(self.dir, **options), start)

    def prometheus(self, start=True, **options):
        return self._run(Prometheus(self.dir, **options), start)

    def watch(self, config, start=True, **options):
        return self._run(Watch(self.dir, config, **self._named("watch", options)), start)

    def fcgi(self, state, start=True, **options):
        return self._run(Fcgi(self.dir, state, **self._named("fcgi", options)), start)

    def _named(self, name, options):
        """The second one of a kind gets a name (and log and socket) of its own."""
        taken = sum(t.name.split("-")[0] == name for t in self.things)
        if taken and "name" not in options:
            options["name"] = f"{name}-{taken + 1}"
        return options

    def consul(self, start=True, **options):
        """A single agent; without a Consul the test is skipped (or fails, if CI=true)."""
        if "name" not in options:
            taken = sum(isinstance(t, Consul) for t in self.things)
            options["name"] = f"n{taken + 1}"
        return self._run(Consul(self.dir, **options), start)

    def consul_cluster(self, servers=3, clients=0, **options):
        return ConsulCluster(self, servers, clients, **options)

    def consul_tls(self):
        return Tls(self.dir)

    def fake_consul(self, **options):
        return self.add(FakeConsul(**options))

    def consul_config(self, consul, servers, name="dshard.yml", **sections):
        """A ConfigFile with consul_server; consul: anything with .addr, or its settings."""
        settings = consul if isinstance(consul, dict) else {"addr": consul.addr}
        sections.setdefault("health_check", {"interval": "1s", "timeout": "1s"})
        return self.config(servers, name=name, consul_server=settings, **sections)

    def stub(self, *args, **options):
        return self.add(Stub(*args, **options))

    def config(self, servers, **options):
        """A ConfigFile; servers: addresses or things that have one.  A stub has no groups:
        it is not to be asked for them."""
        if any(isinstance(s, Stub) for s in servers):
            options.setdefault("watch", {"groups": "off"})
        names = [getattr(s, "address", s) for s in servers]
        return ConfigFile(self.dir, names, **options)

    def state(self, path="ring.json"):
        return State(os.path.join(self.dir, path))

    def http(self, thing, timeout=10):
        """A RawHTTP connection to a server or an address."""
        return self.add(_Closing(getattr(thing, "address", thing), timeout))

    # -- the end -----------------------------------------------------------------------

    def logs(self):
        return [(t.name, t.log_tail()) for t in self.things if t.log_tail()]

    def close(self):
        """Stops everything; returns what went wrong, as texts."""
        problems = []
        for thing in reversed(self.things):
            try:
                thing.stop()
            except Exception as e:  # the others must be stopped all the same
                problems.append(f"{thing.name}: {e!r}")
            problems += thing.all_problems()
        self.closing_logs = self.logs()
        if os.environ.get("DSHARD_TEST_KEEP"):
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        return problems


class _Closing(RawHTTP):
    name = "http"

    def stop(self):
        self.close()

    def log_tail(self):
        return ""

    def all_problems(self):
        return []
