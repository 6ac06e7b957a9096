# SPDX-License-Identifier: Apache-2.0
"""A Consul that does what the test says: every fault, in any order, exactly when wanted.

Without a script it answers truly enough for `dshard watch` and the commands: health with
blocking queries, the agent's services, KV with locks and CAS, sessions, transactions.  A
script puts answers in front of that, a path at a time:

    fake = env.fake_consul()
    fake.set_health([entry("127.0.0.1:9091")])
    fake.script(HEALTH, NO_LEADER, NO_LEADER, Answer(body=[], index=5))
    fake.always(HEALTH, PERMISSION_DENIED)      # until fake.clear(HEALTH)
"""

import base64
import http.server
import json
import re
import socket
import struct
import threading
import time
import urllib.parse
import uuid

HEALTH = "/v1/health/service/"


class Answer:
    """body: anything for JSON, or bytes (or a list of chunks of bytes, sent one by one).
    index: X-Consul-Index; None = the fake's own; "" = no such header.
    after: seconds before it comes; or None: a blocking query gets it only when its wait is
    over, as an unchanged one would.
    fault: "close" (nothing is said), "reset", "cut" (half of the body), "hang" (until the
    fake stops), "head" (hangs after the headers)."""

    def __init__(self, status=200, body=b"", index=None, headers=(), after=0, fault=None):
        self.status, self.index, self.after, self.fault = status, index, after, fault
        self.headers = dict(headers)
        is_raw = isinstance(body, (bytes, list)) and (
            isinstance(body, bytes) or all(isinstance(c, bytes) for c in body) and body)
        self.chunks = ([body] if isinstance(body, bytes) else body) if is_raw else [
            json.dumps(body).encode()]
        if not is_raw:
            self.headers.setdefault("Content-Type", "application/json")

    def __repr__(self):
        return f"<{self.status} {self.chunks[0][:60]!r} {self.fault or ''}>"


def error(status, text):
    """As an error of the health endpoints comes: with an index that must not be used."""
    return Answer(status, text.encode(), 1, {"X-Consul-KnownLeader": "false",
                                             "X-Consul-LastContact": "0"})


# What a real one was seen to say.
NO_LEADER = error(500, "No cluster leader")
NO_SERVERS = error(500, "No known Consul servers")
RPC_EOF = error(500, "rpc error making call: EOF")
RPC_REFUSED = error(500, "rpc error getting client: failed to get conn: dial tcp "
                         "127.0.0.11:0->127.0.0.11:8300: connect: connection refused")
NO_DATACENTER = error(500, "No path to datacenter")
TOKEN_UNKNOWN = error(403, "ACL not found")
PERMISSION_DENIED = error(403, "Permission denied")
BAD_WAIT = Answer(400, b"Invalid wait time", "")
BAD_NAMESPACE = Answer(400, b'Invalid query parameter: "ns" - Namespaces are a Consul '
                            b'Enterprise feature', "")
NOT_FOUND = Answer(404, b"", "")
RATE_LIMITED = Answer(429, b"rate limit exceeded, try again later or against a different "
                           b"server", "")
LEADER_BUSY = Answer(503, b"rate limit exceeded, try again later", "", {"Retry-After": "1"})
EMPTY = Answer(200, [], None)
NO_JSON = Answer(200, b"<html>a proxy's error page</html>")
NO_LIST = Answer(200, {"not": "a list"})
CUT = Answer(200, b'[{"Node":{"Node":"n1","Address":"127.0.0.1"},"Service":' + b" " * 500,
             fault="cut")
CUT_CLEANLY = Answer(200, b'[{"Node":{"Node":"n1","Addr')
CLOSED = Answer(fault="close")
RESET = Answer(fault="reset")
SILENT = Answer(fault="hang")


def huge(megabytes=100):
    """A list that ends, some time; sent bit by bit."""
    chunk = b" " * (1 << 20)
    return Answer(200, [b"[", *[chunk] * megabytes, b"]"])


FAULTS = {
    "no leader": NO_LEADER, "no servers": NO_SERVERS, "rpc eof": RPC_EOF,
    "rpc refused": RPC_REFUSED, "no datacenter": NO_DATACENTER, "token unknown": TOKEN_UNKNOWN,
    "permission denied": PERMISSION_DENIED, "bad wait": BAD_WAIT,
    "bad namespace": BAD_NAMESPACE, "not found": NOT_FOUND, "rate limited": RATE_LIMITED,
    "leader busy": LEADER_BUSY, "no json": NO_JSON, "no list": NO_LIST, "cut": CUT,
    "cut cleanly": CUT_CLEANLY, "closed": CLOSED, "reset": RESET,
    "no index": Answer(200, [], ""), "bad index": Answer(200, [], "abc"),
}


def entry(address, status="passing", weight=None, output=None, maintenance=False,
          node_maintenance=False, serf="passing", node="n1", node_address="127.0.0.1",
          service="pushgateway", meta=(), **fields):
    """One element of /v1/health/service.  output: None = what a check that ran says, ""
    = it has not run.  serf: None = a node without an agent.  fields replace the service's."""
    host, port = address.rsplit(":", 1)
    service_id = f"{host.strip('[]')}_{port}"
    meta = dict(meta)
    if weight is not None:
        meta["dshard-weight"] = str(weight)
    if output is None:
        output = {"passing": "HTTP GET: 200 OK Output: OK", "warning": "HTTP GET: 429"}.get(
            status, "dial tcp: connect: connection refused")

    def check(check_id, name, state, text, notes=""):
        return {"Node": node, "CheckID": check_id, "Name": name, "Status": state,
                "Notes": notes, "Output": text, "Definition": {}, "ServiceTags": [],
                "ServiceID": "" if check_id in ("serfHealth", "_node_maintenance")
                else service_id,
                "ServiceName": "" if check_id in ("serfHealth", "_node_maintenance")
                else service, "CreateIndex": 1, "ModifyIndex": 1}

    checks = [check(f"service:{service_id}", "GET /-/healthy", status, output)]
    if serf is not None:
        text = "Agent alive and reachable" if serf == "passing" else "Agent not live or " \
            "unreachable"
        checks.insert(0, check("serfHealth", "Serf Health Status", serf, text))
    if maintenance:
        checks.append(check(f"_service_maintenance:{service_id}", "Service Maintenance Mode",
                            "critical", "", "a test"))
    if node_maintenance:
        checks.append(check("_node_maintenance", "Node Maintenance Mode", "critical", "", "x"))
    body = {"ID": service_id, "Service": service, "Tags": [], "Meta": meta,
            "Address": host.strip("[]"), "Port": int(port),
            "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": False}
    body.update(fields)
    return {"Node": {"ID": node, "Node": node, "Address": node_address, "Datacenter": "dc1"},
            "Service": body, "Checks": checks}


# -- whole stories, as lists of answers for HEALTH --------------------------------------


def unprobed(e):
    """The same instance as it looks after its agent has started."""
    copy = json.loads(json.dumps(e))
    for check in copy["Checks"]:
        if check["CheckID"].startswith("service:"):
            check.update(Status="critical", Output="")
    return copy


def agent_lost(e):
    """The same instance when its agent is gone."""
    copy = json.loads(json.dumps(e))
    for check in copy["Checks"]:
        if check["CheckID"] == "serfHealth":
            check.update(Status="critical", Output="Agent not live or unreachable")
    return copy


def story_agent_restart(entries, index=100, pause=0.005):
    """One agent with all servers: killed, found dead, restarted; its checks come to the
    catalog one by one, never probed, and then pass one by one."""
    answers = [Answer(body=[agent_lost(e) for e in entries], index=index)]
    answers.append(Answer(body=entries, index=index + 1, after=pause))
    for n in range(1, len(entries) + 1):
        body = [unprobed(e) for e in entries[:n]] + entries[n:]
        answers.append(Answer(body=body, index=index + 1 + n, after=pause))
    for n in range(1, len(entries) + 1):
        body = entries[:n] + [unprobed(e) for e in entries[n:]]
        answers.append(Answer(body=body, index=index + 20 + n, after=0.2))
    return answers


def story_agent_leaves(entries, index=100):
    """TERM to a client agent: all of its services vanish, and come back critical."""
    answers = [Answer(body=[], index=index)]
    for n in range(1, len(entries) + 1):
        answers.append(Answer(body=[unprobed(e) for e in entries[:n]], index=index + n,
                              after=0.1))
    for n in range(1, len(entries) + 1):
        body = entries[:n] + [unprobed(e) for e in entries[n:]]
        answers.append(Answer(body=body, index=index + 20 + n, after=0.1))
    return answers


def story_restart_without_data(entries):
    """-dev, killed and started again: an empty list with a leader, a small index, and the
    services one by one once they are registered anew."""
    answers = [RESET, RESET, Answer(body=[], index=5)]
    for n in range(1, len(entries) + 1):
        body = entries[:n - 1] + [unprobed(entries[n - 1])]
        answers.append(Answer(body=body, index=8 + n, after=0.1))
    answers.append(Answer(body=entries, index=11 + len(entries), after=0.1))
    return answers


def story_leader_lost(entries, index=100, errors=5):
    """The leader is killed: an EOF at once, then nothing but "no leader", then the list."""
    return [RPC_EOF, *[NO_LEADER] * errors, Answer(body=entries, index=index)]


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.at = time.monotonic()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.method} {self.target}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers),
                          self.rfile.read(length))
        request.chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        request.is_there = self._is_there
        self._send(self.server.fake.answer(request))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

    def _is_there(self):
        """False once the client has gone: its query must not take a script's answer."""
        try:
            flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
            return self.connection.recv(1, flags) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _send(self, answer):
        if answer is None or answer.fault == "close":
            self.close_connection = True
        elif answer.fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif answer.fault == "hang":
            self.server.fake.released.wait()
            self.close_connection = True
        else:
            self._send_whole(answer)

    def _send_whole(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(sum(map(len, answer.chunks))))
        self.end_headers()
        if answer.fault == "head":
            self.server.fake.released.wait()
        if answer.fault in ("head", "cut"):
            if answer.fault == "cut":
                self.wfile.write(answer.chunks[0][:len(answer.chunks[0]) // 2])
            self.close_connection = True
            return
        for chunk in answer.chunks:
            self.wfile.write(chunk)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # clients that go away are none of the test's business

    def process_request(self, request, client_address):
        self.fake.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.fake.connections.discard(request)
        super().shutdown_request(request)


class FakeConsul:
    """See the top of this file.  `requests` has all that came."""

    name = "fake-consul"

    def __init__(self, host="127.0.0.1", service="pushgateway", index=10):
        self.host, self.service = host, service
        self.requests, self.problems, self.connections = [], [], set()
        self.cond = threading.Condition()
        self.released = threading.Event()
        self._scripts, self._always = {}, {}
        self._index, self._health, self._health_index = index, [], index
        self._local, self._kv, self._sessions = {}, {}, {}
        self._server, self.port = None, 0
        self.up()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def addr(self):
        return f"http://{self.address}"

    # -- what a test does with it --------------------------------------------------------

    def set_health(self, entries, index=None):
        """What the catalog has now; open queries see it at once."""
        with self.cond:
            self._index = index if index is not None else self._index + 1
            self._health, self._health_index = list(entries), self._index
            self.cond.notify_all()

    def script(self, path, *answers):
        """These come first, each once, for requests whose path begins so; open queries
        there get the first of them at once."""
        with self.cond:
            self._scripts.setdefault(path, []).extend(answers)
            self.cond.notify_all()

    def always(self, path, answer):
        """Behind the script: for every request, until clear()."""
        with self.cond:
            self._always[path] = answer
            self.cond.notify_all()

    def clear(self, path=None):
        """Back to the truth; path=None: for all paths."""
        with self.cond:
            for scripts in (self._scripts, self._always):
                for key in [k for k in scripts if path in (None, k)]:
                    del scripts[key]
            self.cond.notify_all()

    def left(self, path):
        """How many of a script's answers nobody has fetched yet."""
        with self.cond:
            return len(self._scripts.get(path, []))

    def asked(self, path, method=None):
        """The requests whose path begins so."""
        with self.cond:
            return [r for r in self.requests
                    if r.path.startswith(path) and method in (None, r.method)]

    def count(self):
        with self.cond:
            return len(self.requests)

    def kv(self, key):
        """The value as bytes; None without the key."""
        with self.cond:
            item = self._kv.get(key)
            return item["value"] if item else None

    def kv_put(self, key, value):
        with self.cond:
            self._kv_write(key, value if isinstance(value, bytes) else value.encode())

    def kv_delete(self, key):
        with self.cond:
            self._kv.pop(key, None)
            self._touch()

    def kv_keys(self, prefix=""):
        with self.cond:
            return sorted(k for k in self._kv if k.startswith(prefix))

    def holder(self, key):
        """The session that holds a lock; None."""
        with self.cond:
            return (self._kv.get(key) or {}).get("session")

    def expire(self, session):
        """As if its TTL had passed: locks are free, and renewing it is a 404."""
        with self.cond:
            self._end_session(session)

    def down(self):
        """Nobody listens there any more, and open connections break."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            for connection in list(self.connections):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self._thread.join()

    def up(self):
        """Listens again, on the same port."""
        self._server = _Server((self.host, self.port), _Handler)
        self._server.fake = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True,
                                        kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self):
        self.released.set()
        with self.cond:
            self.cond.notify_all()
        self.down()

    def log_tail(self):
        with self.cond:
            return "\n".join(map(repr, self.requests[-80:]))

    def all_problems(self):
        return self.problems

    # -- answering -----------------------------------------------------------------------

    def answer(self, request):
        with self.cond:
            self.requests.append(request)
            self.cond.notify_all()
            deadline = time.monotonic() + _seconds(request.query.get("wait", "300s"))
            answer = self._pick(request, deadline)
        if answer is None:
            return None
        pause = answer.after
        if pause is None:
            pause = max(0, deadline - time.monotonic())
        if pause and self.released.wait(pause):
            return None
        return answer

    def _scripted(self, request):
        for path in sorted(self._scripts, key=len, reverse=True):
            if request.path.startswith(path) and self._scripts[path]:
                return self._scripts[path].pop(0)
        for path in sorted(self._always, key=len, reverse=True):
            if request.path.startswith(path):
                return self._always[path]
        return None

    def _pick(self, request, deadline):
        """Waits (the condition is held) as a blocking query does."""
        while not self.released.is_set() and request.is_there():
            scripted = self._scripted(request)
            if scripted:
                return self._with_index(scripted, self._health_index)
            wanted = int(request.query.get("index") or 0)
            answer, index = self._truth(request)
            left = deadline - time.monotonic()
            if not wanted or index is None or index > wanted or left <= 0:
                return self._with_index(answer, index)
            self.cond.wait(min(left, 0.1))
        return None

    @staticmethod
    def _with_index(answer, own):
        index = own if answer.index is None else answer.index
        copy = Answer(answer.status, b"", answer.index, answer.headers, answer.after,
                      answer.fault)
        copy.chunks = answer.chunks
        if index not in ("", None):
            copy.headers = {"X-Consul-Index": str(index), "X-Consul-KnownLeader": "true",
                            "X-Consul-LastContact": "0", **answer.headers}
        return copy

    def _touch(self):
        self._index += 1
        self.cond.notify_all()
        return self._index

    def _truth(self, request):
        """(Answer, index); index None: not a blocking query."""
        path = urllib.parse.unquote(request.path)
        for pattern, method, handle in self._routes():
            match = re.fullmatch(pattern, path)
            if match and request.method in method.split():
                return handle(request, *match.groups())
        return Answer(404, b"", ""), None

    def _routes(self):
        return [
            (r"/v1/health/service/(.+)", "GET", self._get_health),
            (r"/v1/status/leader", "GET", lambda r: (Answer(body="127.0.0.1:8300"), None)),
            (r"/v1/agent/self", "GET", lambda r: (Answer(body={
                "Config": {"NodeName": "n1", "Datacenter": "dc1"}}), None)),
            (r"/v1/agent/service/register", "PUT", self._register),
            (r"/v1/agent/service/deregister/(.+)", "PUT", self._deregister),
            (r"/v1/agent/service/(.+)", "GET", self._get_local),
            (r"/v1/agent/services", "GET", lambda r: (Answer(body=self._local), None)),
            (r"/v1/agent/checks", "GET", self._get_checks),
            (r"/v1/kv/(.*)", "GET", self._kv_get),
            (r"/v1/kv/(.+)", "PUT", self._kv_set),
            (r"/v1/kv/(.+)", "DELETE", self._kv_del),
            (r"/v1/txn", "PUT", self._txn),
            (r"/v1/session/create", "PUT", self._session_create),
            (r"/v1/session/(renew|destroy|info)/(.+)", "PUT GET", self._session),
        ]

    def _get_health(self, request, service):
        entries = self._health if service.lower() == self.service.lower() else []
        return Answer(body=entries), self._health_index

    # the agent's own services

    def _register(self, request):
        service = request.json
        host, port = service.get("Address") or "127.0.0.1", service.get("Port", 0)
        service_id = service.get("ID") or service["Name"]
        self._local[service_id] = {
            "ID": service_id, "Service": service["Name"], "Tags": service.get("Tags") or [],
            "Meta": service.get("Meta") or {}, "Port": port, "Address": host,
            "Weights": {"Passing": 1, "Warning": 1}, "EnableTagOverride": False}
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        new = entry(address, "critical", output="", service=service["Name"])
        new["Service"] = self._local[service_id]
        if service["Name"].lower() == self.service.lower():
            others = [e for e in self._health if e["Service"]["ID"] != service_id]
            self._health, self._health_index = [*others, new], self._touch()
        return Answer(), None

    def _deregister(self, request, service_id):
        self._local.pop(service_id, None)
        left = [e for e in self._health if e["Service"]["ID"] != service_id]
        if len(left) < len(self._health):
            self._health, self._health_index = left, self._touch()
        return Answer(), None

    def _get_local(self, request, service_id):
        if service_id not in self._local:
            return Answer(404, f"unknown service ID: {service_id}".encode(), ""), None
        return Answer(body=self._local[service_id]), None

    def _get_checks(self, request):
        return Answer(body={f"service:{i}": {
            "Node": "n1", "CheckID": f"service:{i}", "ServiceID": i, "Status": "passing",
            "ServiceName": s["Service"]} for i, s in self._local.items()}), None

    # KV

    def _kv_write(self, key, value, flags=0):
        old = self._kv.get(key)
        if old and old["value"] == value:
            return old
        index = self._touch()
        item = old or {"create": index, "lock": 0, "session": None}
        item.update(value=value, modify=index, flags=flags)
        self._kv[key] = item
        return item

    @staticmethod
    def _kv_json(key, item):
        content = {"Key": key, "Value": base64.b64encode(item["value"]).decode(),
                   "Flags": item["flags"], "LockIndex": item["lock"],
                   "CreateIndex": item["create"], "ModifyIndex": item["modify"]}
        if item["session"]:
            content["Session"] = item["session"]
        return content

    def _kv_get(self, request, key):
        prefix = "recurse" in request.query or "keys" in request.query
        found = {k: v for k, v in sorted(self._kv.items())
                 if (k.startswith(key) if prefix else k == key)}
        if not found:
            return Answer(404, b""), self._index
        index = max(v["modify"] for v in found.values())
        index = self._index if prefix else index
        if "raw" in request.query:
            return Answer(200, found[key]["value"]), index
        if "keys" in request.query:
            return Answer(body=list(found)), index
        return Answer(body=[self._kv_json(k, v) for k, v in found.items()]), index

    def _kv_set(self, request, key):
        query, item = request.query, self._kv.get(key)
        if "cas" in query:
            now = item["modify"] if item else 0
            if int(query["cas"]) != now:
                return Answer(body=False), None
        if "acquire" in query:
            if query["acquire"] not in self._sessions:
                return Answer(500, b"invalid session", ""), None
            if item and item["session"] not in (None, query["acquire"]):
                return Answer(body=False), None
        if "release" in query and (not item or item["session"] != query["release"]):
            return Answer(body=False), None
        item = self._kv_write(key, request.body, int(query.get("flags", 0)))
        if "acquire" in query and item["session"] is None:
            item.update(session=query["acquire"], lock=item["lock"] + 1, modify=self._touch())
        if "release" in query:
            item.update(session=None, modify=self._touch())
        return Answer(body=True), None

    def _kv_del(self, request, key):
        doomed = [k for k in self._kv
                  if (k.startswith(key) if "recurse" in request.query else k == key)]
        for k in doomed:
            del self._kv[k]
        self._touch()
        return Answer(body=True), None

    def _txn_ok(self, op):
        item = self._kv.get(op["Key"])
        if op["Verb"] == "check-session":
            return item is not None and item["session"] == op["Session"]
        if op["Verb"] == "cas":
            return (item["modify"] if item else 0) == op.get("Index", 0)
        if op["Verb"] == "check-not-exists":
            return item is None
        return op["Verb"] in ("set", "get", "delete")

    def _txn(self, request):
        ops = [o["KV"] for o in request.json]
        errors = [{"OpIndex": i, "What": f"failed {o['Verb']} of {o['Key']}"}
                  for i, o in enumerate(ops) if not self._txn_ok(o)]
        if errors:
            return Answer(409, {"Results": None, "Errors": errors}), None
        results = []
        for op in ops:
            if op["Verb"] in ("set", "cas"):
                self._kv_write(op["Key"], base64.b64decode(op["Value"]))
            elif op["Verb"] == "delete":
                self._kv.pop(op["Key"], None)
                self._touch()
            if op["Key"] in self._kv:
                item = self._kv_json(op["Key"], self._kv[op["Key"]])
                results.append({"KV": {**item, "Value": None}})
        return Answer(body={"Results": results, "Errors": None}), None

    # sessions

    def _session_create(self, request):
        session = str(uuid.uuid4())
        # A chunked body is ignored: no TTL, and the lock is never freed.
        self._sessions[session] = {} if request.chunked else json.loads(request.body or b"{}")
        return Answer(body={"ID": session}), None

    def _end_session(self, session):
        if self._sessions.pop(session, None) is None:
            return
        for key in [k for k, v in self._kv.items() if v["session"] == session]:
            self._kv[key].update(session=None, modify=self._touch())

    def _session(self, request, what, session):
        if what == "destroy":
            self._end_session(session)
            return Answer(body=True), None
        if session not in self._sessions:
            return (Answer(body=[]) if what == "info" else
                    Answer(404, b"Session id not found", "")), None
        return Answer(body=[{"ID": session, **self._sessions[session]}]), None


def _seconds(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m)", text)
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]] if match else 300
