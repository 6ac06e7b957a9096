# SPDX-License-Identifier: Apache-2.0
"""dshard-fcgi as a plain CGI program: what becomes of a body that nobody here wants."""

import fcntl
import os
import signal
import socket
import subprocess
import termios
import time

import pytest

import fronts
from testenv import BIN, RawHTTP, clean_environ, wait_until
from testenv.programs import wrapper
from testenv.wait import SLOW

PUSH = "/metrics/job/a"
OWNER = "127.0.0.1:7"
BUDGET_S = 5  # DS_CGI_BODY_BUDGET_MS


class Program:
    """Started as a web server does it: `stdin` and `stdout` are sockets or pipes."""

    def __init__(self, env, stdin, stdout=subprocess.PIPE, **environ):
        state = env.state()
        state.write([OWNER])
        self.proc = subprocess.Popen(
            [*wrapper(), os.path.join(BIN, "dshard-fcgi")], stdin=stdin, stdout=stdout,
            stderr=subprocess.PIPE, env=clean_environ(
                DSHARD_STATE=state.path, REQUEST_METHOD="PUT", REQUEST_URI=PUSH, **environ))

    def finish(self):
        """What it says on stdout, if that is a pipe."""
        out, err = self.proc.communicate(timeout=20 * SLOW)
        assert (self.proc.returncode, err) == (0, b"")
        return out


def answer(text):
    assert b"\r\nStatus: 307 " in text and f"Location: http://{OWNER}{PUSH}".encode() in text
    return text


def receive(sock):
    """All of it; ECONNRESET is what mod_cgid loses an answer by."""
    sock.settimeout(20 * SLOW)
    text = b""
    while True:
        data = sock.recv(65536)
        if not data:
            return text
        text += data


def test_the_body_is_read_by_its_length_and_not_a_byte_further(env):
    """Some servers leave stdin open, or have the client's next request there."""
    ours, theirs = os.pipe()
    os.write(theirs, b"x" * 30000 + b"next")
    answer(Program(env, ours, CONTENT_LENGTH="30000").finish())
    assert os.read(ours, 100) == b"next"
    os.close(ours)
    os.close(theirs)


def test_a_body_without_a_length_is_read_to_its_end(env):
    ours, theirs = os.pipe()
    program = Program(env, ours, HTTP_TRANSFER_ENCODING="chunked")
    os.close(ours)
    with open(theirs, "wb") as f:
        for _ in range(100):
            f.write(b"x" * 65536)  # EPIPE if nobody reads
        assert program.proc.poll() is None
    answer(program.finish())


@pytest.mark.parametrize("length", [{}, {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": "nonsense"}])
def test_what_is_left_on_a_socket_for_both_ways_does_not_take_the_answer_along(env, length):
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"x" * 100000)
        if "nonsense" in length.values():
            theirs.shutdown(socket.SHUT_WR)
        program = Program(env, ours, ours, **length)
        ours.close()
        answer(receive(theirs))
    program.finish()


def test_a_body_that_does_not_go_on_is_waited_for_a_while_and_then_answered(env):
    ours, theirs = socket.socketpair()
    start = time.monotonic()
    with theirs:
        program = Program(env, ours, ours, CONTENT_LENGTH="1000000")
        ours.close()
        theirs.sendall(b"x" * 100)
        answer(receive(theirs))
    program.finish()
    assert BUDGET_S - 0.5 < time.monotonic() - start < BUDGET_S * 2 * SLOW


def test_it_can_be_ended_while_it_waits_for_a_body(env):
    """Apache does so when the client has gone."""
    ours, theirs = os.pipe()
    program = Program(env, ours, CONTENT_LENGTH="1000000")
    os.write(theirs, b"x")
    wait_until(lambda: is_drained(ours), 10, "it to read")
    program.proc.send_signal(signal.SIGTERM)
    assert program.proc.wait(2 * SLOW) == -signal.SIGTERM
    program.proc.communicate()
    os.close(ours)
    os.close(theirs)


def is_drained(pipe):
    left = bytearray(4)
    fcntl.ioctl(pipe, termios.FIONREAD, left)
    return not any(left)


# -- behind web servers ----------------------------------------------------------------

def chunked(front, body):
    client = RawHTTP(front.address, timeout=20)
    with client:
        client.send_head("PUT", PUSH, [("Transfer-Encoding", "chunked")])
        client.sock.sendall(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        return client.read_response()


def abort(front):
    """A client that goes in the middle of its push."""
    with RawHTTP(front.address) as client:
        client.send_head("PUT", PUSH, [("Content-Length", "100000")])
        client.sock.sendall(b"x" * 20000)


def expecting(front, body):
    """What comes before the answer, and the answer, for a client that waits for the first."""
    with RawHTTP(front.address, timeout=20) as client:
        client.send_head("PUT", PUSH, [("Content-Length", str(len(body))),
                                       ("Expect", "100-continue")])
        before = client.sock.recv(25)
        client.sock.sendall(body)
        return before, client.read_response()


@pytest.mark.parametrize("module", ["mod_cgid", "mod_cgi", "lighttpd"])
def test_no_answer_is_lost_whatever_the_body(env, module):
    state = env.state()
    state.write([OWNER])
    if module == "lighttpd":
        server = fronts.lighttpd_cgi(env, state)
    else:
        server = fronts.apache_cgi_example(env, state, module)
    front = fronts.Front(server.address)
    for body in 15 * [b"m 1\n"] + 5 * [b"m 1\n" * 20000] + [b"m 1\n" * 7500000]:
        found = front.request("PUT", PUSH, body)
        assert found.status == 307 and found.text.startswith("this group belongs to")
    for body in (b"m 1\n", b"m 1\n" * 7500000):
        found = chunked(front, body)
        assert found.status == 307 and found.text.startswith("this group belongs to")
    before, found = expecting(front, b"m 1\n" * 5000)
    assert before == b"HTTP/1.1 100 Continue\r\n\r\n" and found.status == 307
    assert "Broken pipe" not in server.log() and "reset by peer" not in server.log()
    abort(front)
    assert front.request("PUT", PUSH, b"m 1\n").status == 307
    wait_until(lambda: not fronts.handlers_of(state), 10, "the handlers to end")
