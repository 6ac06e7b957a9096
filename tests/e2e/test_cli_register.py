# SPDX-License-Identifier: Apache-2.0
"""`register` and `deregister`, standalone, with and without a watch."""

import concurrent.futures
import fcntl
import os
import pwd
import stat

import pytest

from testenv import check_schema, free_port, wait_until


def members(env):
    return sorted(env.state().members())


def addresses(gateways):
    return sorted(g.address for g in gateways)


def snapshot(path):
    """Changes when the file is replaced, even by the same bytes."""
    info = os.stat(path)
    with open(path, "rb") as f:
        return info.st_ino, info.st_mtime_ns, f.read()


@pytest.fixture
def gateways(env):
    return env.pushgateways(3)


@pytest.fixture
def config(env, gateways):
    return env.config(gateways)


@pytest.fixture
def registered(env, gateways, config):
    env.dshard("register", config=config).ok()
    assert members(env) == addresses(gateways)
    return gateways


# ---- register ------------------------------------------------------------------------


def test_register_makes_the_configured_servers_members(env, gateways, config):
    result = env.dshard("register", config=config).ok()
    assert result.stdout == "" and result.stderr == "", result
    state = env.state()
    assert members(env) == addresses(gateways) and state.is_checked()
    content = state.load()
    assert content["source"] == "standalone" and content["generation"] == 1
    assert {s["health"] for s in content["servers"]} == {"up"}
    assert {s["intent"] for s in content["servers"]} == {"in"}
    assert content["history"][0]["added"] == addresses(gateways)
    assert stat.S_IMODE(os.stat(state.path).st_mode) == 0o644
    env.dshard("ring", "show", config=config).ok()


def test_register_again_writes_nothing_and_says_nothing(env, registered, config):
    before = snapshot(config.state_file)
    for _ in range(3):
        result = env.dshard("register", config=config).ok()
        assert result.stdout == "" and result.stderr == ""
    assert snapshot(config.state_file) == before


def test_register_leaves_no_other_files(env, registered, config):
    names = [n for n in os.listdir(env.dir) if n.startswith("ring")]
    assert names == ["ring.json"]


def test_register_keeps_a_dead_server_out_of_the_ring_and_says_so(env, gateways, config):
    gateways[1].kill9()
    result = env.dshard("register", config=config)
    assert result.rc == 1 and gateways[1].address in result.stderr, result
    assert members(env) == addresses([gateways[0], gateways[2]])
    assert env.state().is_checked()


def test_register_with_every_server_dead_is_no_empty_success(env, gateways, config):
    for gateway in gateways:
        gateway.kill9()
    result = env.dshard("register", config=config)
    assert result.rc == 1 and result.stderr, result


def test_register_of_a_named_server_adds_it(env, registered, config):
    extra = env.pushgateway()
    env.dshard("register", extra.address, config=config).ok()
    assert members(env) == addresses([*registered, extra])
    env.dshard("register", config=config).ok()
    assert members(env) == addresses([*registered, extra])


@pytest.mark.parametrize("name", ["x y", "10.0.0.1:0", "10.0.0.1:99999", "[::1", "", ":9091"])
def test_register_of_a_bad_name_exits_2_and_changes_nothing(env, registered, config, name):
    before = snapshot(config.state_file)
    for command in (["register"], ["deregister", "--force"]):
        result = env.dshard(*command, "--", name, config=config)
        assert result.rc == 2 and result.stderr, result
    assert snapshot(config.state_file) == before


def test_register_takes_over_a_new_weight(env, registered, config):
    names = addresses(registered)
    config.set(servers=[{"addr": names[0], "weight": 5}, *names[1:]])
    env.dshard("register", config=config).ok()
    content = env.state().load()
    assert [s["weight"] for s in content["servers"]] == [5, 1, 1]
    assert env.state().is_checked() and content["generation"] == 2
    assert content["history"][0]["cause"] == "weight"


def test_register_with_dry_run_says_what_it_would_do_and_does_not(env, gateways, config):
    result = env.dshard("register", "--dry-run", config=config).ok()
    assert not env.state().exists()
    for name in addresses(gateways):
        assert name in result.stdout, result


def test_a_joining_server_joins_on_until_it_is_named(env, registered, config):
    extra = env.pushgateway()
    env.dshard("register", extra.address, config=config).ok()

    def join(content):
        server = next(s for s in content["servers"] if s["address"] == extra.address)
        server.update(intent="joining", member=False)

    env.state().rewrite(join)
    config.set(servers=addresses([*registered, extra]))
    for args in ([], ["--dry-run"]):
        result = env.dshard("register", *args, config=config).ok()
        assert extra.address not in result.stdout, result
    assert members(env) == addresses(registered)
    assert env.state().server(extra.address)["intent"] == "joining"
    env.dshard("register", extra.address, config=config).ok()
    assert members(env) == addresses([*registered, extra])
    assert env.state().server(extra.address)["intent"] == "in"


# ---- deregister ----------------------------------------------------------------------


def test_deregister_takes_a_server_out_and_keeps_it_out(env, registered, config):
    gone, *rest = addresses(registered)
    result = env.dshard("deregister", gone, config=config).ok()
    assert result.stdout == "" and result.stderr == "", result
    assert members(env) == rest and env.state().is_checked()
    assert env.state().server(gone)["intent"] == "out"
    assert env.state().load()["history"][0]["cause"] == "operator"
    env.dshard("register", config=config).ok()
    assert members(env) == rest, "without names, register skips what is marked out"
    env.dshard("register", gone, config=config).ok()
    assert members(env) == addresses(registered), "naming it clears the mark"


def test_deregister_again_writes_nothing(env, registered, config):
    name = addresses(registered)[0]
    env.dshard("deregister", name, config=config).ok()
    before = snapshot(config.state_file)
    env.dshard("deregister", name, config=config).ok()
    assert snapshot(config.state_file) == before


def test_deregister_of_a_server_that_holds_groups_is_refused(env, registered, config):
    registered[0].push("/metrics/job/precious")
    before = snapshot(config.state_file)
    result = env.dshard("deregister", registered[0].address, config=config)
    assert result.rc == 5 and registered[0].address in result.stderr, result
    assert "--force" in result.stderr and "group" in result.stderr
    assert snapshot(config.state_file) == before
    env.dshard("deregister", "--force", registered[0].address, config=config).ok()
    assert registered[0].address not in members(env)


def test_deregister_of_a_dead_server_needs_no_force(env, registered, config):
    registered[0].kill9()
    env.dshard("deregister", registered[0].address, config=config).ok()
    assert members(env) == addresses(registered[1:])


def test_deregister_below_min_healthy_is_refused(env, registered, config):
    config.set(ring={"min_healthy": 3})
    before = snapshot(config.state_file)
    name = registered[0].address
    result = env.dshard("deregister", name, config=config)
    assert result.rc == 5 and "min_healthy" in result.stderr, result
    assert snapshot(config.state_file) == before
    env.dshard("deregister", "--force", name, config=config).ok()
    assert name not in members(env)


def test_deregister_of_all_empties_the_ring_only_by_force(env, registered, config):
    result = env.dshard("deregister", "--all", config=config)
    assert result.rc == 5 and members(env) == addresses(registered), result
    env.dshard("deregister", "--all", "--force", config=config).ok()
    assert members(env) == [] and env.state().is_checked()
    assert {s["intent"] for s in env.state().load()["servers"]} == {"out"}


def test_deregister_wants_servers_or_all_and_not_both(env, registered, config):
    assert env.dshard("deregister", config=config).rc == 2
    assert env.dshard("deregister", "--all", registered[0].address, config=config).rc == 2


def test_deregister_of_a_server_nobody_knows_changes_nothing(env, registered, config):
    before = snapshot(config.state_file)
    result = env.dshard("deregister", f"127.0.0.1:{free_port()}", config=config)
    assert result.rc in (0, 1, 3) and snapshot(config.state_file) == before, result


def test_deregister_with_dry_run_changes_nothing(env, registered, config):
    before = snapshot(config.state_file)
    name = registered[0].address
    result = env.dshard("deregister", "--dry-run", name, config=config).ok()
    assert name in result.stdout and snapshot(config.state_file) == before


# ---- both ----------------------------------------------------------------------------


def test_a_lock_that_is_held_exits_75_and_can_be_waited_for(env, registered, config):
    name = registered[0].address
    before = snapshot(config.state_file)
    directory = os.open(env.dir, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    result = env.dshard("deregister", "--timeout", "200ms", name, config=config)
    assert result.rc == 75 and "lock" in result.stderr, result
    assert snapshot(config.state_file) == before
    fcntl.flock(directory, fcntl.LOCK_UN)
    os.close(directory)
    env.dshard("deregister", "--timeout", "200ms", name, config=config).ok()


def test_the_owner_and_mode_of_the_state_file_stay(env, registered, config):
    if os.getuid() != 0:
        pytest.skip("only root can give files away")
    nobody = pwd.getpwnam("nobody")
    os.chown(config.state_file, nobody.pw_uid, nobody.pw_gid)
    env.dshard("deregister", registered[0].address, config=config).ok()
    info = os.stat(config.state_file)
    assert (info.st_uid, info.st_gid) == (nobody.pw_uid, nobody.pw_gid)
    assert stat.S_IMODE(info.st_mode) == 0o644


def test_a_state_file_that_cannot_be_written_exits_1_and_is_named(env, gateways):
    config = env.config(gateways, state_file="/proc/nowhere/ring.json")
    result = env.dshard("register", config=config)
    assert result.rc == 1 and "/proc/nowhere" in result.stderr, result


def test_results_as_json_have_their_frozen_shape(env, gateways, config):
    names = addresses(gateways)
    for args, results in [(["register"], ["registered"] * 3),
                          (["register"], ["unchanged"] * 3),
                          (["deregister", names[0]], ["deregistered"]),
                          (["register", "--dry-run", names[0]], ["registered"])]:
        content = env.dshard(*args, "-o", "json", config=config).ok().json()
        check_schema("acts", content)
        assert [s["result"] for s in content["servers"]] == results
        assert content["dry_run"] == ("--dry-run" in args)


def test_a_failure_is_in_the_json_too(env, gateways, config):
    gateways[0].kill9()
    result = env.dshard("register", "-o", "json", config=config)
    assert result.rc == 1
    rows = {s["address"]: s for s in check_schema("acts", result.json())["servers"]}
    assert rows[gateways[0].address]["result"] == "failed"
    assert "refused" in rows[gateways[0].address]["error"].lower()


def test_verbose_talks_on_stderr_and_quiet_does_not(env, gateways, config):
    result = env.dshard("register", "-v", config=config).ok()
    assert result.stderr and result.stdout == ""
    env.dshard("deregister", "-q", gateways[0].address, config=config).ok()


def test_with_a_watch_commands_only_say_what_is_wanted(env, gateways, config):
    env.watch(config)
    wait_until(lambda: members(env) == addresses(gateways), 5, "the first ring")
    name = gateways[0].address
    env.dshard("deregister", name, config=config).ok()
    wait_until(lambda: members(env) == addresses(gateways[1:]), 2, "it to leave")
    env.dshard("register", name, config=config).ok()
    wait_until(lambda: members(env) == addresses(gateways), 5, "it to come back")
    extra = env.pushgateway()
    env.dshard("register", extra.address, config=config).ok()
    wait_until(lambda: extra.address in members(env), 5, "the new one")
    env.dshard("status", config=config).ok()


def test_commands_at_the_same_time_do_not_lose_each_others_work(env, config):
    names = [f"127.0.0.1:{free_port()}" for _ in range(12)]
    for name in names:
        env.stub(port=int(name.split(":")[1]))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda n: env.dshard("register", n, config=config), names))
    for result in results:
        result.ok()
    assert set(names) <= set(members(env)) and env.state().is_checked()
