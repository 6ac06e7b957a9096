# SPDX-License-Identifier: Apache-2.0
"""What holds for every command: help, options, exit statuses, where output goes."""

import os
import re
import subprocess

import pytest

COMMANDS = ["register", "deregister", "watch", "ring show", "ring lookup", "ring plan",
            "status", "config check", "config show", "help"]
SERVERS = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]


@pytest.fixture
def config(env):
    """A configuration and a state file that agrees with it; nothing runs."""
    config = env.config(SERVERS)
    env.state().write(SERVERS)
    return config


def reading_commands(config):
    """Commands that have a result without a server to ask."""
    return [["help"], ["--help"], ["--version"], ["ring", "--help"],
            ["ring", "show", "--config", config.path],
            ["ring", "show", "--config", config.path, "-o", "json"],
            ["ring", "lookup", "--config", config.path, "/metrics/job/a"],
            ["ring", "plan", "--config", config.path, "--remove", SERVERS[0]],
            ["status", "--config", config.path],
            ["config", "show", "--config", config.path]]


def test_help_names_every_command_and_exit_status(env):
    result = env.dshard("help").ok()
    for name in COMMANDS:
        assert re.search(rf"^  {name}\b", result.stdout, re.M), name
    for status in ("0", "1", "2", "3", "5", "75"):
        assert re.search(rf"\b{status} ", result.stdout)
    assert result.stderr == ""
    assert env.dshard("--help").ok().stdout == result.stdout
    assert env.dshard("-h").ok().stdout == result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_that_needs_no_configuration(env, name):
    result = env.dshard(*name.split(), "--help").ok()
    assert result.stdout.startswith(f"dshard {name} ") and result.stderr == ""
    assert env.dshard("help", *name.split()).ok().stdout == result.stdout
    assert env.dshard("--help", *name.split()).ok().stdout == result.stdout


def test_help_fits_a_terminal(env):
    for name in COMMANDS:
        for line in env.dshard(*name.split(), "--help").stdout.splitlines():
            assert len(line) <= 100, line


def test_version_is_one_line(env):
    assert re.fullmatch(r"dshard \d+\.\d+\S*\n", env.dshard("--version").ok().stdout)


@pytest.mark.parametrize("args, text", [
    ([], "see dshard help"),
    (["frobnicate"], "'frobnicate' is no command"),
    (["registr"], "did you mean register?"),
    (["statsu"], "did you mean status?"),
    (["reg"], "is no command"),
    (["ring", "frobnicate"], "is no command of ring: show, lookup, plan"),
    (["config"], "wants one of: check, show"),
    (["config", "chekc"], "is no command of config"),
    (["ring", "lookup"], "wants PATH"),
    (["status", "extra"], "'extra'"),
    (["ring", "show", "--frobnicate"], "'--frobnicate' is no option"),
    (["ring", "show", "--outptu", "json"], "did you mean --output?"),
    (["ring", "show", "--out", "json"], "'--out' is no option"),
    (["ring", "show", "--conf", "x"], "'--conf' is no option"),
    (["--conf", "x", "ring"], "'--conf' is no option"),
    (["watch", "--onc"], "'--onc' is no option"),
    (["register", "--dry"], "'--dry' is no option"),
    (["ring", "show", "-Z"], "'-Z' is no option"),
    (["ring", "show", "-o", "xml"], "'xml'"),
    (["ring", "show", "--output=jso"], "'jso'"),
    (["ring", "show", "-o"], "wants a value"),
    (["ring", "show", "--config"], "wants a value"),
    (["register", "--dry-run=yes"], "takes no value"),
    (["status", "--timeout", "5"], "--timeout"),
    (["status", "--timeout", "-1s"], "--timeout"),
    (["status", "--timeout", "abc"], "--timeout"),
    (["ring", "lookup", "--members", "nowhere", "/metrics/job/a"], "'nowhere'"),
    (["ring", "lookup", "--members", "a:1,a:1", "/metrics/job/a"], "twice"),
    (["ring", "lookup", "--members", "a:1=0", "/metrics/job/a"], "a:1"),
    (["ring", "lookup", "--members", "a:1=101", "/metrics/job/a"], "a:1"),
    (["ring", "lookup", "--members", "", "/metrics/job/a"], "--members"),
    (["help", "frobnicate"], "'frobnicate' is no command"),
])
def test_wrong_usage_exits_2_and_says_what_is_wrong(env, args, text):
    result = env.dshard(*args)
    assert result.rc == 2 and result.stdout == "", result
    assert text in result.stderr, result
    assert result.stderr.startswith("dshard: ") and result.stderr.count("\n") == 1, result


def test_no_configuration_anywhere_exits_2_and_names_the_places(env):
    result = env.dshard("ring", "show")
    if os.path.exists("/etc/dshard/dshard.yml"):
        pytest.skip("this machine has a configuration")
    assert result.rc == 2
    assert "dshard.yml" in result.stderr and "/etc/dshard/dshard.yml" in result.stderr


def test_the_configuration_is_looked_for_in_the_promised_order(env, config):
    here = os.path.join(env.dshard.cwd, "dshard.yml")
    with open(here, "w", encoding="utf-8") as f:
        f.write("pushgateway: {servers: [here:1]}\n")
    there = env.write("there.yml", "pushgateway: {servers: [there:1]}\n")
    assert "here:1" in env.dshard("config", "show").ok().stdout
    named = {"DSHARD_CONFIG": there}
    assert "there:1" in env.dshard("config", "show", environ=named).ok().stdout
    chosen = env.dshard("config", "show", config=config, environ=named).ok()
    assert SERVERS[0] in chosen.stdout


def test_common_options_stand_before_or_after_the_command(env, config):
    after = env.dshard("ring", "show", "-o", "json", "--config", config.path).ok()
    before = env.dshard("--config", config.path, "-o", "json", "ring", "show").ok()
    joined = env.dshard("ring", "-ojson", f"--config={config.path}").ok()
    assert after.json() == before.json() == joined.json()


def test_two_dashes_end_the_options(env, config):
    result = env.dshard("ring", "lookup", "--config", config.path, "--", "--explain")
    assert result.rc == 1 and result.stdout == "-\t--explain\n"


def test_options_stand_among_the_arguments_in_any_order(env, config):
    result = env.dshard("ring", "lookup", "/metrics/job/a", "--config", config.path,
                        "/metrics/job/b", "-o", "json").ok()
    assert [r["path"] for r in result.json()["results"]] == ["/metrics/job/a",
                                                             "/metrics/job/b"]


def test_a_full_disk_behind_stdout_exits_1(env, config):
    for args in reading_commands(config):
        with open("/dev/full", "wb") as full:
            result = env.dshard(*args, stdout=full)
        assert result.rc == 1, result
        assert "No space left on device" in result.stderr, result


def test_a_closed_stdout_exits_1(env, config):
    for args in reading_commands(config)[:6]:
        read_end, write_end = os.pipe()
        os.close(read_end)
        try:
            result = env.dshard(*args, stdout=write_end)
        finally:
            os.close(write_end)
        assert result.rc == 1, result


def test_no_colours_in_a_pipe_or_with_NO_COLOR(env, config):
    for args in reading_commands(config):
        result = env.dshard(*args)
        assert "\x1b" not in result.stdout + result.stderr
        # A terminal of its own, by script(1) of util-linux.
        from testenv import BIN
        command = " ".join([os.path.join(BIN, "dshard"), *args])
        done = subprocess.run(["script", "-qec", command, "/dev/null"], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env={**os.environ, "NO_COLOR": "1", "TERM": "xterm"},
                              cwd=env.dshard.cwd)
        assert b"\x1b" not in done.stdout, done.stdout


def test_json_results_say_their_format(env, config):
    for args in (["ring", "show"], ["ring", "lookup", "/metrics/job/a"],
                 ["ring", "plan", "--remove", SERVERS[0]], ["status"], ["config", "show"]):
        result = env.dshard(*args, "-o", "json", config=config)
        assert result.json()["format"] == 1, result


def test_a_bad_configuration_exits_2_shows_every_error_and_changes_nothing(env):
    config = env.config(SERVERS)
    config.write_text("pushgateway:\n  servers: ['a:0', 'b b']\nnonsense: 1\n"
                      f"state_file: {config.state_file}\n")
    for args in (["register"], ["deregister", "--all"], ["ring", "show"], ["status"],
                 ["config", "check"], ["config", "show"], ["watch", "--once"]):
        result = env.dshard(*args, config=config)
        assert result.rc == 2 and result.stdout == "", result
        for place in (":2:13: ", ":2:20: ", ":3:1: "):
            assert f"{config.path}{place}" in result.stderr, result
        assert not env.state().exists()


@pytest.mark.parametrize("text, words", [
    ("", "empty"), ("{", ""), ("[]\n", ""), ('{"format":2}\n', "newer"),
    ("x" * 5_000_000, ""),
], ids=["empty", "cut", "a list", "newer", "huge"])
def test_an_unusable_state_file_exits_1_and_is_left_alone(env, text, words):
    config = env.config(SERVERS)
    env.state().write_text(text)
    for args in (["ring", "show"], ["ring", "lookup", "/metrics/job/a"], ["status"],
                 ["ring", "plan", "--remove", SERVERS[0]], ["register"],
                 ["deregister", "--force", SERVERS[0]]):
        result = env.dshard(*args, config=config)
        assert result.rc == 1 and result.stdout == "", result
        assert f"'{config.state_file}'" in result.stderr and words in result.stderr, result
        with open(config.state_file, encoding="utf-8") as f:
            assert f.read() == text


def test_a_bad_checksum_is_named(env, config):
    env.state().write(SERVERS, checksum="0" * 16)
    result = env.dshard("ring", "show", config=config)
    assert result.rc == 1 and "checksum" in result.stderr


def test_a_bad_digest_is_named(env, config):
    env.state().write(SERVERS, digest="0" * 16)
    result = env.dshard("ring", "show", config=config)
    assert result.rc == 1 and "digest" in result.stderr


def test_a_missing_state_file_exits_1_and_says_which(env):
    config = env.config(SERVERS)
    for args in (["ring", "show"], ["ring", "lookup", "/metrics/job/a"], ["status"]):
        result = env.dshard(*args, config=config)
        assert result.rc in (1, 3) and config.state_file in result.stderr + result.stdout
