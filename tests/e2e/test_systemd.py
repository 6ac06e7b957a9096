# SPDX-License-Identifier: Apache-2.0
"""examples/systemd under a real systemd, installed and enabled as the README says.

Every push has to be answered with 200 and counted by a Pushgateway."""

import os
import re
import shutil
import time

import pytest

from test_fcgi_load import Load, assert_all_right
from testenv import wait_until
from testenv.machine import Machine
from testenv.programs import TOP
from testenv.wait import LONG

pytestmark = [
    pytest.mark.skipif(not LONG, reason="boots a machine: make torture"),
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces with a systemd need root"),
    pytest.mark.skipif(not shutil.which("systemd-nspawn"), reason="there is no systemd-nspawn"),
]

PORTS = (9101, 9102, 9103)
CONFIG = "pushgateway:\n  servers:\n" + "".join(f"    - 127.0.0.1:{p}\n" for p in PORTS)
PUSHGATEWAY = """[Service]
User=nobody
ExecStart=/usr/bin/prometheus-pushgateway --web.listen-address=127.0.0.1:%i
[Install]
WantedBy=multi-user.target
"""
QUESTIONS = [("POST", f"/metrics/job/j{i % 7}/instance/{i}", 200, "-", "-") for i in range(60)]
# As the README has them.
STEPS = """sudo useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin dshard
dshard config check
sudo cp examples/systemd/* /etc/systemd/system/
sudo systemctl daemon-reload
sudo systemctl enable --now dshard-watch.service dshard-fcgi.socket
sudo cp examples/nginx.conf /etc/nginx/conf.d/dshard.conf
sudo nginx -t && sudo systemctl enable nginx && sudo systemctl reload-or-restart nginx"""
PUSH = ("curl -sS -o /dev/null -w '%{http_code}' --data-binary 'm 1\n' "
        "http://127.0.0.1:9091/metrics/job/x")


@pytest.fixture(scope="module")
def machine(module_env):
    machine = Machine(module_env, {"/etc/dshard/dshard.yml": CONFIG,
                                   "/etc/systemd/system/pushgateway@.service": PUSHGATEWAY})
    module_env.add(machine).start()
    machine.run("systemctl enable --now " + " ".join(f"pushgateway@{p}" for p in PORTS))
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        text = f.read()
    for step in STEPS.splitlines():
        assert f"    {step}\n" in text
        machine.run(step.replace("sudo ", ""))
    assert machine.run("systemctl is-active dshard-fcgi.service", check=False) == "inactive"
    assert machine.run(PUSH) == "200"  # which has started it
    return machine


def shown(machine, unit, name):
    return machine.run(f"systemctl show -P {name} {unit}")


def main_pid(machine, unit="dshard-fcgi"):
    return wait_until(lambda: int(shown(machine, unit, "MainPID")), 10, f"{unit} to run")


def counted(machine):
    text = machine.run("".join(f"curl -s http://127.0.0.1:{p}/metrics;" for p in PORTS))
    return sum(float(v) for v in re.findall(
        r'^pushgateway_http_requests_total{code="200",handler="push",method="post"} (\S+)$',
        text, re.M))


def served(machine):
    """By the handler that runs now."""
    text = machine.run("curl -s http://127.0.0.1:9091/metrics")
    return sum(float(v) for v in re.findall(r"^dshard_requests_total{.*} (\S+)$", text, re.M))


def journal(machine, unit, *options):
    return machine.run(f"journalctl --no-pager -o cat -u {unit} {' '.join(options)}")


def under_load(env, machine, times, act):
    before = counted(machine)
    load = Load(env, "127.0.0.1:9091", QUESTIONS, connections=32, prefix=machine.enter("net"))
    for i in range(times):
        wait_until(lambda: served(machine) > 20, 20, "the handler to serve")
        act(i)
    wait_until(lambda: served(machine) > 20, 20, "the handler to serve again")
    result = load.finish()
    assert_all_right(result)
    assert result["answers"] > times * 20
    assert counted(machine) - before == result["answers"]
    assert shown(machine, "dshard-fcgi.socket", "ActiveState") == "active"


def test_restarts_and_kills_lose_no_push(module_env, machine):
    def end(i):
        pid = main_pid(machine)
        if i % 3 == 0:
            machine.run("systemctl restart dshard-fcgi")
        elif i % 3 == 1:
            machine.run("systemctl stop dshard-fcgi")  # the next push starts it
        else:
            machine.run(f"kill -9 $(pgrep -P {pid} | head -n 1)", check=False)
    under_load(module_env, machine, 12, end)
    assert 'level=error msg="a worker has died"' in journal(machine, "dshard-fcgi", "-p err")


def test_forty_kills_in_a_row_lose_no_push(module_env, machine):
    restarts = int(shown(machine, "dshard-fcgi", "NRestarts"))

    def kill(_):
        pid = main_pid(machine)
        machine.run(f"kill -9 {pid}")
        # Its workers may still answer, and systemd show it, for a moment.
        wait_until(lambda: int(shown(machine, "dshard-fcgi", "MainPID")) not in (0, pid), 10,
                   "its successor")
    under_load(module_env, machine, 40, kill)
    assert int(shown(machine, "dshard-fcgi", "NRestarts")) == restarts + 40
    lines = journal(machine, "dshard-fcgi")
    assert "level=info msg=serving" in lines and "time=" not in lines


def test_watch_follows_the_servers_and_systemctl_shows_it(machine):
    assert shown(machine, "dshard-watch", "StatusText") == "3 of 3 servers are members"
    machine.run("systemctl kill -s KILL pushgateway@9103")
    wait_until(lambda: shown(machine, "dshard-watch", "StatusText") ==
               "2 of 3 servers are members", 10, "the dead server to leave")
    assert machine.run(PUSH) == "200"
    machine.run("systemctl reset-failed; systemctl start pushgateway@9103")
    machine.run("systemctl reload dshard-watch")
    wait_until(lambda: "configuration reloaded" in journal(machine, "dshard-watch"), 5, "reload")
    assert "msg=\"server down\"" in journal(machine, "dshard-watch", "-p warning")
    pid = main_pid(machine, "dshard-watch")
    machine.run(f"kill -9 {pid}")
    wait_until(lambda: int(shown(machine, "dshard-watch", "MainPID")) not in (0, pid) and
               shown(machine, "dshard-watch", "ActiveState") == "active", 10, "its successor")


def test_operators_commands_and_the_watch_share_the_state_file(machine):
    machine.run("dshard drain 127.0.0.1:9102")
    assert "127.0.0.1:9102" not in machine.run("dshard ring lookup /metrics/job/x")
    machine.run("runuser -u dshard -- dshard undrain 127.0.0.1:9102")
    wait_until(lambda: machine.run("systemctl is-active dshard-watch") == "active", 5, "it")
    assert machine.run("stat -c '%U %a' /var/lib/dshard/ring.json") == "dshard 644"
    assert machine.run("stat -c '%U %G %a' /run/dshard/fcgi.sock") == "root www-data 660"


def test_after_a_boot_all_of_it_is_up_by_itself(machine):
    init = machine.init()
    machine.run("systemctl reboot", check=False)
    machine.wait_for_boot(but=init)
    start = time.monotonic()
    wait_until(lambda: machine.run(PUSH) == "200", 10, "a push to be taken")
    print(f"{time.monotonic() - start:.1f} s after the boot a push was taken")
    for unit in ("dshard-watch.service", "dshard-fcgi.socket", "dshard-fcgi.service"):
        assert shown(machine, unit, "ActiveState") == "active"
    assert machine.run("systemctl list-units --failed --no-legend 'dshard*'") == ""
