# SPDX-License-Identifier: Apache-2.0
"""The test house itself: what the other tests lean on."""

import os
import signal
import subprocess
import sys

import pytest

from testenv import (ConfigFile, Process, RawHTTP, WaitTimeout, digest, free_port, murmur3,
                     protobuf as pb, wait_until)
from testenv.process import find_reports


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Sleeper(Process):
    def __init__(self, directory, script):
        super().__init__("sleeper", directory)
        self.script = script

    def command(self):
        return ["sh", "-c", self.script]


@pytest.mark.parametrize("data, seed, expected", [
    (b"", 0, 0), (b"", 1, 0x514E28B7), (b"hello", 0, 0x248BFA47),
    (b"hello, world", 0, 0x149BBB7F),
    (b"The quick brown fox jumps over the lazy dog.", 0, 0xD5C48BFC),
])
def test_murmur3_agrees_with_known_values(data, seed, expected):
    assert murmur3(data, seed) == expected


def test_ports_are_never_given_twice():
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200


def test_waiting_says_what_it_waited_for():
    with pytest.raises(WaitTimeout, match="the moon"):
        wait_until(lambda: False, 0.05, "the moon")


def test_a_stopped_process_takes_its_children_along(env):
    pid_file = env.path("child.pid")
    sleeper = env.add(Sleeper(env.dir, f"sleep 600 & echo $! >{pid_file}; wait"))
    sleeper.start(wait=False)
    child = int(wait_until(lambda: open(pid_file, encoding="ascii").read().strip(), 5, "the pid"))
    sleeper.stop()
    assert not is_alive(sleeper.pid)
    wait_until(lambda: not is_alive(child), 5, "the child to be gone")
    assert "left processes behind" in sleeper.problems[0]
    sleeper.problems.clear()


def test_a_process_that_ignores_TERM_is_killed_and_reported(env):
    sleeper = env.add(Sleeper(env.dir, 'trap "" TERM; echo ready; while :; do sleep 0.05; done'))
    sleeper.start(wait=False)
    wait_until(lambda: "ready" in sleeper.log(), 5, "the trap")
    sleeper.stop(timeout=0.3)
    assert not is_alive(sleeper.pid)
    assert "did not end" in sleeper.problems[0]
    sleeper.problems.clear()


def test_processes_die_with_the_tests(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_selfcheck import Sleeper\n"
        "s = Sleeper(sys.argv[2], 'exec sleep 600'); s.start(wait=False)\n"
        "print(s.pid, flush=True); sys.stdin.read()\n")
    parent = subprocess.Popen(
        [sys.executable, "-c", script, os.path.dirname(__file__), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert is_alive(pid)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    wait_until(lambda: not is_alive(pid), 5, "the orphan to be gone")


def test_a_paused_pushgateway_says_nothing_and_goes_on_later(env):
    gateway = env.pushgateway()
    gateway.pause()
    with pytest.raises(TimeoutError):
        gateway.request("GET", "/-/healthy", timeout=0.3)
    gateway.resume()
    assert gateway.request("GET", "/-/healthy").status == 200


def test_a_pushgateway_with_persistence_keeps_groups_and_its_port(env):
    gateway = env.pushgateway(persist=True, host="127.0.0.2")
    address = gateway.address
    gateway.push("/metrics/job/a/x/y")
    gateway.restart()
    assert gateway.address == address
    assert gateway.groups() == [{"job": "a", "x": "y"}] and gateway.has(job="a", x="y")
    gateway.wipe()
    wait_until(lambda: gateway.groups() == [], 5, "no groups")


def test_a_pushgateway_without_persistence_forgets(env):
    gateway = env.pushgateway()
    gateway.push("/metrics/job/a")
    gateway.kill9()
    gateway.start()
    assert gateway.groups() == []


def test_a_pushgateway_gives_back_the_protobuf_that_was_pushed(env):
    gateway = env.pushgateway()
    labels = {"instance": "", "job": "a", "l": "1"}  # sorted: then the bytes are the same
    metrics = {
        "c": pb.counter(2 ** 60, exemplar=(1, {"id": "x"}), created=1700000000, labels=labels),
        "n": pb.native([(0, 2), (3, 1)], [3, -1, 2], labels=labels),
        "f": pb.native_float([(0, 1)], [1.5], labels=labels),
        "g": pb.gauge(1, labels=labels, extra=pb.nested(200, b"new") + pb.signed(201, -1)),
    }
    kinds = {"c": pb.COUNTER, "n": pb.HISTOGRAM, "f": pb.HISTOGRAM, "g": pb.GAUGE}
    body = pb.body(*(pb.family(n, kinds[n], [m], help=n) for n, m in metrics.items()))
    assert gateway.request("PUT", "/metrics/job/a", body, pb.PUSH).status == 200
    scrape = gateway.request("GET", "/metrics", headers=pb.SCRAPE).body
    series, headers = pb.series(scrape), pb.headers(scrape)
    for name, metric in metrics.items():
        assert series[name, tuple(labels.items())] == metric
        assert headers[name] == pb.family(name, kinds[name], [], help=name)


def test_a_pushgateway_can_ask_for_a_password(env):
    gateway = env.pushgateway(users={"ops": "secret"})
    assert RawHTTP.once(gateway.address, "GET", "/-/healthy").status == 401
    gateway.push("/metrics/job/a")


def test_nginx_passes_on_any_request_target_byte_for_byte(env):
    stub = env.stub()
    nginx = env.nginx(conf="server { listen 127.0.0.1:@PORT@; merge_slashes off;\n"
                           "location / { proxy_pass http://%s; } }" % stub.address)
    target = "/metrics/job/a%2Fb//x/\u00e9?q=%zz"
    assert nginx.request("PUT", target, "body").status == 200
    method, path, _, body = stub.requests[0]
    assert (method, body) == ("PUT", b"body")
    assert path.encode("latin-1") == target.encode()


def test_lighttpd_serves(env):
    env.write("hello.txt", "hello")
    server = env.lighttpd(conf='server.document-root = "@DIR@"\nserver.port = @PORT@\n'
                               'server.bind = "127.0.0.1"\n')
    assert server.request("GET", "/hello.txt").body == b"hello"


def test_prometheus_scrapes_and_answers_queries(env):
    gateway = env.pushgateway()
    gateway.push("/metrics/job/a", "answer 42\n")
    prometheus = env.prometheus(conf=(
        "scrape_configs:\n- job_name: push\n  honor_labels: true\n  scrape_interval: 200ms\n"
        f"  static_configs: [{{targets: ['{gateway.address}']}}]\n"))
    ((labels, value),) = prometheus.wait_query("answer")
    assert value == 42 and labels["job"] == "a"
    assert prometheus.targets() == {gateway.address: "up"}


def test_a_stub_that_hangs_lets_go_at_the_end(env):
    stub = env.stub()
    stub.hang = True
    with pytest.raises(TimeoutError):
        RawHTTP.once(stub.address, "GET", "/", timeout=0.2)
    assert stub.count() == 1


def test_a_state_written_by_hand_reads_back_and_is_consistent(env):
    state = env.state()
    state.write(["b:1", {"address": "a:1", "weight": 3, "why": "caf\u00e9"},
                 {"address": "c:1", "member": False, "health": "down"}], generation=7)
    assert state.members() == ["a:1", "b:1"] and state.is_checked()
    assert state.load()["digest"] == digest([("b:1", 1), ("a:1", 3)])
    state.rewrite(lambda c: c["servers"][0].update(weight=4))
    assert state.is_checked() and state.server("a:1")["weight"] == 4
    state.write(["a:1"], checksum="0" * 16)
    with pytest.raises(AssertionError):
        state.is_checked()


@pytest.mark.parametrize("why", ["", "plain", "caf\u00e9 \u20ac \U0001f600", 'quote " and \\u001f',
                                 "a/b </script> \u2028"])
def test_the_program_reads_a_state_that_was_written_by_hand(env, why):
    state = env.state()
    state.write([{"address": "a:1", "why": why, "weight": 2, "flaps": [3, 2, 1]},
                 {"address": "b:1", "member": False, "health": "down"}], replicas=100,
                history=[{"added": ["a:1"], "at": 5, "cause": "start", "generation": 1,
                          "moved_ppm": 1000000, "removed": []}])
    content = env.dshard("ring", "show", "--state", state.path, "-o", "json").ok().json()
    assert [s["why"] for s in content["servers"]] == [why, ""]
    assert content["digest"] == digest([("a:1", 2)], replicas=100)


def test_a_configuration_is_yaml_that_can_be_changed(env):
    config = env.config(["127.0.0.1:1"], ring={"min_healthy": 2})
    config.set(servers=["127.0.0.1:1", {"addr": "127.0.0.1:2", "weight": 2}])
    text = open(config.path, encoding="utf-8").read()
    assert '  min_healthy: 2\n' in text
    assert '    - {addr: "127.0.0.1:2", weight: 2}\n' in text
    assert isinstance(config, ConfigFile)


def test_reports_of_sanitizers_are_found_in_logs():
    assert find_reports("x\n==1==ERROR: AddressSanitizer: heap-use-after-free\n")
    assert find_reports("a.c:3:5: runtime error: signed integer overflow\n")
    assert not find_reports("level=error msg=\"no such thing\"\n")
