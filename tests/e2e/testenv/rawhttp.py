# SPDX-License-Identifier: Apache-2.0
"""HTTP byte for byte: a client that sends any request target, and a server that misbehaves."""

import http.client
import http.server
import json
import socket
import threading


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # list of (name, value)
        self.body = body

    def header(self, name, default=None):
        """The one value of a header; two of them are an error."""
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else default

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:200]!r}>"


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


class RawHTTP:
    """One connection to HOST:PORT; nothing is quoted, cleaned, followed or tried again."""

    def __init__(self, address, timeout=10):
        host, port = address.rsplit(":", 1)
        self.address = address
        self.host, self.port, self.timeout = host.strip("[]"), int(port), timeout
        self.sock = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.sock:
            self.sock.close()
            self.sock = None

    def connect(self):
        if not self.sock:
            self.sock = socket.create_connection((self.host, self.port), self.timeout)
            # Head and body go out one after the other: without this the body waits 40 ms.
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.sock

    def send_head(self, method, target, headers=()):
        head = [_bytes(method) + b" " + _bytes(target) + b" HTTP/1.1"]
        names = {_bytes(n).lower() for n, _ in headers}
        if b"host" not in names:
            head.append(b"Host: " + self.address.encode())
        head += [_bytes(n) + b": " + _bytes(v) for n, v in headers]
        self.connect().sendall(b"\r\n".join(head) + b"\r\n\r\n")

    def read_response(self, method="GET"):
        answer = http.client.HTTPResponse(self.sock, method=method)
        try:
            answer.begin()
            body = answer.read()
        finally:
            answer.close()
        if answer.will_close:
            self.close()
        return Response(answer.status, answer.getheaders(), body)

    def request(self, method, target, body=None, headers=()):
        """headers: a dict or a list of pairs.  Content-Length is added for a body."""
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        if body is None and method in ("PUT", "POST"):
            body = b""
        if body is not None:
            body = _bytes(body)
            headers.append(("Content-Length", str(len(body))))
        self.send_head(method, target, headers)
        if body:
            self.connect().sendall(body)
        return self.read_response(method)

    def get(self, target, **more):
        return self.request("GET", target, **more)

    @classmethod
    def once(cls, address, method, target, body=None, headers=(), timeout=10):
        """A request on a connection of its own."""
        with cls(address, timeout) as client:
            return client.request(method, target, body, headers)


class _StubHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self):
        stub = self.server.stub
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        with stub.lock:
            stub.requests.append((self.command, self.path, dict(self.headers), body))
        if stub.hang:
            stub.released.wait()
            self.close_connection = True
            return
        answer = stub.answer
        if callable(answer):
            answer = answer(self.command, self.path, dict(self.headers), body)
        status, headers, content = answer
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _any

    def log_message(self, *_):
        pass


class _StubServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # what does not fit is tried again after a second

    def handle_error(self, request, client_address):
        pass  # clients that go away are none of the test's business


class Stub:
    """A server in this process that answers as the test says.

    answer: (status, headers, body), or a function (method, path, headers, body) that
    gives one.  hang = True: it accepts, reads the request and says nothing.
    """

    name = "stub"

    def __init__(self, answer=(200, {}, b""), host="127.0.0.1", port=0):
        self.answer = answer
        self.hang = False
        self.requests = []
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.problems = []
        self._server = _StubServer((host, port), _StubHandler)
        self._server.stub = self
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def count(self):
        with self.lock:
            return len(self.requests)

    def stop(self):
        self.released.set()
        if self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._thread = None

    def log_tail(self):
        with self.lock:
            return "\n".join(f"{m} {p}" for m, p, _, _ in self.requests[-50:])

    def all_problems(self):
        return self.problems
