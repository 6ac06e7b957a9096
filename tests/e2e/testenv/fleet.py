# SPDX-License-Identifier: Apache-2.0
"""Pushgateways behind a Consul, the watches that follow them, and what must hold for their
rings."""

import socket
import threading
import time

from .background import Background
from .state import hash16
from .wait import wait_until

LOCK, RING = "dshard/pushgateway/lock", "dshard/pushgateway/ring"


def addresses(gateways):
    return sorted(getattr(g, "address", g) for g in gateways)


def service_id(address):
    host, port = getattr(address, "address", address).rsplit(":", 1)
    return f"{host.strip('[]')}_{port}"


def holds(predicate, seconds):
    """It is so, and stays so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert predicate()
        time.sleep(0.02)


class Fleet:
    """n Pushgateways, registered with the agent and passing, and a watch that follows them
    by asking `asks` (the same agent unless told otherwise).  sections: of dshard.yml."""

    def __init__(self, env, agent, n=4, asks=None, start=True, **sections):
        self.env, self.agent = env, agent
        self.gateways = env.pushgateways(n)
        self.register(*self.gateways)
        agent.wait_passing(self.gateways, 40)
        self.config = env.consul_config(asks or agent, self.gateways, **sections)
        self.state = env.state()
        self.watch = env.watch(self.config, start=start)
        if start:
            self.await_ring(self.gateways)

    def register(self, *gateways, **fields):
        for gateway in gateways or self.gateways:
            self.agent.register(gateway.address, **fields)

    def drain(self, gateway, enable=True):
        self.agent.maintenance(service_id(gateway), enable)

    def is_ring(self, gateways):
        return self.state.members() == addresses(gateways)

    def await_ring(self, gateways, timeout=10):
        wait_until(lambda: self.is_ring(gateways), timeout,
                   f"the ring to be {addresses(gateways)}")
        assert self.state.is_checked()

    def server(self, gateway):
        return self.state.server(gateway.address)

    def await_health(self, gateway, health, timeout=10):
        wait_until(lambda: (self.server(gateway) or {}).get("health") == health, timeout,
                   f"{gateway.address} to be {health}")

    def follows_within(self, seconds, gateway=None):
        """It sees a drain, and its end, no later than that."""
        gateway = gateway or self.gateways[0]
        rest = [g for g in self.gateways if g is not gateway]
        self.drain(gateway)
        self.await_ring(rest, seconds)
        self.drain(gateway, False)
        self.await_ring(self.gateways)


class Unharmed:
    """with Unharmed(state): the ring does not change, not even for a moment."""

    def __init__(self, state):
        self.state = state

    def __enter__(self):
        self.before = self.state.load()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.check()

    def check(self):
        now = self.state.load()
        change = now["history"][0]
        assert now["generation"] == self.before["generation"], change
        assert now["digest"] == self.before["digest"]
        assert now["frozen"] == self.before["frozen"]
        return True


class Relay:
    """A TCP port in front of another one, which a test can cut ("refuse": nobody listens,
    "silence": connections stay open and carry nothing) and mend."""

    name = "relay"

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target, self.problems = (host, int(port)), []
        self._listener, self.port = None, 0
        self._sockets, self._lock = set(), threading.Lock()
        self._flows = threading.Event()
        self.mend()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def addr(self):
        return f"http://{self.address}"

    def mend(self):
        """Old connections that were silenced are lost."""
        self._drop()
        self._flows.set()
        if self._listener:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self, how="refuse"):
        if how == "silence":
            self._flows.clear()
            return
        listener, self._listener = self._listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._drop()

    def _drop(self):
        with self._lock:
            doomed, self._sockets = self._sockets, set()
        for s in doomed:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self, listener):
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            for pair in [(client, server), (server, client)]:
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.cut()
        self._flows.set()

    def log_tail(self):
        return ""

    def all_problems(self):
        return self.problems


class Frontend:
    """A watch with a configuration and a state file of its own; `relay` is between it and
    its Consul."""

    def __init__(self, env, name, consul, gateways, start=True, relay=True, **sections):
        self.env, self.name = env, name
        self.relay = env.add(Relay(consul.address)) if relay else None
        settings = {"addr": (self.relay or consul).addr, **sections.pop("consul_server", {})}
        self.config = env.consul_config(settings, gateways, name=f"{name}.yml",
                                        state_file=env.path(f"{name}.json"), **sections)
        self.state = env.state(f"{name}.json")
        self.watch = env.watch(self.config, start=start, name=f"watch-{name}")

    @property
    def key(self):
        """The second half of its name in Consul."""
        return hash16(self.config.state_file.encode())[:8]

    def digest(self):
        return self.state.load()["digest"]

    def decides(self, consul):
        return (consul.kv(LOCK) or "").strip('"').endswith(self.key)

    def __repr__(self):
        return self.name


def decider(consul, frontends, timeout=5):
    """The one that holds the lock."""
    return wait_until(lambda: next((f for f in frontends if f.decides(consul)), None),
                      timeout, "a decider")


def await_agreement(frontends, members, timeout=10):
    """Until all have had one digest (of so many members) for a second."""
    since = None

    def same():
        nonlocal since
        states = [f.state.load() for f in frontends]
        counts = {sum(s["member"] for s in state["servers"]) for state in states}
        if len({s["digest"] for s in states}) > 1 or counts - {members}:
            since = None
        else:
            since = since or time.monotonic()
        return since and time.monotonic() - since >= 1

    wait_until(same, timeout + 1, f"{frontends} to agree on {members} members")


class QuietMoments(Background):
    """with QuietMoments(frontends): whenever no digest has changed for a second, all are
    the same."""

    def __init__(self, frontends):
        super().__init__()
        self.frontends, self.problems, self.n_quiet = frontends, [], 0

    def __exit__(self, kind, *_):
        super().__exit__()
        if kind is None:
            assert not self.problems, self.problems[:5]

    def _run(self):
        last, since = None, time.monotonic()
        while not self._stop.wait(0.02):
            now = [f.digest() for f in self.frontends]
            if now != last:
                last, since = now, time.monotonic()
            elif time.monotonic() - since >= 1:
                self.n_quiet += 1
                if len(set(now)) > 1:
                    self.problems.append(dict(zip(map(str, self.frontends), now)))
