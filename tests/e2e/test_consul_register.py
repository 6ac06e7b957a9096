# SPDX-License-Identifier: Apache-2.0
"""`register`, `deregister`, `drain` and `undrain` with a real Consul."""

import os
import subprocess
import time

import pytest

from testenv import BIN, Answer, RawHTTP, check_schema, clean_environ, free_port, wait_until
from testenv.fakeconsul import NO_LEADER, SILENT
from testenv.wait import LONG

REGISTER = "/v1/agent/service/register"


def addresses(gateways):
    return sorted(g.address for g in gateways)


def service_id(address):
    host, port = address.rsplit(":", 1)
    return f"{host.strip('[]')}_{port}"


@pytest.fixture
def consul(env):
    return env.consul()


@pytest.fixture
def gateways(env):
    return env.pushgateways(3)


@pytest.fixture
def config(env, consul, gateways):
    return env.consul_config(consul, gateways)


@pytest.fixture
def registered(env, consul, gateways, config):
    env.dshard("register", config=config).ok()
    consul.wait_passing(gateways)
    return gateways


class Untouched:
    """with Untouched(consul): nothing in there writes to Consul."""

    def __init__(self, consul):
        self.consul = consul

    def __enter__(self):
        self.before, self.began = self.consul.raft_index(), time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            # Once a minute the leader appends an entry of its own.
            barriers = 1 + (time.monotonic() - self.began) // 60
            written = self.consul.raft_index() - self.before
            assert written <= barriers, f"{written} raft writes"


# ---- register ------------------------------------------------------------------------


def test_register_makes_a_service_with_a_check(env, consul, gateways, config):
    config.set(consul_server={"tags": ["batch", "ümlaut"]},
               servers=[{"addr": gateways[0].address, "weight": 3},
                        *addresses(gateways[1:])])
    result = env.dshard("register", config=config).ok()
    assert result.stdout == "" and result.stderr == "", result
    consul.wait_passing(gateways)
    services = consul.services()
    assert sorted(services) == sorted(service_id(g.address) for g in gateways)
    for gateway in gateways:
        service = services[service_id(gateway.address)]
        assert service["Service"] == "pushgateway" and service["Address"] == "127.0.0.1"
        assert service["Port"] == gateway.port and service["Tags"] == ["batch", "ümlaut"]
        weight = "3" if gateway is gateways[0] else "1"
        assert service["Meta"]["dshard-weight"] == weight
        assert sorted(service["Meta"]) == ["dshard-reg", "dshard-weight"]
    checks = consul.checks()
    assert sorted(checks) == sorted(f"service:{i}" for i in services)
    assert {c["Type"] for c in checks.values()} == {"http"}


def test_register_again_writes_nothing_and_says_nothing(env, consul, registered, config):
    with Untouched(consul), consul.flaps() as flaps:
        for _ in range(5):
            result = env.dshard("register", config=config).ok()
            assert result.stdout == "" and result.stderr == ""
            result = env.dshard("register", "-o", "json", registered[0].address,
                                config=config).ok()
            rows = check_schema("acts", result.json())["servers"]
            assert [r["result"] for r in rows] == ["unchanged"]
    assert flaps.changes == []


def test_a_loop_of_register_writes_once_and_no_check_flaps(env, consul, gateways, config):
    env.dshard("register", config=config).ok()
    consul.wait_passing(gateways)
    runs = 30 if LONG else 7
    with Untouched(consul), consul.flaps() as flaps:
        for i in range(runs):
            began = time.monotonic()
            env.dshard("register", config=config).ok()
            if i < runs - 1:
                time.sleep(max(0, 2 - (time.monotonic() - began)))
    assert flaps.changes == [], "a check flapped"


@pytest.mark.parametrize("change", [
    {"consul_server": {"tags": ["new"]}}, {"health_check": {"interval": "2s"}},
    {"health_check": {"timeout": "300ms"}}, {"health_check": {"path": "/-/ready"}},
    {"health_check": {"deregister_after": "24h"}},
])
def test_a_changed_setting_is_written_once(env, consul, registered, config, change):
    before = {i: s["Meta"]["dshard-reg"] for i, s in consul.services().items()}
    config.set(**change)
    result = env.dshard("register", "-o", "json", config=config).ok()
    assert {s["result"] for s in result.json()["servers"]} == {"registered"}
    after = {i: s["Meta"]["dshard-reg"] for i, s in consul.services().items()}
    assert all(before[i] != after[i] for i in before), (before, after)
    consul.wait_passing(registered)
    with Untouched(consul):
        env.dshard("register", config=config).ok()


def test_a_changed_weight_is_written_for_that_server_only(env, consul, registered, config):
    names = addresses(registered)
    config.set(servers=[{"addr": names[0], "weight": 4}, *names[1:]])
    with consul.flaps() as flaps:
        result = env.dshard("register", "-o", "json", config=config).ok()
    assert [s["result"] for s in result.json()["servers"]].count("registered") == 1
    assert consul.services()[service_id(names[0])]["Meta"]["dshard-weight"] == "4"
    assert flaps.changes == []


def test_what_somebody_else_changed_is_put_right(env, consul, registered, config):
    address = registered[0].address
    consul.register(address, Tags=["hand-made"])
    env.dshard("register", config=config).ok()
    assert consul.services()[service_id(address)]["Tags"] == []
    consul.put(f"/v1/agent/check/deregister/service:{service_id(address)}")
    env.dshard("register", config=config).ok()
    assert f"service:{service_id(address)}" in consul.checks(), "unchecked is always passing"


def test_a_registration_of_the_seed_is_taken_over_without_a_flap(env, consul, gateways,
                                                                 config):
    for gateway in gateways:
        consul.register(gateway.address)
    consul.wait_passing(gateways)
    with consul.flaps() as flaps:
        env.dshard("register", config=config).ok()
    assert flaps.changes == [] and len(consul.services()) == 3
    assert len(consul.checks()) == 3


def test_a_foreign_service_of_the_same_id_is_left_alone(env, consul, gateways, config):
    first, *rest = addresses(gateways)
    consul.register("10.9.9.9:80", ID=service_id(first), Name="web", Check=None)
    result = env.dshard("register", config=config)
    assert result.rc == 1 and first in result.stderr and "address" in result.stderr, result
    assert consul.services()[service_id(first)]["Service"] == "web"
    consul.wait_passing(rest)


def test_register_keeps_maintenance(env, consul, registered, config):
    address = registered[0].address
    consul.maintenance(service_id(address))
    config.set(consul_server={"tags": ["x"]})
    env.dshard("register", config=config).ok()
    env.dshard("register", address, config=config).ok()
    assert consul.is_drained(address)
    assert consul.services()[service_id(address)]["Tags"] == ["x"]


def test_one_server_that_fails_does_not_stop_the_others(env, consul, gateways, config):
    names = addresses(gateways)
    config.set(servers=[names[0], "0.0.0.0:9091", *names[1:]])
    result = env.dshard("register", config=config)
    assert result.rc == 1, result
    assert "0.0.0.0:9091: PUT http://" in result.stderr and ": 400: " in result.stderr
    assert "1 of 4" in result.stderr
    consul.wait_passing(gateways)


def test_ipv6_and_names(env, consul):
    gateway = env.pushgateway(host="::1")
    port = gateway.port
    config = env.consul_config(consul, [f"[::1]:{port}", f"localhost:{port + 1}"])
    env.dshard("register", config=config).ok()
    services = consul.services()
    assert sorted(services) == [f"::1_{port}", f"localhost_{port + 1}"]
    assert services[f"::1_{port}"]["Address"] == "::1"
    consul.wait_passing([f"[::1]:{port}"])
    with Untouched(consul):
        env.dshard("register", config=config).ok()
    env.dshard("deregister", "--force", f"[::1]:{port}", config=config).ok()
    assert consul.marks() == [f"[::1]:{port}"]
    assert list(consul.services()) == [f"localhost_{port + 1}"]
    env.dshard("register", f"[::1]:{port}", config=config).ok()
    assert consul.marks() == [] and len(consul.services()) == 2


def test_dry_run_says_what_it_would_do_and_does_not(env, consul, gateways, config):
    with Untouched(consul):
        result = env.dshard("register", "--dry-run", config=config).ok()
        assert all(name in result.stdout for name in addresses(gateways)), result
    assert consul.services() == {}
    env.dshard("register", config=config).ok()
    consul.wait_passing(gateways)
    with Untouched(consul):
        assert env.dshard("register", "--dry-run", config=config).ok().stdout == ""
        for command in (["deregister", "--force"], ["drain", "--force"]):
            result = env.dshard(*command, "--dry-run", gateways[0].address,
                                config=config).ok()
            assert gateways[0].address in result.stdout
        result = env.dshard("undrain", "--dry-run", gateways[0].address, config=config)
        assert result.ok().stdout == ""


def test_a_check_with_the_gateways_password(env, consul):
    gateway = env.pushgateway(users={"admin": "s3cret-Passw0rd"})
    password = env.write("password", "wrong-one\n")
    config = env.consul_config(consul, [gateway], pushgateway={
        "username": "admin", "password_file": password})
    env.dshard("register", config=config).ok()
    wait_until(lambda: any("401" in c["Output"] for c in consul.checks().values()), 10,
               "the check to fail")
    env.write("password", "s3cret-Passw0rd\n")
    result = env.dshard("register", "-o", "json", config=config).ok()
    assert result.json()["servers"][0]["result"] == "registered", "a new password counts"
    consul.wait_passing([gateway])
    with Untouched(consul):
        env.dshard("register", config=config).ok()
    everything = str([consul.services(), consul.checks(), consul.health()])
    assert "s3cret" not in everything and "wrong-one" not in everything
    os.unlink(password)
    result = env.dshard("register", config=config)
    assert result.rc == 2 and "password_file" in result.stderr, result


# ---- deregister ----------------------------------------------------------------------


def test_deregister_takes_the_service_away_and_marks_it(env, consul, registered, config):
    gone, *rest = addresses(registered)
    result = env.dshard("deregister", gone, config=config).ok()
    assert result.stdout == "" and result.stderr == "", result
    assert consul.members() == rest and consul.marks() == [gone]
    with Untouched(consul):
        env.dshard("deregister", gone, config=config).ok()
        env.dshard("register", config=config).ok()
    assert consul.members() == rest, "without names, register skips what is marked out"
    env.dshard("register", gone, config=config).ok()
    assert consul.members() == addresses(registered) and consul.marks() == []


def test_deregister_guards(env, consul, registered, config):
    name = registered[0].address
    registered[0].push("/metrics/job/precious")
    with Untouched(consul):
        result = env.dshard("deregister", name, config=config)
        assert result.rc == 5 and "group" in result.stderr, result
        config.set(ring={"min_healthy": 3})
        result = env.dshard("deregister", registered[1].address, config=config)
        assert result.rc == 5 and "min_healthy" in result.stderr, result
        result = env.dshard("drain", registered[1].address, config=config)
        assert result.rc == 5 and "min_healthy" in result.stderr, result
        assert env.dshard("deregister", "127.0.0.1:1", config=config).rc == 1
        assert env.dshard("drain", "127.0.0.1:1", config=config).rc == 1
        assert env.dshard("undrain", "127.0.0.1:1", config=config).rc == 1
    env.dshard("deregister", "--force", name, config=config).ok()
    assert consul.marks() == [name]
    env.dshard("drain", "--force", registered[1].address, config=config).ok()
    assert consul.is_drained(registered[1].address)


def test_deregister_all(env, consul, registered, config):
    assert env.dshard("deregister", "--all", config=config).rc == 5
    env.dshard("deregister", "--all", "--force", config=config).ok()
    assert consul.members() == [] and consul.marks() == addresses(registered)
    assert env.dshard("register", config=config).ok().stderr == ""
    assert consul.services() == {}, "all are marked"


def test_deregister_takes_what_others_registered_under_another_id(env, consul, registered,
                                                                  config):
    address = registered[0].address
    consul.deregister(service_id(address))
    consul.register(address, ID="odd/id with space")
    env.dshard("deregister", address, config=config).ok()
    assert address not in consul.members()


def test_results_as_json_have_their_frozen_shape(env, registered, config):
    name = registered[0].address
    for args, word in [(["drain", name], "drained"), (["drain", name], "unchanged"),
                       (["undrain", name], "undrained"), (["undrain", name], "unchanged"),
                       (["deregister", name], "deregistered"),
                       (["deregister", name], "unchanged"),
                       (["register", name], "registered")]:
        content = env.dshard(*args, "-o", "json", config=config).ok().json()
        check_schema("acts", content)
        assert [s["result"] for s in content["servers"]] == [word], args


# ---- drain ---------------------------------------------------------------------------


def test_drain_is_maintenance_and_undrain_ends_it(env, consul, registered, config):
    name = registered[0].address
    result = env.dshard("drain", name, config=config).ok()
    assert result.stdout == "" and result.stderr == ""
    assert consul.is_drained(name) and consul.members() == addresses(registered)
    with Untouched(consul):
        env.dshard("drain", name, config=config).ok()
    env.dshard("undrain", name, config=config).ok()
    assert not consul.is_drained(name)
    with Untouched(consul):
        env.dshard("undrain", name, config=config).ok()


def test_undrain_says_when_the_whole_node_is_in_maintenance(env, consul, registered, config):
    consul.put("/v1/agent/maintenance?enable=true&reason=test")
    result = env.dshard("undrain", registered[0].address, config=config)
    assert result.rc == 1 and "consul maint -disable" in result.stderr, result


def test_drain_without_consul(env):
    gateways = env.pushgateways(3)
    config = env.config(gateways)
    env.dshard("register", config=config).ok()
    name = gateways[0].address
    assert env.dshard("drain", f"127.0.0.1:{free_port()}", config=config).rc == 1
    env.dshard("drain", name, config=config).ok()
    assert name not in env.state().members()
    assert env.state().server(name)["intent"] == "draining"
    assert name in env.dshard("ring", "-o", "file-sd", config=config).ok().stdout
    env.dshard("register", config=config).ok()
    assert name not in env.state().members(), "register does not end a drain"
    env.dshard("undrain", name, config=config).ok()
    assert name in env.state().members()
    config.set(ring={"min_healthy": 3})
    assert env.dshard("drain", name, config=config).rc == 5
    env.dshard("drain", "--force", name, config=config).ok()
    assert name not in env.state().members()


# ---- several agents ------------------------------------------------------------------


@pytest.fixture
def cluster(env):
    return env.consul_cluster(servers=1, clients=2)


def test_the_agent_that_holds_it_is_found(env, cluster):
    gateways = env.pushgateways(2)
    here, there = cluster.clients
    mine = env.consul_config(here, gateways, name="here.yml")
    theirs = env.consul_config(there, gateways, name="there.yml")
    env.dshard("register", gateways[0].address, config=theirs).ok()
    env.dshard("register", gateways[1].address, config=mine).ok()
    env.dshard("register", gateways[1].address, config=theirs).ok()  # on both agents
    here.wait_passing(gateways)
    assert len(here.health()) == 3

    both = gateways[1].address
    env.dshard("drain", "--force", *addresses(gateways), config=mine).ok()
    assert all(here.is_drained(g.address) for g in gateways)
    drained = [e for e in here.health()
               if any(c["CheckID"].startswith("_service_maint") for c in e["Checks"])]
    assert len(drained) == 3, "on both agents"
    env.dshard("undrain", *addresses(gateways), config=mine).ok()
    assert not any(here.is_drained(g.address) for g in gateways)

    env.dshard("deregister", gateways[0].address, config=mine).ok()
    assert here.members() == [both]
    env.dshard("deregister", "--force", both, config=mine).ok()
    assert here.members() == []
    assert here.services() == {} and there.services() == {}
    assert here.marks() == addresses(gateways)


def test_a_dead_agents_registration_is_taken_from_the_catalog(env, cluster):
    gateways = env.pushgateways(2)
    here, there = cluster.clients
    mine = env.consul_config(here, gateways, name="here.yml")
    theirs = env.consul_config(there, gateways, name="there.yml")
    env.dshard("register", gateways[0].address, config=theirs).ok()
    env.dshard("register", gateways[1].address, config=mine).ok()
    here.wait_passing(gateways)
    there.kill9()
    # As long as Consul takes it for alive, nothing can be done to it from here.
    result = env.dshard("deregister", "--timeout", "1s", gateways[0].address, config=mine)
    if result.rc:
        assert result.rc == 1 and "consul services deregister -id=" in result.stderr, result
        assert here.marks() == [gateways[0].address], "the mark counts all the same"
    wait_until(lambda: here.statuses().get(gateways[0].address, "critical") == "critical",
               20, "the agent to be found dead")
    env.dshard("deregister", gateways[0].address, config=mine).ok()
    assert here.members() == [gateways[1].address]


def test_an_agent_that_cannot_be_reached_is_named(env, cluster):
    gateways = env.pushgateways(2)
    here, there = cluster.clients
    for gateway in gateways:
        there.register(gateway.address)
    here.wait_passing(gateways)
    there.pause()
    try:
        config = env.consul_config(here, gateways)
        result = env.dshard("deregister", gateways[0].address, config=config)
    finally:
        there.resume()
    assert result.rc == 1, result
    for word in (there.node, there.host, "consul services deregister -id=",
                 service_id(gateways[0].address)):
        assert word in result.stderr, result
    assert here.marks() == [gateways[0].address]
    assert len(here.members()) == 2


# ---- who we are, and where Consul is -------------------------------------------------

MINIMAL = '''
service_prefix "pushgateway" { policy = "write" }
node_prefix "" { policy = "read" }
key_prefix "dshard/" { policy = "write" }
session_prefix "" { policy = "write" }
'''


@pytest.fixture
def guarded(env):
    return env.consul(acl=True)


def everything(env, config, gateways, **more):
    """register, drain, undrain, deregister and back again; all must work."""
    name = gateways[0].address
    for args in (["register"], ["drain", "--force", name], ["undrain", name],
                 ["deregister", "--force", name], ["register", name]):
        env.dshard(*args, config=config, **more).ok()


def test_the_minimal_policy_is_enough(env, guarded):
    gateways = env.pushgateways(2)
    token = guarded.token(MINIMAL)
    config = env.consul_config({"addr": guarded.addr, "token": token}, gateways)
    everything(env, config, gateways)
    guarded.wait_passing(gateways)
    assert guarded.marks() == []


def test_too_little_is_said_in_consuls_words(env, guarded):
    gateways = env.pushgateways(2)
    settings = {"addr": guarded.addr}
    config = env.consul_config(settings, gateways)
    result = env.dshard("register", config=config)
    assert result.rc == 1 and ": 403: " in result.stderr, result
    config.set(consul_server={"token": "99999999-0000-0000-0000-000000000000"})
    result = env.dshard("register", config=config)
    assert result.rc == 1 and "403: ACL not found" in result.stderr, result
    assert "99999999" not in result.stderr
    reader = guarded.token('service_prefix "" { policy = "read" } '
                           'node_prefix "" { policy = "read" }')
    config.set(consul_server={"token": reader})
    result = env.dshard("register", config=config)
    assert result.rc == 1 and f"PUT {guarded.addr}{REGISTER}: 403: " in result.stderr, result
    assert "service:write" in result.stderr or "ermission denied" in result.stderr
    writer = guarded.token('service_prefix "" { policy = "write" } '
                           'node_prefix "" { policy = "read" }')
    config.set(consul_server={"token": writer})
    env.dshard("register", config=config).ok()
    guarded.wait_passing(gateways)
    result = env.dshard("deregister", gateways[0].address, config=config)
    assert result.rc == 1 and "/v1/kv/dshard/pushgateway/out/" in result.stderr, result
    assert guarded.members() == addresses(gateways), "no mark, no deregistration"
    for secret in (reader, writer):
        assert secret not in result.stderr


def test_the_token_file_is_read_each_time(env, guarded):
    gateways = env.pushgateways(1)
    path = env.write("token", "99999999-0000-0000-0000-000000000000\n")
    config = env.consul_config({"addr": guarded.addr, "token_file": path}, gateways)
    assert env.dshard("register", config=config).rc == 1
    env.write("token", f"  {guarded.token(MINIMAL)}\n\n")
    env.dshard("register", config=config).ok()
    os.unlink(path)
    result = env.dshard("register", config=config)
    assert result.rc == 2 and path in result.stderr, result


def test_tls_with_client_certificate_and_server_name(env):
    tls = env.consul_tls()
    consul = env.consul(tls=tls, verify=True)
    gateways = env.pushgateways(2)
    right = {"addr": consul.addr, "ca_file": tls.ca, "cert_file": tls.client_cert,
             "key_file": tls.client_key}
    config = env.consul_config(dict(right), gateways)
    everything(env, config, gateways)
    config.set(consul_server={"tls_server_name": tls.server_name})
    env.dshard("register", config=config).ok()
    config.set(consul_server={"tls_server_name": "server.other.consul"})
    result = env.dshard("register", config=config)
    assert result.rc == 75 and "certificate" in result.stderr.lower(), result
    other = env.write("other-ca.pem", make_ca(env))
    plain = {"addr": consul.addr}
    for settings in ({**right, "ca_file": other}, plain, {**plain, "ca_file": tls.ca},
                     {**right, "addr": consul.addr.replace("https", "http")}):
        config = env.consul_config(settings, gateways)
        result = env.dshard("register", config=config)
        assert result.rc in (1, 75) and consul.address in result.stderr, result
        assert tls.client_key not in result.stderr
    environ = {"CONSUL_HTTP_ADDR": consul.address, "CONSUL_HTTP_SSL": "true",
               "CONSUL_CACERT": tls.ca, "CONSUL_CLIENT_CERT": tls.client_cert,
               "CONSUL_CLIENT_KEY": tls.client_key,
               "CONSUL_TLS_SERVER_NAME": tls.server_name}
    config = env.consul_config({}, gateways)
    env.dshard("register", config=config, environ=environ).ok()
    environ.update(CONSUL_CACERT=other, CONSUL_HTTP_SSL_VERIFY="false")
    env.dshard("register", config=config, environ=environ).ok()
    environ.update(CONSUL_HTTP_SSL_VERIFY="yes")
    result = env.dshard("register", config=config, environ=environ)
    assert result.rc == 2 and "CONSUL_HTTP_SSL_VERIFY" in result.stderr, result


def make_ca(env):
    path = env.path("throw-away.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj",
                    "/CN=another CA", "-keyout", env.path("throw-away.key"), "-out", path],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(path, encoding="ascii") as f:
        return f.read()


def test_a_unix_socket(env):
    consul = env.consul(unix=True)
    gateways = env.pushgateways(2)
    everything(env, env.consul_config(consul, gateways), gateways)
    config = env.consul_config({}, gateways)
    env.dshard("register", config=config,
               environ={"CONSUL_HTTP_ADDR": consul.addr}).ok()
    consul.kill9()
    result = env.dshard("register", config=config,
                        environ={"CONSUL_HTTP_ADDR": consul.addr})
    assert result.rc == 75, result


class Proxy:
    """In front of Consul: asks for a name and password, and counts."""

    def __init__(self, env, consul, credentials):
        self.consul, self.credentials, self.writes = consul, credentials, []
        self.stub = env.stub(self.answer)
        self.addr = f"http://{self.stub.address}"

    def answer(self, method, path, headers, body):
        if headers.get("Authorization") != self.credentials:
            return 401, {}, b"who are you?"
        if method != "GET":
            self.writes.append((method, path))
        answer = RawHTTP.once(self.consul.address, method, path, body)
        return answer.status, {}, answer.body


def test_basic_auth_before_consul(env, consul):
    gateways = env.pushgateways(2)
    proxy = Proxy(env, consul, "Basic b3BzOnM6M2NyZXQ=")  # ops:s:3cret
    settings = {"addr": proxy.addr, "username": "ops", "password": "s:3cret"}
    config = env.consul_config(settings, gateways)
    env.dshard("register", config=config).ok()
    assert len(proxy.writes) == 2
    for _ in range(3):
        env.dshard("register", config=config).ok()
    assert len(proxy.writes) == 2, proxy.writes
    config.set(consul_server={"password": "wr0ng"})
    result = env.dshard("register", config=config)
    assert result.rc == 1 and "401: who are you?" in result.stderr, result
    assert "wr0ng" not in result.stderr
    config = env.consul_config({}, gateways)
    environ = {"CONSUL_HTTP_ADDR": proxy.stub.address, "CONSUL_HTTP_AUTH": "ops:s:3cret"}
    env.dshard("register", config=config, environ=environ).ok()


def test_environment_fills_in_and_the_file_wins(env, guarded):
    gateways = env.pushgateways(1)
    token = guarded.token(MINIMAL)
    environ = {"CONSUL_HTTP_ADDR": guarded.address, "CONSUL_HTTP_TOKEN": token}
    config = env.consul_config({}, gateways)
    env.dshard("register", config=config, environ=environ).ok()
    guarded.wait_passing(gateways)
    environ = {"CONSUL_HTTP_ADDR": "127.0.0.1:1", "CONSUL_HTTP_TOKEN": "wrong"}
    config = env.consul_config({"addr": guarded.addr, "token": token}, gateways)
    env.dshard("register", config=config, environ=environ).ok()
    path = env.write("token", token)
    config = env.consul_config({"addr": guarded.addr}, gateways)
    environ = {"CONSUL_HTTP_TOKEN_FILE": path, "CONSUL_HTTP_TOKEN": "wrong"}
    env.dshard("register", config=config, environ=environ).ok()
    # Without the section, the variables alone never switch Consul on.
    standalone = env.config(gateways, name="standalone.yml")
    environ = {"CONSUL_HTTP_ADDR": "127.0.0.1:1"}
    env.dshard("register", config=standalone, environ=environ).ok()


# ---- when Consul is in trouble -------------------------------------------------------


def test_a_dead_consul_is_temporary(env, gateways):
    address = f"127.0.0.1:{free_port()}"
    config = env.consul_config({"addr": f"http://{address}"}, gateways)
    for command in (["register"], ["deregister", gateways[0].address], ["drain", "1.2.3.4"],
                    ["undrain", "1.2.3.4"]):
        result = env.dshard(*command, config=config)
        assert result.rc == 75, result
        assert f"GET http://{address}/v1/health/service/pushgateway: " in result.stderr
        assert "onnect" in result.stderr and result.stdout == "", result


def test_consul_that_comes_back_is_used(env, gateways):
    consul = env.consul(start=False)
    config = env.consul_config(consul, gateways)
    assert env.dshard("register", config=config).rc == 75
    consul.start()
    env.dshard("register", config=config).ok()
    consul.wait_passing(gateways)


def test_faults_of_a_fake(env):
    fake = env.fake_consul()
    name = f"127.0.0.1:{free_port()}"
    config = env.consul_config(fake, [name])
    fake.always("/v1/health/", NO_LEADER)
    result = env.dshard("register", config=config)
    assert result.rc == 75 and "500: No cluster leader" in result.stderr, result
    fake.always("/v1/health/", Answer(200, b"<html>"))
    result = env.dshard("register", config=config)
    assert result.rc == 1 and "JSON" in result.stderr, result
    fake.clear()
    fake.always(REGISTER, NO_LEADER)
    result = env.dshard("register", config=config)
    assert result.rc == 75 and f"PUT {fake.addr}{REGISTER}: 500" in result.stderr, result
    fake.always("/v1/agent/service/", Answer(200, b"[]", ""))
    result = env.dshard("register", config=config)
    assert result.rc == 1 and "no description of a service" in result.stderr, result
    fake.clear()
    env.dshard("register", config=config).ok()
    put = fake.asked(REGISTER, "PUT")[-1]
    assert put.headers["Content-Type"] == "application/json" and not put.chunked
    assert "Expect" not in put.headers


def test_an_agents_200_without_effect_is_no_success(env):
    fake = env.fake_consul()
    gateways = env.pushgateways(2)
    config = env.consul_config(fake, gateways)
    env.dshard("register", config=config).ok()
    fake.always("/v1/agent/service/deregister/", Answer(200, b""))
    result = env.dshard("deregister", "--force", "--timeout", "500ms", gateways[0].address,
                        config=config)
    assert result.rc == 1 and "still has it registered" in result.stderr, result
    assert fake.kv_keys("dshard/") == [f"dshard/pushgateway/out/{gateways[0].address}"]


def test_a_failure_half_way_leaves_the_others_done(env):
    fake = env.fake_consul()
    gateways = env.pushgateways(3)
    names = [g.address for g in gateways]
    config = env.consul_config(fake, gateways)
    fake.script(REGISTER, Answer(), NO_LEADER)
    result = env.dshard("register", "-o", "json", config=config)
    assert result.rc == 1, result
    rows = check_schema("acts", result.json())["servers"]
    assert [r["result"] for r in rows] == ["registered", "failed", "registered"]
    assert rows[1]["address"] == names[1] and "No cluster leader" in rows[1]["error"]


# ---- secrets -------------------------------------------------------------------------


def test_no_secret_shows_anywhere(env, gateways):
    fake = env.fake_consul()
    fake.always("/v1/health/", SILENT)
    secrets = {"token": "t0p-s3cret-token", "password": "pa55-word"}
    config = env.consul_config({"addr": fake.addr, "username": "ops", **secrets}, gateways)
    process = subprocess.Popen([os.path.join(BIN, "dshard"), "--config", config.path,
                                "register", "-v"], env=clean_environ(), cwd=env.dir,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    try:
        wait_until(fake.count, 10, "the first request")
        with open(f"/proc/{process.pid}/cmdline", "rb") as f:
            said = f.read()
        with open(f"/proc/{process.pid}/environ", "rb") as f:
            said += f.read()
    finally:
        fake.down()
        said += process.communicate(timeout=30)[0]
    assert process.returncode == 75
    request = fake.asked("/v1/health/")[0]
    assert request.headers["X-Consul-Token"] == secrets["token"], "it was sent"
    assert "token" not in request.target and "@" not in request.target
    for args in (["config", "show"], ["config", "show", "-o", "json"], ["config", "check"],
                 ["register", "-v"], ["status"], ["deregister", "-v", gateways[0].address]):
        result = env.dshard(*args, config=config)
        said += (result.stdout + result.stderr).encode()
    for path in (os.path.join(env.dir, n) for n in os.listdir(env.dir)):
        if os.path.isfile(path) and path != config.path:
            with open(path, "rb") as f:
                said += f.read()
    for secret in secrets.values():
        assert secret.encode() not in said
