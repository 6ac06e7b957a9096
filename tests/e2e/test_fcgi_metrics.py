# SPDX-License-Identifier: Apache-2.0
"""/metrics of dshard-fcgi: what it says of the ring, and what its workers have counted."""

import os
import re
import signal
import subprocess
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fcgiclient import ask
from fronts import Front, lighttpd_cgi, nginx_example
from testenv import TOP, RawHTTP, wait_until
from testenv.state import digest, now_ms

SERVERS = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """One scrape: m("name", label="value") is the sum of the samples that fit."""

    def __init__(self, body):
        self.text = body.decode("ascii")
        self.families = {f.name: f for f in text_string_to_metric_families(self.text)}
        self.samples = [s for f in self.families.values() for s in f.samples]

    def __call__(self, name, **labels):
        found = [s.value for s in self.samples
                 if s.name == name and labels.items() <= s.labels.items()]
        assert found, f"no {name} with {labels} in\n{self.text}"
        return sum(found)

    def by(self, label, name):
        return {s.labels[label]: s.value for s in self.samples if s.name == name}

    def counters(self):
        """Everything that may only grow."""
        return {(s.name, *sorted(s.labels.items())): s.value for s in self.samples
                if s.name.endswith(("_total", "_bucket", "_count", "_sum"))}


def scrape(fcgi):
    answer = ask(fcgi, "GET", "/metrics")
    assert answer.status == 200 and answer.header("Content-Type") == TYPE
    return Metrics(answer.body)


def assert_clean(body):
    """promtool prints what it does not like, and exits 3."""
    done = subprocess.run(["promtool", "check", "metrics"], input=body, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, b"")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(n) for n in f.read().split()]


@pytest.fixture
def state(env):
    state = env.state()
    state.write(SERVERS, generation=7)
    return state


def change(cause, generation, **fields):
    return {"added": [], "at": now_ms(), "cause": cause, "generation": generation,
            "moved_ppm": 0, "removed": [], **fields}


# -- the text --------------------------------------------------------------------------

def test_promtool_has_nothing_to_say(env, state):
    fcgi = env.fcgi(state, args=["--workers", "2"])
    for method, target in (("PUT", "/metrics/job/a"), ("GET", "/metrics/job/a"), ("PATCH", "/"),
                           ("PUT", "/metrics/job/a/x"), ("HEAD", "/sd"), ("GET", "/none")):
        ask(fcgi, method, target)
    body = ask(fcgi, "GET", "/metrics").body
    assert_clean(body)
    assert Metrics(body)("dshard_requests_total") == 6
    head = ask(fcgi, "HEAD", "/metrics")
    assert head.status == 200 and head.header("Content-Type") == TYPE
    assert int(head.header("Content-Length")) > 5000 and head.body == b""
    assert ask(fcgi, "POST", "/metrics").status == 405


def test_it_answers_without_a_state(env):
    fcgi = env.fcgi(env.state())
    body = wait_until(lambda: ask(fcgi, "GET", "/metrics").body)
    assert_clean(body)
    metrics = Metrics(body)
    assert metrics("dshard_state_usable") == 0
    assert metrics("dshard_state_last_load_successful") == 0
    assert metrics("dshard_state_load_errors_total") == 1
    assert not any(f.startswith(("dshard_ring_info", "dshard_server"))
                   for f in metrics.families)
    assert ask(fcgi, "PUT", "/metrics/job/a").status == 503
    for target in ("/-/ready", "/sd", "/metrics/job/a"):  # no push fails by these
        assert ask(fcgi, "GET", target).status == 503
    refused = scrape(fcgi)
    for kind, n in (("push", 1), ("other", 3)):
        assert refused("dshard_requests_refused_total", kind=kind, reason="no_state") == n


def test_the_ring_and_the_servers_are_told(env):
    state, now = env.state(), now_ms()
    state.write([{"address": SERVERS[0], "weight": 3, "since": 1_700_000_000_500,
                  "why": "overloaded: 429"},
                 {"address": SERVERS[1], "health": "down", "why": "refused"},
                 {"address": SERVERS[2], "health": "held", "hold_until": now + 60_000,
                  "member": False},
                 {"address": "[::1]:9091", "intent": "draining", "member": False}],
                generation=9, history=[change("health", 9, at=1_700_000_001_000)])
    metrics = scrape(env.fcgi(state))
    content = state.load()
    assert metrics.by("server", "dshard_server_up") == {
        SERVERS[0]: 1, SERVERS[1]: 0, SERVERS[2]: 0, "[::1]:9091": 1}
    assert metrics.by("server", "dshard_server_impaired") == {
        SERVERS[0]: 1, SERVERS[1]: 0, SERVERS[2]: 0, "[::1]:9091": 0}
    assert metrics.by("server", "dshard_server_member") == {
        SERVERS[0]: 1, SERVERS[1]: 1, SERVERS[2]: 0, "[::1]:9091": 0}
    assert metrics("dshard_server_weight", server=SERVERS[0]) == 3
    assert metrics("dshard_server_health_change_timestamp_seconds",
                   server=SERVERS[0]) == 1_700_000_000.5
    shares = metrics.by("server", "dshard_server_ownership_ratio")
    assert shares[SERVERS[2]] == shares["[::1]:9091"] == 0
    assert 0.6 < shares[SERVERS[0]] < 0.9 and abs(sum(shares.values()) - 1) < 1e-8
    assert metrics("dshard_members") == 2 and metrics("dshard_servers") == 4
    assert metrics("dshard_members", health="down", intent="in") == 1
    assert metrics("dshard_servers", health="up", intent="draining") == 1
    assert metrics("dshard_ring_generation") == 9
    assert metrics.by("digest", "dshard_ring_info") == {
        digest([(SERVERS[0], 3), (SERVERS[1], 1)]): 1}
    assert metrics("dshard_ring_last_change_timestamp_seconds") == 1_700_000_001
    assert metrics("dshard_state_written_timestamp_seconds") == content["written_at"] / 1000


def test_a_frozen_ring_and_a_dead_watch_show(env, state):
    fcgi = env.fcgi(state)
    metrics = scrape(fcgi)
    assert (metrics("dshard_ring_frozen"), metrics("dshard_watch_up")) == (0, 1)
    then = now_ms() - 91_000
    state.write(SERVERS, checked_at=then, frozen={"reason": "all down", "since": then})
    metrics = wait_until(lambda: (m := scrape(fcgi))("dshard_ring_frozen") == 1 and m)
    assert metrics("dshard_watch_up") == 0
    assert metrics("dshard_watch_last_check_timestamp_seconds") == then / 1000


def test_a_thousand_servers_fit(env):
    state = env.state()
    names = [f"pushgateway-{i:04}.a-long-name-of-a-domain.example.org:9091" for i in range(1000)]
    state.write(names, replicas=10)
    fcgi = env.fcgi(state)
    body = wait_until(lambda: ask(fcgi, "GET", "/metrics").body)
    assert_clean(body)
    assert 400_000 < len(body) < 1_000_000
    assert set(Metrics(body).by("server", "dshard_pushes_total")) == set(names)


def names_in(path, pattern):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return set(re.findall(pattern, f.read(), re.M))


def test_manual_and_alerts_know_the_metrics_that_there_are(env, state):
    state.write(SERVERS, generation=7, history=[change("start", 7)])
    text = scrape(env.fcgi(state)).text
    families = set(re.findall(r"^# TYPE (\S+ \w+)$", text, re.M))
    assert names_in("man/dshard-fcgi.8", r"^\.It Li (dshard_\w+) Pq (\w+)$") == {
        tuple(f.split()) for f in families}
    alerts = names_in("examples/alerts.yml", r"\bdshard_[a-z_]+\b")
    assert len(alerts) > 6 and alerts <= {f.split()[0] for f in families}
    reasons = set(re.findall(r'reason="(\w+)"', text))
    assert reasons <= names_in("man/dshard-fcgi.8", r"^\.It Cm (\w+)$")


# -- counting --------------------------------------------------------------------------

def test_pushes_through_nginx_are_counted_exactly(env, state):
    """By several clients at once, on kept connections, at two workers."""
    fcgi = env.fcgi(state, args=["--workers", "2"])
    _, redirect = nginx_example(env, fcgi)
    went, lock = dict.fromkeys(SERVERS, 0), threading.Lock()

    def push(number):
        with RawHTTP(redirect.address) as http:
            for i in range(30):
                answer = http.request("POST", f"/metrics/job/j{number}/i/{i}", b"m 1\n")
                with lock:
                    went[answer.header("Location").split("/")[2]] += 1

    threads = [threading.Thread(target=push, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(8):  # whichever worker answers
        metrics = Metrics(redirect.request("GET", "/metrics").body)
        assert metrics.by("server", "dshard_pushes_total") == went
        assert metrics("dshard_requests_total", method="POST") == 180
        assert metrics("dshard_requests_total", method="POST", code="307") == 180
        assert metrics("dshard_request_duration_seconds_count", kind="push") == 180
        assert metrics("dshard_request_duration_seconds_bucket", kind="push", le="+Inf") == 180
        assert 0 < metrics("dshard_request_duration_seconds_sum", kind="push") < 60
    assert metrics("dshard_workers") == 2
    assert metrics("dshard_requests_total", method="GET", code="200") == 7


def test_no_counter_goes_backwards_when_workers_die(env, state):
    fcgi = env.fcgi(state, args=["--workers", "2"])
    before, pushes = scrape(fcgi).counters(), 0
    assert before["dshard_worker_restarts_total",] == 0
    for restarts in range(1, 5):
        for _ in range(25):
            pushes += ask(fcgi, "PUT", f"/metrics/job/j{pushes}").status == 307
        worker = children(fcgi.pid)[0]
        os.kill(worker, signal.SIGKILL)
        metrics = wait_until(lambda: (m := scrape(fcgi))("dshard_worker_restarts_total")
                             == restarts and m, 10, "another worker")
        after = metrics.counters()
        assert [k for k, v in before.items() if after[k] < v] == []
        assert metrics("dshard_pushes_total") == pushes == metrics(
            "dshard_requests_total", method="PUT", code="307")
        before = after


@pytest.mark.parametrize("missing", [False, True], ids=["bad", "missing"])
def test_a_worker_that_is_started_beside_a_bad_file_goes_on_as_the_others_do(env, state, missing):
    fcgi = env.fcgi(state, args=["--workers", "2"])
    wait_until(lambda: scrape(fcgi)("dshard_state_loads_total") == 2, 5, "both workers")
    if missing:
        os.unlink(state.path)
    else:
        state.write_text('{"format":1,')
    wait_until(lambda: fcgi.log().count("cannot be used") == 2, 5, "both complaints")
    for victims in (1, 2, 2):  # then nobody is left who has read the file
        for pid in children(fcgi.pid)[:victims]:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: pid not in children(fcgi.pid) and len(children(fcgi.pid)) == 2, 10)
        for i in range(30):
            assert ask(fcgi, "PUT", f"/metrics/job/j{i}").status == 307
            assert ask(fcgi, "GET", "/-/ready").status == 200
            metrics = scrape(fcgi)
            assert metrics("dshard_state_usable") == 1 and metrics("dshard_members") == 3
            assert metrics("dshard_state_last_load_successful") == 0
    assert metrics("dshard_requests_refused_total") == 0
    assert "taken over from another worker" in fcgi.log() and "ring=none" not in fcgi.log()
    state.write(SERVERS[:2], generation=8)
    wait_until(lambda: scrape(fcgi)("dshard_state_last_load_successful") == 1, 5, "the good one")
    assert scrape(fcgi)("dshard_members") == 2


def test_pushes_are_counted_by_server_whatever_the_ring_becomes(env, state):
    fcgi = env.fcgi(state, args=["--workers", "2"])
    went = dict.fromkeys(SERVERS, 0)

    def use(servers, generation):
        state.write(servers, generation=generation)
        wait_until(lambda: all(ask(fcgi, "GET", "/-/ready").header("X-Dshard-Generation")
                               == str(generation) for _ in range(20)), 5, "both workers")
        for i in range(30):
            answer = ask(fcgi, "PUT", f"/metrics/job/j{i}")
            went[answer.header("Location").split("/")[2]] += 1
        assert scrape(fcgi).by("server", "dshard_pushes_total") == went

    use(SERVERS[:3], 8)
    use(SERVERS[2:], 9)
    went["[::1]:9091"] = 0
    use(["[::1]:9091", SERVERS[1]], 10)
    use(SERVERS[:3], 11)


def test_loads_and_errors_are_counted(env, state):
    fcgi = env.fcgi(state, args=["--workers", "2"])

    def wait(name, value):
        return wait_until(lambda: (m := scrape(fcgi))(name) == value and m, 5, f"{name} {value}")

    first = wait("dshard_state_loads_total", 2)("dshard_state_last_load_success_timestamp_seconds")
    state.write_text("{")
    metrics = wait("dshard_state_load_errors_total", 2)
    assert metrics("dshard_state_last_load_successful") == 0
    assert metrics("dshard_state_usable") == 1
    state.write(SERVERS, generation=7)
    metrics = wait("dshard_state_loads_total", 4)
    assert metrics("dshard_state_last_load_successful") == 1
    assert metrics("dshard_state_load_errors_total") == 2
    assert first < metrics("dshard_state_last_load_success_timestamp_seconds") < now_ms() / 1000
    os.unlink(state.path)
    assert wait("dshard_state_load_errors_total", 4)("dshard_state_last_load_successful") == 0


def test_changes_of_the_ring_are_counted_by_cause_and_once(env):
    """By a real watch, seen by three workers."""
    gateways = env.pushgateways(3)
    config = env.config(gateways)
    env.watch(config)
    fcgi = env.fcgi(config.state_file, args=["--workers", "3"])
    wait_until(lambda: scrape(fcgi)("dshard_state_loads_total") >= 3, 5, "the workers")
    assert scrape(fcgi)("dshard_ring_changes_total") == 0, "of before it was started"
    changes = (gateways[0].kill9,
               lambda: env.dshard("drain", gateways[1].address, config=config).ok())
    for n, change in enumerate(changes, 1):
        before = scrape(fcgi)("dshard_state_loads_total")
        change()
        wait_until(lambda: scrape(fcgi)("dshard_ring_changes_total") >= n, 10, "the change")
        wait_until(lambda: scrape(fcgi)("dshard_state_loads_total") >= before + 3, 10, "all workers")
    metrics = scrape(fcgi)
    assert metrics("dshard_ring_changes_total", cause="health") == 1
    assert metrics("dshard_ring_changes_total", cause="operator") == 1
    assert metrics("dshard_ring_changes_total") == 2
    assert metrics.by("server", "dshard_server_member") == {
        g.address: g is gateways[2] for g in gateways}


def test_a_CGI_program_tells_of_the_ring_and_counts_nothing(env, state):
    front = Front(lighttpd_cgi(env, state).address)
    answer = front.request("GET", "/metrics")
    assert answer.status == 200 and answer.header("Content-Type") == TYPE
    assert_clean(answer.body)
    metrics = Metrics(answer.body)
    assert metrics("dshard_members") == 3
    assert not metrics.counters() and "dshard_workers" not in metrics.families
