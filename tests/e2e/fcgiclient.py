# SPDX-License-Identifier: Apache-2.0
"""A FastCGI client that can stop in the middle: the web server's side, byte for byte."""

import contextlib
import os
import struct

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER, AUTHORIZER = 1, 2


def record(kind, content=b"", id=1, padding=0):
    return struct.pack("!BBHHBx", 1, kind, id, len(content), padding) + content + bytes(padding)


def begin(keep=False, role=RESPONDER, id=1):
    return record(BEGIN, struct.pack("!HB5x", role, int(keep)), id)


def stream(kind, content, id=1, size=65535):
    """Content in records of `size`, and the empty record that ends it."""
    parts = [record(kind, content[i:i + size], id) for i in range(0, len(content), size)]
    return b"".join(parts) + record(kind, b"", id)


def pair(name, value):
    def length(n):
        return bytes([n]) if n < 128 else struct.pack("!I", n | 1 << 31)

    name, value = _bytes(name), _bytes(value)
    return length(len(name)) + length(len(value)) + name + value


def head(method, target, keep=False, role=RESPONDER, id=1, **params):
    """A request up to the end of its parameters."""
    params = {"REQUEST_METHOD": method, "REQUEST_URI": target, **params}
    content = b"".join(pair(n, v) for n, v in params.items())
    return begin(keep, role, id) + stream(PARAMS, content, id)


def request(method, target, body=b"", **more):
    return head(method, target, **more) + stream(STDIN, body, more.get("id", 1))


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


class Answer:
    def __init__(self, text):
        top, self.body = text.split(b"\r\n\r\n", 1)
        lines = top.decode("ascii").split("\r\n")
        self.headers = dict(line.split(": ", 1) for line in lines)
        assert len(self.headers) == len(lines), "a header is there twice"
        self.status = int(self.headers["Status"].split()[0])

    def header(self, name):
        return self.headers.get(name)

    def __repr__(self):
        return f"<{self.headers} {self.body[:200]!r}>"


class Closed(Exception):
    """The other side has closed the connection instead of answering."""


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        try:
            part = sock.recv(n - len(data))
        except ConnectionResetError:
            part = b""
        if not part:
            raise Closed(f"after {len(data)} of {n} bytes")
        data += part
    return data


def read_record(sock):
    """(type, request id, content)"""
    version, kind, its_id, length, padding = struct.unpack("!BBHHBx", read_exactly(sock, 8))
    assert version == 1
    content = read_exactly(sock, length)
    read_exactly(sock, padding)
    return kind, its_id, content


def read_answer(sock, id=1):
    """Reads up to END_REQUEST; whatever is not well formed is an AssertionError."""
    text = b""
    while True:
        kind, its_id, content = read_record(sock)
        assert its_id == id
        if kind == END:
            assert content[:5] == b"\0\0\0\0\0", "not FCGI_REQUEST_COMPLETE with status 0"
            return Answer(text)
        assert kind == STDOUT, f"a record of type {kind}"
        text += content


def n_sockets(pid):
    """How many sockets a process has open."""
    n = 0
    for fd in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            n += os.readlink(fd.path).startswith("socket:")
    return n


def can_connect(fcgi):
    try:
        fcgi.connect().close()
    except OSError:
        return False
    return True


def is_closed(sock):
    """True when the other side has closed; fails on a byte that it sent."""
    try:
        data = sock.recv(1)
    except ConnectionResetError:
        return True
    assert data == b"", "more bytes than the answer"
    return True


def ask(fcgi, method, target, body=b"", timeout=10, **params):
    """One request on a connection of its own, closed by the handler as it should be."""
    with fcgi.connect(timeout) as sock:
        sock.sendall(request(method, target, body, **params))
        answer = read_answer(sock)
        assert is_closed(sock)
        return answer
