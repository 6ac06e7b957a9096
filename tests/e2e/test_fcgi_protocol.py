# SPDX-License-Identifier: Apache-2.0
"""dshard-fcgi as a web server sees it: whole requests, halves, floods and nonsense."""

import contextlib
import fcntl
import os
import random
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

import fcgiclient
from fcgiclient import (AUTHORIZER, GET_VALUES, GET_VALUES_RESULT, PARAMS, STDIN, UNKNOWN_TYPE,
                        Closed, ask, begin, can_connect, head, is_closed, n_sockets, pair,
                        read_answer, read_record, record, request, stream)
from testenv import Fcgi, wait_until

OWNER = "127.0.0.1:1"
PUSH = "/metrics/job/a/b/c"
LOCATION = f"http://{OWNER}{PUSH}"
# What a request that nobody delays needs, with room for a busy machine; half requests that
# stand still are allowed 30 s.
PROMPT_S = 2.0


@pytest.fixture
def fcgi(env):
    state = env.state()
    state.write([OWNER], generation=7)
    return env.fcgi(state)


def assert_prompt(fcgi):
    """Somebody else is served as if nothing were."""
    for _ in range(5):
        start = time.monotonic()
        assert ask(fcgi, "PUT", PUSH).header("Location") == LOCATION
        assert time.monotonic() - start < PROMPT_S


def test_a_request_is_answered_and_the_connection_closed(fcgi):
    answer = ask(fcgi, "PUT", PUSH)
    assert answer.status == 307 and answer.header("Location") == LOCATION
    assert answer.header("X-Dshard-Generation") == "7"
    assert int(answer.header("Content-Length")) == len(answer.body)


def test_a_kept_connection_serves_one_request_after_another(fcgi):
    with fcgi.connect() as sock:
        for i in range(300):
            sock.sendall(request("PUT", f"/metrics/job/{i}", b"x" * (i % 7), keep=True, id=1 + i))
            assert read_answer(sock, 1 + i).header("Location").endswith(f"/metrics/job/{i}")
        sock.sendall(request("GET", PUSH, keep=False))
        assert read_answer(sock).body == b"nextUrl:" + LOCATION.encode()
        assert is_closed(sock)


@pytest.mark.parametrize("listen", ["unix", "tcp"])
def test_a_request_may_come_byte_by_byte(env, listen):
    state = env.state()
    state.write([OWNER])
    make = Fcgi if listen == "unix" else Fcgi.tcp
    fcgi = env.add(make(env.dir, state))
    fcgi.start()
    with fcgi.connect() as sock:
        for keep in (True, True, False):
            for byte in request("PUT", PUSH, b"m 1\n", keep=keep, X="y" * 300):
                sock.sendall(bytes([byte]))
            assert read_answer(sock).header("Location") == LOCATION
        assert is_closed(sock)


@pytest.mark.parametrize("cut", [1, 7, 8, 12, 16, 20, 40, -16, -9, -8, -1])
def test_a_request_may_come_in_two_parts_and_others_go_between(fcgi, cut):
    whole = request("PUT", PUSH, b"m 1\n")
    with fcgi.connect() as sock:
        sock.sendall(whole[:cut])
        assert_prompt(fcgi)
        sock.sendall(whole[cut:])
        assert read_answer(sock).header("Location") == LOCATION
        assert is_closed(sock)


def test_64_half_requests_delay_nobody(fcgi):
    whole = request("PUT", PUSH, b"m 1\n" * 100)
    cuts = [0, 3, 8, 14, 20, 40, len(whole) - 450, len(whole) - 5]
    halves = []
    try:
        for i in range(64):
            halves.append(fcgi.connect())
            halves[-1].sendall(whole[:cuts[i % len(cuts)]])
        assert_prompt(fcgi)
        for i, sock in enumerate(halves):
            sock.sendall(whole[cuts[i % len(cuts)]:])
            assert read_answer(sock).header("Location") == LOCATION
    finally:
        for sock in halves:
            sock.close()


@pytest.mark.parametrize("size", [0, 1, 500, 8192, 60000, 65536, 300000, 5000000])
def test_a_body_of_any_size_is_dropped_and_the_connection_goes_on(fcgi, size):
    with fcgi.connect(30) as sock:
        for _ in range(3):
            sock.sendall(request("POST", PUSH, b"x" * size, keep=True))
            assert read_answer(sock).header("Location") == LOCATION


def test_a_body_may_come_in_small_records_with_padding(fcgi):
    records = b"".join(record(STDIN, b"x" * (1 + i % 50), padding=i % 8) for i in range(3000))
    with fcgi.connect() as sock:
        for _ in range(2):
            sock.sendall(head("PUT", PUSH, keep=True) + records + record(STDIN))
            assert read_answer(sock).header("Location") == LOCATION


def test_bodies_that_never_end_delay_nobody(fcgi):
    stop = threading.Event()

    def flood():
        with fcgi.connect() as sock:
            sock.sendall(head("PUT", PUSH))
            while not stop.is_set():
                sock.sendall(record(STDIN, b"x" * 65000))

    floods = [threading.Thread(target=flood) for _ in range(4)]
    for thread in floods:
        thread.start()
    try:
        assert_prompt(fcgi)
    finally:
        stop.set()
        for thread in floods:
            thread.join()


def test_an_authorizer_is_answered_without_a_body(fcgi):
    with fcgi.connect() as sock:
        sock.sendall(head("PUT", PUSH, role=AUTHORIZER, DSHARD_MODE="auth"))
        answer = read_answer(sock)
    assert answer.status == 200 and answer.header("X-Dshard-Server") == OWNER


def test_many_and_long_parameters_are_read(fcgi):
    params = {f"HTTP_X_{i}": "v" * (i * 3) for i in range(90)}
    for size in (7, 100, 65535):  # of the records
        content = b"".join(pair(n, v) for n, v in params.items())
        content += pair("REQUEST_METHOD", "PUT") + pair("REQUEST_URI", PUSH)
        with fcgi.connect() as sock:
            sock.sendall(begin() + stream(PARAMS, content, size=size) + record(STDIN))
            assert read_answer(sock).header("Location") == LOCATION


def test_a_path_over_8_KiB_gets_414(fcgi):
    assert ask(fcgi, "PUT", "/metrics/job/" + "a" * 20000).status == 414


def test_a_web_server_may_ask_what_we_can_before_it_asks_for_anything(env):
    """By itself, in parts, and with a request behind it, as often as it likes."""
    state = env.state()
    state.write([OWNER])
    fcgi = env.add(FewDescriptors(env.dir, state))
    fcgi.start()
    room = str(fcgi.limit - 32)
    question = record(GET_VALUES, pair("FCGI_MPXS_CONNS", "") + pair("FCGI_MAX_CONNS", "")
                      + pair("FCGI_WHATEVER", "") + pair("FCGI_MAX_REQS", ""), id=0, padding=5)
    values = (GET_VALUES_RESULT, 0, pair("FCGI_MAX_CONNS", room) + pair("FCGI_MAX_REQS", room)
              + pair("FCGI_MPXS_CONNS", "0"))
    unknown = (UNKNOWN_TYPE, 0, b"\x63" + bytes(7))
    both = question + record(99, b"?", id=0)
    push = request("PUT", PUSH, keep=True)
    with fcgi.connect() as sock:
        for data, answers in ((question, [values]), (record(99, id=0), [unknown]),
                              (both, [values, unknown]), (both + push, [values, unknown, None]),
                              (push, [None])):
            for cut in (0, 1, 8, 30, len(question), len(data) - 1):
                sock.sendall(data[:cut])
                if 0 < cut < len(data):
                    assert_prompt(fcgi)
                sock.sendall(data[cut:])
                for wanted in answers:
                    if wanted:
                        assert read_record(sock) == wanted
                    else:
                        assert read_answer(sock).header("Location") == LOCATION
                if answers[-1]:  # too many without a request end the connection
                    sock.sendall(push)
                    assert read_answer(sock).header("Location") == LOCATION
        sock.sendall(question * 17)
        for _ in range(16):
            assert read_record(sock) == values
        with pytest.raises(Closed):
            read_record(sock)
    with fcgi.connect() as sock:  # in one portion with its end
        sock.sendall(question + push)
        sock.shutdown(socket.SHUT_WR)
        assert read_record(sock) == values
        assert read_answer(sock).header("Location") == LOCATION
        assert is_closed(sock)


OVERSIZED = head("PUT", PUSH, HTTP_X="x" * 70000) + record(STDIN)


@pytest.mark.parametrize("data", [
    OVERSIZED,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x00" * 64,
    begin(role=3),
    begin(id=0),
    record(GET_VALUES, pair("FCGI_MAX_REQS", ""), id=1),
    record(GET_VALUES, b"\x0dFCGI_MAX", id=0),
    record(GET_VALUES, pair("FCGI_MAX_REQS", "1"), id=0),
    record(GET_VALUES, pair("x" * 1100, ""), id=0),
    record(GET_VALUES_RESULT, b"", id=0),
    record(77, b"x" * 1100, id=0),
    begin() + record(GET_VALUES, b"", id=0),
    begin() + record(2),  # ABORT_REQUEST
    begin() + begin(),
    begin() + record(PARAMS, pair("A", "b"), id=2),
    begin() + record(STDIN, b"x"),
    begin() + record(PARAMS, b"", padding=3),
    begin() + record(PARAMS, struct.pack("!II", 0xFFFFFFFF, 0xFFFFFFFF)),
    begin() + record(PARAMS, struct.pack("!II", 0x80000000, 0x80000000 | 70000)),
    begin() + record(PARAMS, b"\x05\x05abc") + record(PARAMS),
    begin() + record(PARAMS, pair("REQUEST_URI", b"/metrics/job/a\0/b/c")),
], ids=lambda d: repr(d[:24]))
def test_nonsense_is_cut_off_and_others_go_on(fcgi, data):
    with fcgi.connect() as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(data)  # it may be cut off before its end
        assert is_closed(sock)
    assert_prompt(fcgi)


def test_random_damage_never_harms(fcgi):
    seed = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"TEST_SEED={seed}")
    source = random.Random(seed)
    whole = request("PUT", PUSH, b"m 1\n", HTTP_ACCEPT="text/html")
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        with fcgi.connect() as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    assert_prompt(fcgi)


def test_who_has_sent_his_last_is_closed_after_the_answer(fcgi):
    """Request and end come at once, to a connection that is kept."""
    with fcgi.connect() as sock:
        sock.sendall(request("PUT", PUSH, keep=True))
        assert read_answer(sock).header("Location") == LOCATION
        fcgi.pause()
        sock.sendall(request("PUT", PUSH, keep=True))
        sock.shutdown(socket.SHUT_WR)
        fcgi.resume()
        assert read_answer(sock).header("Location") == LOCATION
        assert is_closed(sock)


def test_the_next_request_before_the_answer_ends_the_connection(fcgi):
    """libfcgi reads ahead, so the second one cannot be answered; the web server sees that."""
    with fcgi.connect() as sock:
        sock.sendall(request("PUT", PUSH, keep=True) * 2)
        assert read_answer(sock).header("Location") == LOCATION
        assert is_closed(sock)


def test_clients_that_go_away_do_no_harm(fcgi):
    whole = request("PUT", PUSH, b"m 1\n" * 50)
    for cut in range(0, len(whole), 5):
        with fcgi.connect() as sock:
            sock.sendall(whole[:cut])
    for _ in range(50):  # gone before the answer
        with fcgi.connect() as sock:
            sock.sendall(whole)
    assert_prompt(fcgi)


def test_clients_that_do_not_read_delay_nobody_and_lose_nothing(env):
    state = env.state()
    state.write([f"a-long-name-of-a-server-{i:04}.example.org:9091" for i in range(1000)],
                replicas=1)
    fcgi = env.fcgi(state)
    readers = [fcgi.connect(30) for _ in range(8)]
    try:
        for sock in readers:
            sock.sendall(request("GET", "/sd", keep=True))
        for _ in range(5):
            start = time.monotonic()
            assert ask(fcgi, "GET", "/-/ready").status == 200
            assert time.monotonic() - start < PROMPT_S
        for sock in readers:
            for _ in range(2):
                answer = read_answer(sock)
                assert len(answer.body) == int(answer.header("Content-Length")) > 200000
                assert answer.body.count(b'"targets"') == 1000
                sock.sendall(request("GET", "/sd", keep=True))
    finally:
        for sock in readers:
            sock.close()


class FewDescriptors(Fcgi):
    limit = 64

    def command(self):
        return ["prlimit", f"--nofile={self.limit}", *super().command()]


def test_the_end_closes_nothing_that_has_begun_to_make_room_for_nobody(env):
    state = env.state()
    state.write([OWNER])
    fcgi = env.add(FewDescriptors(env.dir, state))
    fcgi.limit = 40  # eight connections
    fcgi.start()
    whole = request("PUT", PUSH)
    half = fcgi.connect()
    half.sendall(whole[:20])
    others = [fcgi.connect() for _ in range(7)]
    wait_until(lambda: n_sockets(fcgi.pid) == 1 + 8, 5, "a full table")
    fcgi.signal(signal.SIGTERM)
    # Those that have sent nothing are waited for, too, as they may be about to.
    half.sendall(whole[20:])
    assert read_answer(half).header("Location") == LOCATION
    for sock in (half, *others):
        sock.close()
    assert fcgi.wait_exit() == 0


def test_idle_connections_make_room_when_descriptors_run_out(env):
    state = env.state()
    state.write([OWNER])
    fcgi = env.add(FewDescriptors(env.dir, state))
    fcgi.start()
    idle = [fcgi.connect() for _ in range(100)]
    try:
        idle[-1].sendall(request("PUT", PUSH, keep=True))
        assert read_answer(idle[-1]).header("Location") == LOCATION
        assert_prompt(fcgi)
        assert is_closed(idle[0])  # the oldest had to go
        idle[-1].sendall(request("PUT", PUSH, keep=True))  # the newest had not
        assert read_answer(idle[-1]).header("Location") == LOCATION
        for sock in idle:
            try:
                sock.sendall(b"\x01")  # and halves make room, too
            except OSError:
                pass
        assert_prompt(fcgi)
    finally:
        for sock in idle:
            sock.close()


def test_who_does_not_read_his_answer_makes_room_when_all_are_like_that(env):
    state = env.state()
    state.write([f"a-long-name-of-a-server-{i:04}.example.org:9091" for i in range(1000)],
                replicas=1)
    fcgi = env.add(FewDescriptors(env.dir, state))
    fcgi.limit = 40  # for eight connections, and an answer each
    fcgi.start()
    lazy = [fcgi.connect() for _ in range(8)]
    try:
        for sock in lazy:
            sock.sendall(request("GET", "/metrics", keep=True))
        for sock in lazy:
            sock.recv(1)
        assert ask(fcgi, "GET", "/-/ready", timeout=PROMPT_S).status == 200
    finally:
        for sock in lazy:
            sock.close()


def test_a_body_that_comes_in_does_not_make_room_before_those_that_stand_still(env):
    state = env.state()
    state.write([OWNER])
    fcgi = env.add(FewDescriptors(env.dir, state))
    fcgi.start()
    bodies = []
    try:
        for _ in range(fcgi.limit):  # more than there is room for
            bodies.append(fcgi.connect())
            bodies[-1].sendall(head("PUT", PUSH) + record(STDIN, b"m 1\n"))
            bodies[0].sendall(4 * record(STDIN, b"x" * 65000))
        assert_prompt(fcgi)
        assert is_closed(bodies[1])
        bodies[0].sendall(record(STDIN))
        assert read_answer(bodies[0]).header("Location") == LOCATION
    finally:
        for sock in bodies:
            sock.close()


def unread(sock):
    """What the other side has not taken yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def is_gone(sock):
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


KEPT_PUSH = request("PUT", PUSH, b"m 1\n", keep=True)


def full_house(env, room=8):
    """A handler with room for so many connections, and as many of them."""
    state = env.state()
    state.write([OWNER])
    fcgi = env.add(FewDescriptors(env.dir, state))
    fcgi.limit = 32 + room
    fcgi.start()
    return fcgi, [fcgi.connect() for _ in range(room)]


def test_who_has_just_connected_does_not_make_room_for_the_next_one(env):
    fcgi, halves = full_house(env)
    for sock in halves:
        sock.sendall(KEPT_PUSH[:-20])
    wait_until(lambda: not any(map(unread, halves)), what="the halves to be read")
    new = []
    try:
        for n in (1, 2):
            new.append(fcgi.connect())
            wait_until(lambda n=n: sum(map(is_gone, new + halves)) == n, what="room")
        for sock in new:
            sock.sendall(KEPT_PUSH)
            assert read_answer(sock).header("Location") == LOCATION
    finally:
        for sock in new + halves:
            sock.close()


def assert_all_answered(socks):
    for sock in socks:
        assert read_answer(sock).header("Location") == LOCATION
        sock.close()


def test_whose_request_has_come_does_not_make_room(env):
    """Of those that have something to say epoll names 64 at a time, and the oldest last."""
    fcgi, kept = full_house(env, 100)
    for sock in kept:
        sock.sendall(KEPT_PUSH)
        read_answer(sock)
    fcgi.pause()
    new = fcgi.connect()
    for sock in [new, *reversed(kept)]:
        sock.sendall(KEPT_PUSH)
    fcgi.resume()
    assert_all_answered([new, *kept])


def take_descriptors(fcgi):
    """It can open none from now on but for those that it closes."""
    n = len(os.listdir(f"/proc/{fcgi.pid}/fd"))
    subprocess.run(["prlimit", f"--pid={fcgi.pid}", f"--nofile={n}"], check=True)


@pytest.mark.parametrize("ends", [False, True])
def test_without_a_descriptor_who_has_sent_nothing_makes_room(fcgi, ends):
    ask(fcgi, "PUT", PUSH)
    silent = [fcgi.connect() for _ in range(4)]
    wait_until(lambda: n_sockets(fcgi.pid) == 5, what="them to be there")
    take_descriptors(fcgi)
    fcgi.pause()
    if ends:
        fcgi.signal(signal.SIGTERM)
    new = [fcgi.connect() for _ in range(4)]
    for sock in new:
        sock.sendall(KEPT_PUSH)
    fcgi.resume()
    assert_all_answered(new)
    for sock in silent:
        sock.close()
    if ends:
        assert fcgi.wait_exit() == 0


def test_who_has_connected_may_send_when_the_end_has_begun(fcgi):
    with fcgi.connect() as sock:
        ask(fcgi, "PUT", PUSH)
        fcgi.signal(signal.SIGTERM)
        wait_until(lambda: not can_connect(fcgi), what="the end to begin")
        sock.sendall(KEPT_PUSH)
        assert read_answer(sock).header("Location") == LOCATION
    assert fcgi.wait_exit() == 0


@pytest.mark.parametrize("want", ["room", "descriptors"])
def test_at_the_end_who_has_connected_is_served_and_so_is_who_is_there(env, want):
    fcgi, kept = full_house(env)
    for sock in kept:
        sock.sendall(KEPT_PUSH)
        read_answer(sock)
    if want == "descriptors":
        take_descriptors(fcgi)
    fcgi.pause()
    fcgi.signal(signal.SIGTERM)
    new = [fcgi.connect() for _ in range(4)]
    for sock in [*new, *kept]:
        sock.sendall(KEPT_PUSH)
    fcgi.resume()
    assert_all_answered([*new, *kept])
    assert fcgi.wait_exit() == 0


def test_a_question_at_the_end_keeps_nobody_waiting(fcgi):
    question = record(GET_VALUES, pair("FCGI_MPXS_CONNS", ""), id=0)
    with fcgi.connect() as sock:
        sock.sendall(KEPT_PUSH)
        read_answer(sock)
        sock.sendall(question[:12])
        wait_until(lambda: not unread(sock), what="the half to be read")
        ask(fcgi, "PUT", PUSH)
        fcgi.signal(signal.SIGTERM)
        wait_until(lambda: not can_connect(fcgi), what="the end to begin")
        began = time.monotonic()
        sock.sendall(question[12:])
        assert read_record(sock)[0] == GET_VALUES_RESULT
        assert is_closed(sock)
        assert time.monotonic() - began < 4, "it waited for its last moment"
    assert fcgi.wait_exit() == 0


def test_head_has_no_body(fcgi):
    for target in (PUSH, "/sd", "/none", "/metrics/job/a//b"):
        got, asked = ask(fcgi, "GET", target), ask(fcgi, "HEAD", target)
        assert got.headers == asked.headers and got.body and asked.body == b""


def test_the_web_server_chooses_mode_and_prefix(env):
    state = env.state()
    state.write([OWNER])
    fcgi = env.fcgi(state, args=["--mode", "proxy", "--prefix", "/gw"])
    answer = ask(fcgi, "PUT", "/gw" + PUSH)
    assert answer.header("X-Accel-Redirect") == "@pushgateway"
    assert answer.header("X-Dshard-Uri") == PUSH
    assert ask(fcgi, "PUT", PUSH).status == 404
    answer = ask(fcgi, "PUT", PUSH, DSHARD_PREFIX="", DSHARD_MODE="redirect")
    assert answer.header("Location") == LOCATION
    assert ask(fcgi, "PUT", PUSH, DSHARD_PREFIX="", DSHARD_MODE="no").status == 500
    # What a client sends as a header is another parameter.
    assert ask(fcgi, "PUT", "/gw" + PUSH, HTTP_DSHARD_MODE="redirect").status == 200


def test_a_busy_kept_connection_does_not_starve_the_others(fcgi):
    """As nginx does with keepalive: more connections than anybody has threads."""
    kept = [fcgi.connect() for _ in range(300)]
    try:
        for _ in range(3):
            for sock in kept:
                sock.sendall(request("PUT", PUSH, keep=True))
            for sock in kept:
                assert read_answer(sock).header("Location") == LOCATION
        assert_prompt(fcgi)
    finally:
        for sock in kept:
            sock.close()


def test_descriptors_and_memory_do_not_grow(fcgi):
    def descriptors():
        return len(os.listdir(f"/proc/{fcgi.pid}/fd"))

    ask(fcgi, "PUT", PUSH, b"x" * 100000)  # it listens before it has opened all that it needs
    before = descriptors()
    for _ in range(200):
        ask(fcgi, "PUT", PUSH, b"x" * 100000)
        with fcgi.connect() as sock:
            sock.sendall(b"nonsense")
            with pytest.raises(Closed):
                fcgiclient.read_exactly(sock, 1)
    wait_until(lambda: descriptors() <= before + 2, 5, "the descriptors to be closed")
