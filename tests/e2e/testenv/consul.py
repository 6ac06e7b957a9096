# SPDX-License-Identifier: Apache-2.0
"""A real Consul: one agent for most tests, several servers and agents for some."""

import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import urllib.parse
import uuid

import pytest

from .background import Background
from .ports import free_port
from .process import Process
from .programs import TOP, clean_environ
from .rawhttp import RawHTTP, Response
from .wait import wait_until


@functools.lru_cache(maxsize=None)
def find_consul():
    """(path, None), or (None, why not): $DSHARD_CONSUL, then PATH, then tests/get-consul,
    which fetches it once."""
    named = os.environ.get("DSHARD_CONSUL")
    if named:
        if os.access(named, os.X_OK):
            return named, None
        return None, f"DSHARD_CONSUL is '{named}', which cannot be run"
    path = shutil.which("consul")
    if path:
        return path, None
    os.makedirs(os.path.join(TOP, "build"), exist_ok=True)
    with open(os.path.join(TOP, "build", ".get-consul.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test process fetches, the others wait
        done = subprocess.run([os.path.join(TOP, "tests", "get-consul")], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
    if done.returncode == 0:
        return done.stdout.strip().splitlines()[-1], None
    return None, f"tests/get-consul failed: {done.stderr.strip()[-300:]}"


def need_consul():
    """The path of a Consul.  Without one: a failure where CI=true, else a skipped test."""
    path, why = find_consul()
    if path:
        return path
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Consul, and this run must have one: {why}", pytrace=False)
    pytest.skip(f"needs a Consul (apt, or DSHARD_CONSUL=/path): {why}")


class ConsulPorts:
    """All agents of a cluster use the same ports on addresses of their own."""

    def __init__(self):
        self.http, self.serf, self.server = free_port(), free_port(), free_port()


class Tls:
    """A CA, and certificates for a server and a client, made by Consul itself."""

    def __init__(self, directory):
        self.dir = os.path.join(directory, "tls")
        os.makedirs(self.dir)
        for args in (["ca", "create"], ["cert", "create", "-server", "-dc", "dc1"],
                     ["cert", "create", "-client", "-dc", "dc1"]):
            subprocess.run([need_consul(), "tls", *args], cwd=self.dir, check=True,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.ca = self._file("consul-agent-ca.pem")
        self.cert = self._file("dc1-server-consul-0.pem")
        self.key = self._file("dc1-server-consul-0-key.pem")
        self.client_cert = self._file("dc1-client-consul-0.pem")
        self.client_key = self._file("dc1-client-consul-0-key.pem")
        self.server_name = "server.dc1.consul"

    def _file(self, name):
        path = os.path.join(self.dir, name)
        assert os.path.exists(path), os.listdir(self.dir)
        return path


class Consul(Process):
    """An agent.

    mode   "dev": all in one, ready in a moment, forgets everything when it stops (but for
           the agent's own services, when data=True);
           "server": keeps its data; with expect=3 and join=[hosts] one of three;
           "client": no server; needs join.
    acl    default policy deny; self.master is the token that may do everything.
    tls    a Tls: HTTPS, and only with a client certificate when verify=True.
    unix   HTTP on a socket below the directory, self.socket.
    hcl    more configuration.
    """

    master = "00000000-1111-2222-3333-444444444444"
    stop_signal = signal.SIGKILL  # at the end of a test nobody waits for a farewell

    def __init__(self, directory, mode="dev", name="n1", host="127.0.0.1", ports=None,
                 expect=1, join=(), data=False, acl=False, tls=None, verify=False,
                 unix=False, hcl=(), service="pushgateway"):
        super().__init__(f"consul-{name}", directory)
        self.binary = need_consul()
        self.mode, self.node, self.host, self.service = mode, name, host, service
        self.ports = ports or ConsulPorts()
        self.expect, self.join = expect, list(join)
        self.data = os.path.join(self.dir, f"data-{name}") if data or mode != "dev" else None
        self.acl, self.tls, self.verify, self.hcl = acl, tls, verify, list(hcl)
        self.socket = os.path.join(self.dir, f"{name}.sock") if unix else None

    @property
    def address(self):
        return f"{self.host}:{self.ports.http}"

    @property
    def addr(self):
        """As consul_server.addr wants it."""
        if self.socket:
            return f"unix://{self.socket}"
        return f"{'https' if self.tls else 'http'}://{self.address}"

    # -- Process -----------------------------------------------------------------------

    def environ(self):
        return clean_environ()

    def command(self):
        args = [self.binary, "agent", "-node", self.node, "-log-level", "warn",
                "-bind", self.host, "-client", self.host, "-disable-host-node-id",
                "-http-port", "-1" if self.tls else self.ports.http,
                "-dns-port", -1, "-grpc-port", -1, "-serf-lan-port", self.ports.serf,
                "-server-port", self.ports.server, "-serf-wan-port", -1]
        args += {"dev": ["-dev"], "client": [],
                 "server": ["-server", "-bootstrap-expect", self.expect]}[self.mode]
        if self.data:
            args += ["-data-dir", self.data]
        for host in self.join:
            args += ["-retry-join", f"{host}:{self.ports.serf}"]
        args += ["-retry-interval", "1s"] if self.join else []
        for text in self._settings():
            args += ["-hcl", text]
        return [str(a) for a in args]

    def _settings(self):
        yield "disable_update_check = true"
        yield "disable_coordinates = true"  # they would be raft writes of their own
        yield "connect { enabled = false }"
        if self.mode == "server":
            yield "performance { raft_multiplier = 1 }"
        if self.acl:
            yield ('acl { enabled = true default_policy = "deny" tokens { '
                   f'master = "{self.master}" agent = "{self.master}" }} }}')
        if self.tls:
            yield (f'ports {{ https = {self.ports.http} }} ca_file = "{self.tls.ca}" '
                   f'cert_file = "{self.tls.cert}" key_file = "{self.tls.key}" '
                   f'verify_incoming_https = {"true" if self.verify else "false"}')
        if self.socket:
            yield f'addresses {{ http = "unix://{self.socket}" }}'
        yield from self.hcl

    def is_ready(self):
        """There is a leader, and this agent can ask it."""
        answer = self.request("GET", "/v1/status/leader")
        if answer.status != 200 or len(answer.body) < 5:
            return False
        return self.request("GET", "/v1/catalog/nodes").status == 200

    def term(self):
        """A proper end: a client agent leaves, with its services; a server does not."""
        self._end(signal.SIGTERM, 20)

    def wipe(self):
        """Stops it as a crash would, and nothing it knew is left."""
        self.kill9()
        if self.data:
            shutil.rmtree(self.data, ignore_errors=True)

    # -- its API -----------------------------------------------------------------------

    def request(self, method, path, body=None, token=None, timeout=20):
        """body: anything for JSON, or bytes.  The master token unless told otherwise."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        token = self.master if token is None and self.acl else token
        headers = {"X-Consul-Token": token} if token else {}
        if self.tls or self.socket:
            return self._curl(method, path, body, headers, timeout)
        return RawHTTP.once(self.address, method, path, body, headers, timeout)

    def _curl(self, method, path, body, headers, timeout):
        """TLS with a client certificate, or a unix socket."""
        command = ["curl", "-s", "-i", "--http1.1", "-m", str(timeout), "-X", method]
        if self.tls:
            command += ["--cacert", self.tls.ca, "--cert", self.tls.client_cert,
                        "--key", self.tls.client_key]
        if self.socket:
            command += ["--unix-socket", self.socket]
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        if body is not None:
            command += ["--data-binary", "@-"]
        url = f"https://{self.address}" if self.tls else "http://localhost"
        done = subprocess.run([*command, url + path], input=body or b"", check=False,
                              stdout=subprocess.PIPE, env=clean_environ())
        if done.returncode:
            raise ConnectionError(f"curl ended with {done.returncode}")
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = head.decode().splitlines()
        pairs = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        return Response(int(lines[0].split()[1]), pairs, content)

    def get(self, path, **more):
        answer = self.request("GET", path, **more)
        assert answer.status == 200, f"GET {path}: {answer}"
        return answer.json()

    def put(self, path, body=None, **more):
        """The answer's JSON, None when it is empty."""
        answer = self.request("PUT", path, body, **more)
        assert answer.status == 200, f"PUT {path}: {answer}"
        return answer.json() if answer.body.strip() else None

    def services(self, **more):
        """This agent's own: {id: service}."""
        return self.get("/v1/agent/services", **more)

    def checks(self):
        return self.get("/v1/agent/checks")

    def health(self, service=None):
        """The catalog's entries for the service, by node and id."""
        found = self.get(f"/v1/health/service/{service or self.service}")
        return sorted(found, key=lambda e: (e["Node"]["Node"], e["Service"]["ID"]))

    def members(self, service=None):
        """The addresses that the catalog has, sorted and unique."""
        return sorted({address_of(e["Service"]) for e in self.health(service)})

    def statuses(self, service=None):
        """{address: the worst status of its checks, maintenance included}."""
        order = ["passing", "warning", "critical"]
        return {address_of(e["Service"]): max((c["Status"] for c in e["Checks"]),
                                              key=order.index, default="passing")
                for e in self.health(service)}

    def wait_passing(self, addresses, timeout=45):
        """Until all these are registered and passing.

        A client agent whose first synchronization met no server tries again after 15 to 30 s.
        """
        wanted = {getattr(a, "address", a) for a in addresses}

        def ready():
            found = self.statuses()
            return all(found.get(a) == "passing" for a in wanted)

        wait_until(ready, timeout, f"{sorted(wanted)} to be passing in Consul")

    def register(self, address, interval="1s", timeout="1s", **fields):
        """A registration that is none of dshard's; check=None leaves the check out."""
        host, port = address.rsplit(":", 1)
        service = {"ID": f"{host.strip('[]')}_{port}", "Name": self.service,
                   "Address": host.strip("[]"), "Port": int(port),
                   "Check": {"HTTP": f"http://{address}/-/healthy", "Interval": interval,
                             "Timeout": timeout}}
        service.update(fields)
        if service["Check"] is None:
            del service["Check"]
        self.put("/v1/agent/service/register", service)
        return service["ID"]

    def deregister(self, service_id):
        self.put(f"/v1/agent/service/deregister/{urllib.parse.quote(service_id, safe='')}")

    def maintenance(self, service_id, enable=True, reason="a test"):
        query = urllib.parse.urlencode({"enable": str(enable).lower(), "reason": reason})
        quoted = urllib.parse.quote(service_id, safe="")
        self.put(f"/v1/agent/service/maintenance/{quoted}?{query}")

    def is_drained(self, address):
        return any(c["CheckID"].startswith("_service_maintenance:")
                   for e in self.health() if address_of(e["Service"]) == address
                   for c in e["Checks"])

    def kv(self, key):
        """The value as text, None when there is no such key."""
        answer = self.request("GET", f"/v1/kv/{urllib.parse.quote(key)}?raw")
        assert answer.status in (200, 404), answer
        return answer.text if answer.status == 200 else None

    def kv_keys(self, prefix="dshard/"):
        answer = self.request("GET", f"/v1/kv/{urllib.parse.quote(prefix)}?keys")
        return answer.json() if answer.status == 200 else []

    def kv_put(self, key, value):
        self.put(f"/v1/kv/{urllib.parse.quote(key)}", value.encode())

    def kv_delete(self, key, recurse=False):
        more = "?recurse" if recurse else ""
        assert self.request("DELETE", f"/v1/kv/{urllib.parse.quote(key)}{more}").status == 200

    def marks(self, service=None):
        """The addresses that are marked `out`."""
        prefix = f"dshard/{service or self.service}/out/"
        return sorted(k[len(prefix):] for k in self.kv_keys(prefix))

    def raft_index(self):
        """Grows with each write; beside that only with the leader's one barrier a minute."""
        return int(self.get("/v1/agent/self")["Stats"]["raft"]["last_log_index"])

    def is_leader(self):
        answer = self.request("GET", "/v1/status/leader")
        return answer.text.strip('"\n') == f"{self.host}:{self.ports.server}"

    def token(self, rules, secret=None):
        """A token with these rules (HCL); its secret."""
        name = f"t-{uuid.uuid4()}"
        self.put("/v1/acl/policy", {"Name": name, "Rules": rules})
        body = {"Policies": [{"Name": name}]}
        if secret:
            body["SecretID"] = secret
        return self.put("/v1/acl/token", body)["SecretID"]

    def flaps(self):
        return FlapCounter(self)


def address_of(service):
    host = service["Address"]
    return f"[{host}]:{service['Port']}" if ":" in host else f"{host}:{service['Port']}"


class FlapCounter(Background):
    """Follows the service's health with blocking queries, as a watch would; `changes` has
    every other picture that was seen after the first: {(node, check): status}."""

    def __init__(self, consul):
        super().__init__()
        self.consul, self.changes = consul, []
        self._index, self._last = 0, None
        self._look()  # the first picture is there when we are

    def _look(self):
        path = f"/v1/health/service/{self.consul.service}?wait=1s&index={self._index}"
        answer = self.consul.request("GET", path)
        if answer.status != 200:
            return
        self._index = int(answer.header("X-Consul-Index"))
        picture = {(c["Node"], c["CheckID"]): c["Status"]
                   for e in answer.json() for c in e["Checks"]}
        if self._last is not None and picture != self._last:
            self.changes.append(picture)
        self._last = picture

    def _run(self):
        while not self._stop.is_set():
            try:
                self._look()
            except (OSError, ValueError):
                self._stop.wait(0.2)


class ConsulCluster:
    """Servers on 127.0.0.11..., client agents behind them: .servers, .clients."""

    def __init__(self, env, servers=3, clients=0, **options):
        ports = ConsulPorts()
        hosts = [f"127.0.0.{11 + i}" for i in range(servers + clients)]
        join = hosts[:servers] if servers > 1 else []
        self.servers = [env.add(Consul(env.dir, "server", f"s{i + 1}", host, ports,
                                       expect=servers, join=join, **options))
                        for i, host in enumerate(hosts[:servers])]
        self.clients = [env.add(Consul(env.dir, "client", f"c{i + 1}", host, ports,
                                       join=hosts[:servers], **options))
                        for i, host in enumerate(hosts[servers:])]
        # Clients after their servers: one that finds none at first syncs 15 to 30 s later.
        for agents in (self.servers, self.clients):
            for agent in agents:
                agent.start(wait=False)
            for agent in agents:
                agent.wait_ready(40)

    @property
    def agents(self):
        return self.servers + self.clients

    def leader(self):
        return wait_until(lambda: next((s for s in self.servers
                                        if s.running and s.is_leader()), None),
                          40, "a leader")

    def wait_nodes(self, n):
        """Until each running agent sees so many nodes."""
        for agent in self.agents:
            if agent.running:
                wait_until(lambda a=agent: len(a.get("/v1/catalog/nodes")) == n, 20,
                           f"{n} nodes")
