# SPDX-License-Identifier: Apache-2.0
"""What README and manual page claim: each message in DIAGNOSTICS of dshard(1) is provoked,
with its exit status, and the README's configurations are valid."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess

import pytest
from test_groups_delete import Terminal
from test_groups_move import Fleet

from testenv import BIN, TOP, Answer, clean_environ, free_port, wait_until
from testenv.state import checksum, dump


def text_of(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as f:
        return f.read()


# ---- DIAGNOSTICS: one function an entry, which returns (exit status, what was said) -----


def run(env, *args, **more):
    done = env.dshard(*args, **more)
    return done.rc, done.stderr


def registered(env, n):
    gateways = env.pushgateways(n)
    config = env.config(gateways)
    env.dshard("register", config=config).ok()
    return gateways, config


def unknown_command(env):
    return run(env, "statu")


def no_configuration(env):
    return run(env, "status")


def bad_configuration(env):
    config = env.config(["a:1"], ring={"replicas": 0, "min_healthy": 0})
    rc, said = run(env, "config", "check", config=config)
    # Each with its place.
    assert len(re.findall(rf"^{re.escape(config.path)}:\d+:\d+: ", said, re.M)) == 2
    return rc, said


def no_state(env):
    return run(env, "status", config=env.config(["a:1"]))


def damaged_state(env):
    content = env.state().content(["a:1"])
    env.state().write_text(dump({**content, "replicas": 499}) + "\n")
    return run(env, "ring", config=env.config(["a:1"]))


def newer_state(env):
    content = {**env.state().content(["a:1"]), "format": 2}
    env.state().write_text(dump({**content, "checksum": checksum(content)}) + "\n")
    return run(env, "ring", config=env.config(["a:1"]))


def no_members(env):
    env.state().write([{"address": "a:1", "member": False}])
    return run(env, "ring", "lookup", "/metrics/job/a", config=env.config(["a:1"]))


def unread_groups(env):
    env.state().write([f"127.0.0.1:{free_port()}", env.pushgateways(1)[0].address])
    return run(env, "groups", config=env.config(["a:1"]))


def waiting_groups(env):
    """One that has just been pushed lies on a server that leaves."""
    gateways = env.pushgateways(2)
    gateways[0].push("/metrics/job/a")
    env.state().write([{"address": gateways[0].address, "member": False,
                        "intent": "draining"}, gateways[1].address])
    return run(env, "groups", "move", "--once", config=env.config(gateways))


def refused_groups(env):
    gateways = env.pushgateways(2)
    gateways[0].push("/metrics/job/a", "# TYPE m counter\nm 1\n")
    gateways[1].push("/metrics/job/b", "# TYPE m gauge\nm 1\n")
    env.state().write([{"address": gateways[0].address, "member": False,
                        "intent": "draining"}, gateways[1].address])
    rc, said = run(env, "groups", "move", "--patience", "0s", config=env.config(gateways))
    assert '{job="a"} stays on ' in said
    return rc, said


def stocked_newcomer(env):
    gateways = env.pushgateways(2)
    gateways[1].push("/metrics/job/a")
    return run(env, "scale", "up", gateways[1].address, config=env.config(gateways[:1]))


def dead_leaver(env):
    gateways, config = registered(env, 2)
    gateways[1].kill9()
    return run(env, "scale", "down", gateways[1].address, config=config)


def unscraped_newcomer(env):
    gateways = env.pushgateways(2)
    return run(env, "scale", "up", gateways[1].address, "--settle", "50ms", "--patience",
               "0s", config=env.config(gateways[:1]))


def scale_in_between(env, interfere):
    """While it waits for a scrape."""
    gateways = env.pushgateways(2)
    config = env.config(gateways[:1])
    scale = subprocess.Popen(
        [os.path.join(BIN, "dshard"), "--config", config.path, "scale", "up",
         gateways[1].address], env=clean_environ(), stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    wait_until(lambda: "Prometheus" in str(env.state().load()["operation"]), 10, "a step")
    result = interfere(config)
    scale.send_signal(signal.SIGINT)
    said = scale.communicate(timeout=10)[1]
    return result or (scale.returncode, said)


def scale_stopped(env):
    return scale_in_between(env, lambda config: None)


def fleet_locked(env):
    return scale_in_between(env, lambda config: run(
        env, "groups", "move", "--timeout", "100ms", config=config))


def one_server_twice(env):
    gateway = env.pushgateways(1)[0]
    gateway.push("/metrics/job/a")
    names = [gateway.address, f"localhost:{gateway.port}"]
    env.state().write(names)
    return run(env, "groups", "move", "--once", config=env.config(names))


def nothing_named(env):
    return run(env, "groups", "delete", config=env.config(["a:1"]))


def poisoned_group(env):
    fleet = Fleet(env, 1, [0])
    fleet.gateways[0].request("PUT", "/metrics/job/a/x/%FF", "m 1\n")
    rc, said = run(env, "groups", "delete", "--match", "job=a", config=fleet.config)
    assert 'shown as U+FFFD' in said and fleet.gateways[0].address in said
    fleet.gateways[0].request("DELETE", "/metrics/job/a/x/%FF")
    wait_until(lambda: not fleet.gateways[0].groups(), 2, "curl's delete")
    return rc, said


def asked(env, **more):
    fleet = Fleet(env, 1, [0])
    fleet.gateways[0].push("/metrics/job/a")
    return fleet.gateways[0], Terminal(fleet, "delete", "--match", "job=a", **more)


def pushed_meanwhile(env):
    gateway, terminal = asked(env)
    terminal.asked()
    gateway.push("/metrics/job/a")
    return terminal.answer("y"), terminal.text


def not_confirmed(env):
    _, terminal = asked(env)
    return terminal.answer(""), terminal.text


def no_question(env):
    _, terminal = asked(env, stderr=env.path("stderr"))
    rc = terminal.wait()
    with open(env.path("stderr"), encoding="utf-8") as f:
        return rc, f.read()


def dead_newcomer(env):
    return run(env, "register", config=env.config([f"127.0.0.1:{free_port()}"]))


def groups_left(env):
    gateways, config = registered(env, 2)
    gateways[0].push("/metrics/job/a")
    gateways[0].push("/metrics/job/b")
    return run(env, "deregister", gateways[0].address, config=config)


def too_few_left(env):
    _, config = registered(env, 2)
    return run(env, "deregister", "--all", config=config)


@contextlib.contextmanager
def locked_state(env):
    fd = os.open(env.dir, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def locked(env):
    gateways, config = registered(env, 1)
    with locked_state(env):
        return run(env, "deregister", gateways[0].address, "--force", "--timeout", "100ms",
                   config=config)


def watch_is_hung(env):
    """Who leaves has left with the command's own write; who joins waits for the watch."""
    gateways = env.pushgateways(2)
    config = env.config(gateways[:1], health_check={"timeout": "5s"})
    watch = env.watch(config)
    with locked_state(env):  # or it hung in the middle of a write, with the lock
        watch.pause()
    result = run(env, "register", gateways[1].address, "--timeout", "300ms", config=config)
    watch.resume()
    if "it is written" in result[1]:
        wait_until(lambda: len(env.state().members()) == 2, 5, "it to follow")
    return result


def second_watch(env):
    config = env.config(env.pushgateways(1))
    env.watch(config)
    return run(env, "watch", config=config)


# ---- with Consul ------------------------------------------------------------------------


def not_registered(env):
    return run(env, "drain", "127.0.0.1:1", config=env.consul_config(env.consul(), ["a:1"]))


def no_consul(env):
    nobody = {"addr": f"http://127.0.0.1:{free_port()}"}
    return run(env, "register", config=env.consul_config(nobody, ["a:1"]))


def no_right(env):
    return run(env, "register", config=env.consul_config(env.consul(acl=True), ["a:1"]))


def agent_out_of_reach(env):
    """A node in the catalog that looks alive, and nobody listens at its address."""
    consul, port = env.consul(), free_port()
    consul.put("/v1/catalog/register", {
        "Node": "n2", "Address": "127.0.0.99",
        "Service": {"ID": "x", "Service": consul.service, "Address": "127.0.0.1", "Port": port},
        "Check": {"CheckID": "serfHealth", "Status": "passing"}})
    result = run(env, "deregister", "--force", f"127.0.0.1:{port}",
                 config=env.consul_config(consul, ["a:1"]))
    assert consul.marks() == [f"127.0.0.1:{port}"]
    return result


def catalog_stays(env):
    """No real one can be brought to this at will."""
    fake, address = env.fake_consul(), f"127.0.0.1:{free_port()}"
    config = env.consul_config(fake, [address])
    env.dshard("register", config=config).ok()
    fake.always("/v1/agent/service/deregister/", Answer(200, b""))
    return run(env, "deregister", "--force", "--timeout", "300ms", address, config=config)


def foreign_service(env):
    consul = env.consul()
    consul.register("10.9.9.9:80", ID="127.0.0.1_9091", Name="web", Check=None)
    return run(env, "register", config=env.consul_config(consul, ["127.0.0.1:9091"]))


def node_in_maintenance(env):
    consul = env.consul()
    config = env.consul_config(consul, ["127.0.0.1:1"])
    env.dshard("register", config=config).ok()
    consul.put("/v1/agent/maintenance?enable=true&reason=test")
    return run(env, "undrain", "127.0.0.1:1", config=config)


# ---- and those of the log: they return what the log must show ---------------------------


def log_server_down(env):
    gateways = env.pushgateways(2)
    watch = env.watch(env.config(gateways))
    gateways[0].kill9()
    return watch


def log_server_held(env):
    gateways = env.pushgateways(2)
    watch = env.watch(env.config(gateways))
    gateways[0].kill9()
    wait_until(lambda: "server down" in watch.log(), 5, "it to be down")
    gateways[0].start()
    return watch


def log_server_but(env):
    stub = env.stub()
    watch = env.watch(env.config([stub]))
    stub.answer = (404, {}, b"")
    return watch


def log_not_tended(env):
    """Somebody else has the fleet's lock when a server comes back."""
    gateways = env.pushgateways(2)
    with open(env.path(".ring.json.fleet"), "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        watch = env.watch(env.config(gateways, watch={"groups": "move"}))
        gateways[0].kill9()
        wait_until(lambda: env.state().server(gateways[0].address)["health"] == "down", 5)
        gateways[0].start()
        wait_until(lambda: "stays held" in watch.log() and "not tended" in watch.log(), 15,
                   "both lines")
    return watch


def log_group_refused(env):
    gateways = env.pushgateways(2)
    members = ",".join(g.address for g in gateways)
    owner = env.dshard("ring", "lookup", "/metrics/job/a", "--members", members).stdout.split()[0]
    for gateway in gateways:
        at_home = gateway.address == owner
        gateway.push("/metrics/job/b" if at_home else "/metrics/job/a",
                     f"# TYPE m {'counter' if at_home else 'gauge'}\nm 1\n")
    return env.watch(env.config(gateways, watch={"groups": "move", "patience": "1s"}))


def log_ring_frozen(env):
    gateways = env.pushgateways(1)
    watch = env.watch(env.config(gateways))
    gateways[0].kill9()
    return watch


def log_set_aside(env):
    config = env.config(env.pushgateways(1))
    env.state().write_text("{}")
    return env.watch(config)


def log_not_written(env):
    """The temporary file cannot be made: something else has its name."""
    gateways = env.pushgateways(1)
    watch = env.watch(env.config(gateways))
    os.mkdir(env.path(".ring.json.tmp"))
    gateways[0].kill9()
    return watch


def log_not_reloaded(env):
    config = env.config(env.pushgateways(1))
    watch = env.watch(config)
    config.write_text("pushgateway: 7\n")
    watch.signal(signal.SIGHUP)
    return watch


# The beginning of an entry, and who provokes it.
ENTRIES = {
    "'...' is no command": unknown_command,
    "there is no configuration": no_configuration,
    "... errors in": bad_configuration,
    "cannot open": no_state,
    "'...': the checksum": damaged_state,
    "'...': format": newer_state,
    "the ring in": no_members,
    "'...' holds": stocked_newcomer,
    "... does not answer, so": dead_leaver,
    "nobody seems to scrape": unscraped_newcomer,
    "not finished; the same": scale_stopped,
    "the fleet's lock is held": fleet_locked,
    "...: not registered": dead_newcomer,
    "'...' still holds": groups_left,
    "... healthy servers": too_few_left,
    "the groups of": unread_groups,
    "... group... not in place": waiting_groups,
    "... group... could not be moved": refused_groups,
    "'...' and '...' are one server": one_server_twice,
    "which groups?": nothing_named,
    "... group... could not be deleted": poisoned_group,
    "... group... pushed meanwhile": pushed_meanwhile,
    "nothing was changed": not_confirmed,
    "standard error is no terminal": no_question,
    "'...' is not registered": not_registered,
    "GET http://": no_consul,
    "PUT http://": no_right,
    "marked as out": agent_out_of_reach,
    "its agent has done it": catalog_stays,
    "Consul's agent has": foreign_service,
    "its whole node": node_in_maintenance,
    "'...' is locked": locked,
    "it is written, but": watch_is_hung,
    "another watch keeps": second_watch,
    'msg="server down"': log_server_down,
    'msg="server back': log_server_held,
    'msg="server stays held': log_not_tended,
    'msg="groups not tended': log_not_tended,
    'msg="group refused': log_group_refused,
    'msg="server up, but"': log_server_but,
    'msg="ring changed"': log_server_down,
    'msg="ring frozen"': log_ring_frozen,
    'msg="bad state file': log_set_aside,
    'msg="state not written': log_not_written,
    'msg="configuration not reloaded': log_not_reloaded,
}


def entries():
    """(text, exit status or None) of each entry in the manual page."""
    section = text_of("man/dshard.1").split(".Sh DIAGNOSTICS\n")[1].split("\n.Sh ")[0]
    found = re.findall(r'^\.It "(.*)"\n(?:\((\d+)\))?', section, re.M)
    return [(text.replace('""', '"'), int(status) if status else None)
            for text, status in found]


def pattern_of(text):
    """"..." stands for anything, and a line of the log has the fields that are named, but
    `added`: no ring of these tests grows."""
    message = re.match(r'msg="[^"]*"', text)
    if not message:
        return ".*".join(re.escape(part) for part in text.split("..."))
    names = re.findall(r" (\w+)=", text[message.end():])
    return re.escape(message.group(0)) + "".join(
        f"(?=.* {name}=)" for name in names if name != "added")


@pytest.mark.parametrize("text, status", entries())
def test_each_diagnostic_is_provoked(env, text, status):
    provoke = next(f for start, f in ENTRIES.items() if text.startswith(start))
    result = provoke(env)
    pattern = pattern_of(text)
    if status is None:
        wait_until(lambda: re.search(pattern, result.log()), 10, f"{pattern} in the log")
        return
    rc, said = result
    assert rc == status and re.search(pattern, said), (rc, said)


def test_no_diagnostic_is_forgotten():
    texts = [text for text, _ in entries()]
    for start in ENTRIES:
        assert any(t.startswith(start) for t in texts), f"{start} is no longer in the page"
    assert len(texts) == len(ENTRIES)


# ---- the README ------------------------------------------------------------------------


def snippets():
    return re.findall(r"^```yaml\n(.*?)^```$", text_of("README.md"), re.M | re.S)


def test_configuration_in_the_readme_is_valid(env):
    path = env.write("readme.yml", snippets()[0])
    assert "3 servers, standalone" in env.dshard("config", "check", config=path).ok().stdout


def test_configuration_with_consul_in_the_readme_is_valid(env):
    path = env.write("readme.yml", snippets()[2])
    assert "3 servers, with Consul" in env.dshard("config", "check", config=path).ok().stdout


def test_prometheus_configuration_in_the_readme_is_valid(env):
    path = env.write("prometheus.yml", snippets()[1])
    subprocess.run(["promtool", "check", "config", path], check=True,
                   stdout=subprocess.DEVNULL)


def test_readme_has_every_command(env):
    table = text_of("README.md").split("\n## Commands\n")[1].split("\n## ")[0]
    table = table.replace("`, `config show", "`, `dshard config show").replace("[show]", "show")
    table = table.replace("[list]", "list")
    helped = env.dshard("help").ok().stdout.split("Commands:\n")[1].split("\n\n")[0]
    names = [re.match(r"  ([a-z]+(?: [a-z]+)?)(?=\s|$)", line[:35]).group(1)
             for line in helped.splitlines()]
    assert len(names) >= 10
    for name in names:
        assert f"`dshard {name}" in table, name
