# SPDX-License-Identifier: Apache-2.0
"""`config check` and `config show` (what they say of each key is the unit test's)."""

import json

from testenv import check_schema

SEED = """consul_server:
  addr: localhost:8500
  username: reader
  password: hunter2
  register_service_name: pushgateway
http_listen_addr: :9090
pushgateway:
  port: 9091
  servers:
    - 10.0.0.1
    - 10.0.0.2
"""


def test_check_of_a_good_file_says_so(env):
    config = env.config(["10.0.0.1:9091", "10.0.0.2:9091"])
    result = env.dshard("config", "check", config=config).ok()
    assert result.stdout == f"{config.path}: ok, 2 servers, standalone\n"
    content = env.dshard("config", "check", "-o", "json", config=config).ok().json()
    check_schema("config-check", content)
    assert (content["ok"], content["servers"], content["file"]) == (True, 2, config.path)


def test_check_of_one_server_speaks_english(env):
    config = env.config(["10.0.0.1:9091"])
    assert "ok, 1 server," in env.dshard("config", "check", config=config).ok().stdout


def test_check_of_a_bad_file_shows_every_error_and_exits_2(env):
    path = env.write("bad.yml", "pushgateway:\n  servers: [\"10.0.0.1\", \"10.0.0.1:9091\"]\n"
                                "  scheme: gopher\nrign: {}\n")
    result = env.dshard("config", "check", "--config", path)
    assert result.rc == 2 and result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines[:-1]] == [
        f"{path}:2:25", f"{path}:3:11", f"{path}:4:1"], result
    assert "did you mean" in lines[2] and "3 errors" in lines[-1]


def test_check_of_a_missing_file_exits_2_and_names_it(env):
    result = env.dshard("config", "check", "--config", "/nowhere/dshard.yml")
    assert result.rc == 2 and "'/nowhere/dshard.yml'" in result.stderr
    assert "No such file" in result.stderr


def test_the_file_of_dynamic_sharding_loads_unchanged(env):
    path = env.write("dynamic-sharding.yml", SEED)
    result = env.dshard("config", "check", "--config", path).ok()
    assert "2 servers, with Consul" in result.stdout


def test_show_never_shows_a_secret(env):
    path = env.write("seed.yml", SEED.replace("  password", "  token: t0psecret\n  password"))
    content = env.dshard("config", "show", "--config", path, "-o", "json").ok().json()
    assert check_schema("config-show", content)["consul_server"]["token"] == "***"
    for form in ("text", "json"):
        out = env.dshard("config", "show", "--config", path, "-o", form).ok().stdout
        assert "hunter2" not in out and "t0psecret" not in out and "***" in out
    environ = {"CONSUL_HTTP_TOKEN": "fr0mtheenvironment"}
    out = env.dshard("config", "show", "--config", path, environ=environ).ok().stdout
    assert "fr0mtheenvironment" not in out


def test_show_as_text_is_a_configuration_that_means_the_same(env):
    config = env.config(["10.0.0.1:9091", {"addr": "10.0.0.2:9091", "weight": 3}],
                        ring={"min_healthy": "50%"}, health_check={"interval": "1m30s"})
    text = env.dshard("config", "show", config=config).ok().stdout
    again = env.write("again.yml", text)
    assert env.dshard("config", "check", "--config", again).ok().stdout.count("\n") == 1
    shown = [env.dshard("config", "show", "-o", "json", "--config", p).ok().json()
             for p in (config.path, again)]
    assert [s.pop("file") for s in shown] == [config.path, again]
    assert shown[0] == shown[1]


def test_show_as_json_has_the_defaults_filled_in(env):
    path = env.write("small.yml", "pushgateway: {servers: [\"10.0.0.1\"]}\n")
    content = env.dshard("config", "show", "-o", "json", "--config", path).ok().json()
    assert check_schema("config-show", content)["consul_server"] is None
    text = json.dumps(content)
    for words in ("10.0.0.1:9091", "/-/healthy", "/var/lib/dshard/ring.json", "500"):
        assert words in text


def test_an_environment_variable_alone_does_not_switch_consul_on(env):
    config = env.config(["10.0.0.1:9091"])
    environ = {"CONSUL_HTTP_ADDR": "http://127.0.0.1:1"}
    result = env.dshard("config", "check", config=config, environ=environ).ok()
    assert "standalone" in result.stdout
