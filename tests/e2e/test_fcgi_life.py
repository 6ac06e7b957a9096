# SPDX-License-Identifier: Apache-2.0
"""How dshard-fcgi is started, follows the state file, and ends."""

import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from fcgiclient import (Closed, ask, can_connect, head, is_closed, n_sockets, read_answer, record,
                        request, STDIN)
from testenv import BIN, Fcgi, Process, clean_environ, wait_until
from testenv.programs import wrapper

PROGRAM = os.path.join(BIN, "dshard-fcgi")
PUSH = "/metrics/job/a/b/c"
ONE, TWO = "127.0.0.1:1", "127.0.0.1:2"
# The promise is 200 ms; what wait_until adds and a busy machine takes is on top.
FOLLOWS_S = 0.2 + 0.3


def run(*args, environ=None, stdin=subprocess.DEVNULL, timeout=20):
    return subprocess.run([*wrapper(), PROGRAM, *args], env=clean_environ(**(environ or {})),
                          stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, check=False, text=True)


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(n) for n in f.read().split()]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def status_of(fcgi, target="/-/ready"):
    return ask(fcgi, "GET", target).status


# -- the command line ------------------------------------------------------------------

@pytest.mark.parametrize("args, text", [
    (["--stat=/x"], "'--stat' is no option; did you mean --state?"),
    (["ring.json"], "'ring.json' is not expected: there are only options"),
    (["--mode", "both"], "--mode: 'both' is not redirect, proxy or auth"),
    (["--workers", "0"], "--workers: '0' is out of range: 1 to 256"),
    (["--prefix", "x"], "--prefix: the prefix 'x' is not a path like /pushgateway"),
    (["--socket-mode", "7"], "--socket-mode: '7' is no mode like 0660 or 0666"),
    (["--listen", "unix:"], "the path of a socket has 1 to 107 bytes, and '' has 0"),
    (["--listen", "unix:/" + "x" * 120],
     f"the path of a socket has 1 to 107 bytes, and '/{'x' * 120}' has 121"),
    ([], "nothing to serve: give --listen, or start it by a web server"),
])
def test_bad_usage_exits_2_and_says_what_is_wrong(args, text):
    done = run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"dshard-fcgi: {text}\n"


@pytest.mark.parametrize("where", ["9000", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "[::1"])
def test_a_bad_address_exits_2(where):
    done = run("--listen", where)
    assert done.returncode == 2
    assert done.stderr.startswith("dshard-fcgi: --listen wants unix:PATH or HOST:PORT: ")


@pytest.mark.parametrize("where, text", [
    ("unix:/no/such/directory/s", "cannot open the directory '/no/such/directory'"),
    ("192.0.2.1:9000", "cannot listen on '192.0.2.1:9000': Cannot assign"),
])
def test_what_cannot_be_listened_on_exits_1(where, text):
    done = run("--listen", where)
    assert done.returncode == 1
    assert done.stderr.startswith(f"dshard-fcgi: {text}"), done.stderr


def test_help_and_version_are_results():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--listen WHERE" in done.stdout
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"dshard-fcgi \d+\.\d+\.\d+\S*\n", done.stdout)


def test_a_full_disk_behind_stdout_is_an_error():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False, timeout=20)
    assert done.returncode == 1 and "stdout" in done.stderr


def test_it_is_linked_to_neither_curl_nor_yaml():
    text = subprocess.run(["readelf", "-d", PROGRAM], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    libraries = set(re.findall(r"NEEDED.*\[(\w+)", text))
    assert {"libfcgi", "libjansson"} <= libraries
    allowed = {"libfcgi", "libjansson", "libc", "libm", "libpthread", "ld", "libasan",
               "libubsan", "libgcc_s", "libdl", "libresolv", "librt"}
    assert libraries <= allowed


# -- the socket ------------------------------------------------------------------------

def test_a_socket_that_is_left_over_is_replaced(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    fcgi.kill9()
    path = fcgi.listen[len("unix:"):]
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    fcgi.start()
    assert status_of(fcgi) == 200


def test_a_socket_that_is_in_use_is_left_alone(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    done = run("--listen", fcgi.listen, "--state", state.path)
    path = fcgi.listen[len("unix:"):]
    assert done.returncode == 1
    assert done.stderr == f"dshard-fcgi: somebody listens on '{path}' already\n"
    assert status_of(fcgi) == 200


def test_the_workers_of_a_killed_parent_may_take_a_moment_to_end(env):
    state = env.state()
    state.write([ONE])
    path = env.path("orphans.sock")
    with socket.socket(socket.AF_UNIX) as orphan:
        orphan.bind(path)
        orphan.listen(1)  # and the second look finds its backlog full
        ending = threading.Timer(0.2, orphan.close)
        ending.start()
        try:
            fcgi = env.fcgi(state, listen=f"unix:{path}")
        finally:
            ending.join()
        wait_until(lambda: status_of(fcgi) == 200)


def test_a_file_that_is_no_socket_is_left_alone(env):
    path = env.write("precious", "content")
    done = run("--listen", f"unix:{path}")
    assert done.returncode == 1
    assert done.stderr == f"dshard-fcgi: '{path}' is there and is no socket\n"
    with open(path, encoding="ascii") as f:
        assert f.read() == "content"


@pytest.mark.parametrize("args, mode", [([], 0o660), (["--socket-mode", "0666"], 0o666),
                                        (["--socket-mode=600"], 0o600)])
def test_the_socket_has_the_permissions_asked_for(env, args, mode):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state, args=args)
    path = fcgi.listen[len("unix:"):]
    assert stat.S_IMODE(os.stat(path).st_mode) == mode
    fcgi.stop()
    assert not os.path.exists(path)


def test_the_socket_of_a_successor_is_not_removed(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    path = fcgi.listen[len("unix:"):]
    os.rename(path, path + ".old")
    successor = env.fcgi(state, listen=fcgi.listen)
    fcgi.stop()
    assert status_of(successor) == 200


def test_a_busy_port_is_an_error(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.add(Fcgi.tcp(env.dir, state))
    fcgi.start()
    done = run("--listen", fcgi.listen)
    assert done.returncode == 1
    assert done.stderr == f"dshard-fcgi: cannot listen on '{fcgi.listen}': Address already in use\n"


def test_it_listens_on_ipv6(env):
    state = env.state()
    state.write([ONE])
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        port = probe.getsockname()[1]
    fcgi = env.fcgi(state, listen=f"[::1]:{port}")
    assert status_of(fcgi) == 200


# -- the state file --------------------------------------------------------------------

def owner(fcgi):
    return ask(fcgi, "PUT", PUSH).header("Location")


def test_a_new_state_is_in_use_at_once(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    for address in (TWO, ONE) * 4:
        state.write([address])
        start = time.monotonic()
        wait_until(lambda: owner(fcgi) == f"http://{address}{PUSH}", 10, every=0.005)
        assert time.monotonic() - start < FOLLOWS_S


def test_without_a_state_it_waits_for_one(env):
    state = env.state()
    fcgi = env.fcgi(state)
    assert status_of(fcgi) == 503 and status_of(fcgi, "/sd") == 503
    assert status_of(fcgi, "/-/healthy") == 200
    answer = ask(fcgi, "PUT", PUSH)
    assert answer.status == 503 and int(answer.header("Retry-After")) > 0
    state.write([ONE])
    wait_until(lambda: status_of(fcgi) == 200, 5, "the state to be seen")
    assert owner(fcgi) == f"http://{ONE}{PUSH}"


BAD_STATES = {
    "empty": lambda text: "",
    "half": lambda text: text[:len(text) // 2],
    "one byte less": lambda text: text.rstrip()[:-1],
    "another checksum": lambda text: text.replace('"generation":9', '"generation":8'),
    "newer": lambda text: text.replace('"format":1', '"format":2'),
    "no JSON": lambda text: "<html>",
    "zeros": lambda text: "\0" * len(text),
    "unknown key": lambda text: text.replace("{", '{"extra":1,', 1),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_a_bad_state_never_displaces_a_good_one(env, name):
    state = env.state()
    state.write([ONE], generation=9)
    fcgi = env.fcgi(state)
    wait_until(lambda: owner(fcgi) == f"http://{ONE}{PUSH}", 5, "the first one in use")
    with open(state.path, encoding="utf-8") as f:
        text = f.read()
    state.write_text(BAD_STATES[name](text))
    wait_until(lambda: "cannot be used" in fcgi.log(), 5, "the complaint")
    answer = ask(fcgi, "PUT", PUSH)
    assert answer.status == 307 and answer.header("X-Dshard-Generation") == "9"
    assert status_of(fcgi) == 200
    state.write([TWO], generation=10)
    wait_until(lambda: owner(fcgi) == f"http://{TWO}{PUSH}", 5, "the good one")
    assert fcgi.log().count("cannot be used") == 1


def test_an_unreadable_and_a_missing_state_never_displace_a_good_one(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    wait_until(lambda: owner(fcgi) == f"http://{ONE}{PUSH}", 5, "the first one in use")
    os.unlink(state.path)
    wait_until(lambda: "No such file" in fcgi.log(), 5, "the complaint")
    os.mkdir(state.path)
    wait_until(lambda: "Is a directory" in fcgi.log(), 5, "the complaint")
    assert owner(fcgi) == f"http://{ONE}{PUSH}"
    os.rmdir(state.path)
    state.write([TWO])
    wait_until(lambda: owner(fcgi) == f"http://{TWO}{PUSH}", 5, "the good one")


def test_a_bad_state_at_the_start_is_503_until_there_is_a_good_one(env):
    state = env.state()
    state.write_text("{")
    fcgi = env.fcgi(state)
    assert ask(fcgi, "PUT", PUSH).status == 503
    state.write([ONE])
    wait_until(lambda: owner(fcgi) == f"http://{ONE}{PUSH}", 5, "the good one")


def test_no_request_bytes_reach_the_log(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    for target in ("/metrics/job/evil%0D%0Alevel=error", "/metrics/job/evil\r\nlevel=error"):
        ask(fcgi, "PUT", target)
    assert "evil" not in fcgi.log()


# -- the end ---------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("args", [[], ["--workers", "2"]], ids=["alone", "workers"])
def test_what_has_begun_is_finished_at_the_end(env, number, args):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state, args=args)
    whole = request("PUT", PUSH, b"m 1\n" * 1000, keep=True)
    halves = [fcgi.connect() for _ in range(8)]
    for sock in halves:
        sock.sendall(whole[:len(whole) // 2])
    idle = fcgi.connect()
    idle.sendall(request("PUT", PUSH, keep=True))
    read_answer(idle)
    ask(fcgi, "PUT", PUSH)  # so the halves have been accepted
    fcgi.signal(number)
    assert is_closed(idle)
    wait_until(lambda: not can_connect(fcgi), 5, "it to take on nothing new")
    for sock in halves:
        sock.sendall(whole[len(whole) // 2:])
        assert read_answer(sock).status == 307
        assert is_closed(sock)
        sock.close()
    idle.close()
    assert fcgi.wait_exit() == 0


def test_a_half_request_does_not_hold_the_end_up_for_ever(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    with fcgi.connect() as sock:
        sock.sendall(request("PUT", PUSH)[:20])
        ask(fcgi, "PUT", PUSH)
        fcgi.signal(signal.SIGTERM)
        assert fcgi.wait_exit(10) == 0


def test_SIGHUP_changes_nothing(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    fcgi.signal(signal.SIGHUP)
    assert owner(fcgi) == f"http://{ONE}{PUSH}"


def test_a_signal_does_not_cut_a_body(env):
    """libfcgi's own handlers would: the next request on the connection would be misread."""
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    with fcgi.connect() as sock:
        for _ in range(20):
            sock.sendall(head("PUT", PUSH, keep=True) + record(STDIN, b"x" * 30000))
            fcgi.signal(signal.SIGHUP)
            fcgi.signal(signal.SIGPIPE)
            sock.sendall(record(STDIN, b"x" * 30000) + record(STDIN))
            assert read_answer(sock).status == 307


# -- workers ---------------------------------------------------------------------------

def test_a_worker_that_is_killed_is_started_again(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state, args=["--workers", "2"])
    workers = wait_until(lambda: len(children(fcgi.pid)) == 2 and children(fcgi.pid))
    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: len(children(fcgi.pid)) == 2 and workers[0] not in children(fcgi.pid),
               5, "a new worker")
    assert workers[1] in children(fcgi.pid)
    for _ in range(20):
        assert ask(fcgi, "PUT", PUSH).status == 307
    assert f'msg="a worker has died" pid={workers[0]} why="ended by signal 9"' in fcgi.log()


def test_a_worker_that_keeps_dying_is_started_with_pauses(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state, args=["--workers", "1"])
    start, killed = time.monotonic(), 0
    while killed < 5:
        (worker,) = wait_until(lambda: children(fcgi.pid), 10, "a worker", every=0.005)
        os.kill(worker, signal.SIGKILL)
        killed += 1
        wait_until(lambda: worker not in children(fcgi.pid), 5, every=0.005)
    wait_until(lambda: children(fcgi.pid), 10, "a worker")
    assert time.monotonic() - start > 0.1 + 0.2 + 0.4 + 0.8
    assert ask(fcgi, "PUT", PUSH).status == 307


def test_workers_end_with_their_parent(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state, args=["--workers", "2"])
    workers = wait_until(lambda: len(children(fcgi.pid)) == 2 and children(fcgi.pid))
    os.kill(fcgi.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(w) for w in workers), 10, "the workers to end")
    fcgi.wait_exit()


def test_all_workers_follow_the_state(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state, args=["--workers", "3"])
    state.write([TWO])
    time_limit = time.monotonic() + 5
    same = 0
    while same < 30 and time.monotonic() < time_limit:
        same = same + 1 if owner(fcgi) == f"http://{TWO}{PUSH}" else 0
    assert same == 30


# -- CGI and inherited sockets ---------------------------------------------------------

def cgi(state, method, target, **environ):
    done = run(environ={"DSHARD_STATE": state, "REQUEST_METHOD": method,
                        "REQUEST_URI": target, "GATEWAY_INTERFACE": "CGI/1.1", **environ})
    assert done.returncode == 0, done.stderr
    assert "level=info" not in done.stderr
    top, body = done.stdout.split("\n\n", 1)
    return dict(line.split(": ", 1) for line in top.splitlines()), body


def test_it_answers_one_request_as_a_CGI_program(env):
    state = env.state()
    state.write([ONE], generation=3)
    headers, body = cgi(state.path, "PUT", PUSH)
    assert headers["Status"] == "307 Temporary Redirect"
    assert headers["Location"] == f"http://{ONE}{PUSH}"
    assert headers["X-Dshard-Generation"] == "3"
    assert body == f"this group belongs to {ONE}: follow redirects (curl -L)\n"
    headers, _ = cgi(state.path, "PUT", "/p" + PUSH, DSHARD_PREFIX="/p", DSHARD_MODE="proxy")
    assert headers["X-Dshard-Uri"] == PUSH
    headers, body = cgi(state.path, "GET", PUSH, HTTP_ACCEPT="application/json")
    assert headers["Content-Type"] == "application/json" and f'"owner":"{ONE}"' in body


def test_as_a_CGI_program_it_obeys_no_argument(env):
    """They are the client's: what stood behind the question mark."""
    state = env.state()
    state.write([ONE])
    environ = {"DSHARD_STATE": state.path, "REQUEST_METHOD": "PUT", "REQUEST_URI": PUSH}
    plain = run(environ=environ)
    assert plain.returncode == 0 and "\nStatus: 307 " in plain.stdout
    for args in (["--help"], ["x"], ["--mode", "auth"], ["--state", "/none"], ["--workers", "0"],
                 ["--listen", f"unix:{env.path('cgi.sock')}"]):
        done = run(*args, environ=environ)
        assert (done.returncode, done.stdout) == (0, plain.stdout), args
    assert not os.path.exists(env.path("cgi.sock"))


def test_CGI_without_a_state_is_503(env):
    headers, _ = cgi(env.path("none.json"), "PUT", PUSH)
    assert headers["Status"] == "503 Service Unavailable"


class Inherited(Process):
    """Descriptor 0 is a listening socket, and nothing else is open."""

    ours = True

    def __init__(self, directory, state, listening, script="", name="inherited"):
        super().__init__(name, directory)
        self.state, self.listening, self.script = state, listening, script

    def command(self):
        return ["sh", "-c", f"exec {' '.join(wrapper())} {PROGRAM} --state {self.state.path} "
                            f"{self.script}"]

    def environ(self):
        return clean_environ()

    def connect(self, timeout=5):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(self.listening.getsockname())
        return sock


@pytest.mark.parametrize("script", ["", "--workers 2", ">&- 2>&-"])
def test_it_takes_a_listening_socket_as_its_standard_input(env, script):
    state = env.state()
    state.write([ONE])
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(env.path("inherited.sock"))
        listening.listen(16)
        server = env.add(Inherited(env.dir, state, listening, script))
        server.start(stdin=listening)
        assert ask(server, "PUT", PUSH).header("Location") == f"http://{ONE}{PUSH}"
        state.write([TWO])
        wait_until(lambda: owner(server) == f"http://{TWO}{PUSH}", 5, "the new state")
        server.stop()
        assert os.path.exists(env.path("inherited.sock"))  # is not ours to remove


def test_a_restart_refuses_no_request_when_the_socket_is_inherited(env):
    state = env.state()
    state.write([ONE])
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(env.path("inherited.sock"))
        listening.listen(64)
        server = env.add(Inherited(env.dir, state, listening))
        server.start(stdin=listening)
        for _ in range(3):
            server.stop()
            waiting = [server.connect() for _ in range(10)]  # as under systemd: they wait
            for sock in waiting:
                sock.sendall(request("PUT", PUSH))
            server.start(stdin=listening)
            for sock in waiting:
                assert read_answer(sock).status == 307
                sock.close()


def assert_others_answer(server, ends, half):
    """`ends`, a process, is told to end while it has the first half of a request."""
    whole = request("PUT", PUSH)
    os.kill(ends, signal.SIGTERM)
    for _ in range(5):  # one at a time: nobody else's connection wakes who should be awake
        began = time.monotonic()
        assert ask(server, "PUT", PUSH, timeout=20).status == 307
        assert time.monotonic() - began < 2, "who ends has five seconds for it"
    assert is_alive(ends)
    half.sendall(whole[20:])
    assert read_answer(half).status == 307


def test_who_ends_keeps_no_connection_from_its_successor(env):
    state = env.state()
    state.write([ONE])
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(env.path("inherited.sock"))
        listening.listen(16)
        old, new = (env.add(Inherited(env.dir, state, listening, name=name))
                    for name in ("old", "new"))
        old.start(stdin=listening)
        with old.connect() as half:
            half.sendall(request("PUT", PUSH)[:20])
            ask(old, "PUT", PUSH)
            new.start(stdin=listening)
            wait_until(lambda: "the ring is in use" in new.log(), 5, "the other to serve")
            assert_others_answer(new, old.pid, half)
        assert old.wait_exit() == 0


def test_a_worker_that_ends_keeps_no_connection_from_the_others(env):
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state, args=["--workers", "2"])

    def sockets():
        return {pid: n_sockets(pid) for pid in children(fcgi.pid)}

    wait_until(lambda: fcgi.log().count("the ring is in use") == 2, 5, "both workers")
    wait_until(lambda: len(set(sockets().values())) == 1, 5, "them to have no connection")
    with fcgi.connect() as half:
        half.sendall(request("PUT", PUSH)[:20])
        wait_until(lambda: len(set(sockets().values())) == 2, 5, "a worker to have it")
        now = sockets()
        worker = max(now, key=now.get)
        assert_others_answer(fcgi, worker, half)


def test_spawn_fcgi_starts_it(env):
    state = env.state()
    state.write([ONE])
    path = env.path("spawned.sock")
    pid_file = env.path("spawned.pid")
    subprocess.run(["spawn-fcgi", "-s", path, "-P", pid_file, "--", PROGRAM, "--state",
                    state.path], check=True, env=clean_environ(), timeout=20,
                   stdout=subprocess.DEVNULL)
    with open(pid_file, encoding="ascii") as f:
        pid = int(f.read())
    try:
        fcgi = Fcgi(env.dir, state, listen=f"unix:{path}")
        assert ask(fcgi, "PUT", PUSH).header("Location") == f"http://{ONE}{PUSH}"
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(pid), 10, "the handler to end")


def test_a_handler_that_dies_leaves_a_closed_connection(env):
    """What a web server sees of kill -9: an error at once and no answer that hangs."""
    state = env.state()
    state.write([ONE])
    fcgi = env.fcgi(state)
    with fcgi.connect() as sock:
        sock.sendall(request("PUT", PUSH, keep=True)[:30])
        ask(fcgi, "PUT", PUSH)
        fcgi.kill9()
        with pytest.raises(Closed):
            read_answer(sock)
