# SPDX-License-Identifier: Apache-2.0
"""examples/: prometheus.yml, alerts.yml, cron, python_push.py and systemd/ as they stand.  (dshard.yml
has its test with the configuration, the web servers' with the handler.)"""

import configparser
import fcntl
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.error

import prometheus_client
import pytest

from fronts import lighttpd_example, nginx_example
from testenv import BIN, TOP, Prometheus, clean_environ, wait_until
from testenv.programs import wrapper

EXAMPLES = os.path.join(TOP, "examples")


def example(name):
    return os.path.join(EXAMPLES, name)


def text_of(name):
    with open(example(name), encoding="utf-8") as f:
        return f.read()


@pytest.fixture
def fleet(env):
    """Three Pushgateways and a watch."""
    gateways = env.pushgateways(3)
    config = env.config(gateways)
    env.watch(config)
    return gateways, config


def owner(env, gateways, config, path):
    line = env.dshard("ring", "lookup", path, config=config).ok().stdout
    return next(g for g in gateways if g.address == line.split("\t")[0])


# ---- Prometheus ----------------------------------------------------------------------


def test_promtool_has_nothing_to_say_about_prometheus_yml():
    done = subprocess.run(["promtool", "check", "config", example("prometheus.yml")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert done.returncode == 0 and "WARN" not in done.stdout, done.stdout


def test_prometheus_finds_all_servers_and_keeps_the_labels(env, fleet):
    gateways, config = fleet
    proxy, _ = nginx_example(env, env.fcgi(config.state_file))
    assert proxy.push("PUT", "/metrics/job/backup/instance/db1", b"rows 17\n") == 200
    prometheus = env.add(Prometheus(env.dir, path=example("prometheus.yml"), replacements=[
        ("127.0.0.1:9091", proxy.address), ("alerts.yml", example("alerts.yml")),
        ("scrape_configs:", "global: {scrape_interval: 1s}\nscrape_configs:")])).start()
    names = {g.address for g in gateways} | {proxy.address}
    wait_until(lambda: prometheus.targets() == dict.fromkeys(names, "up"), 20, "the targets")
    found = prometheus.wait_query('rows{job="backup",instance="db1"}')
    assert [value for _, value in found] == [17]
    assert set(found[0][0]) == {"__name__", "job", "instance"}, "a label too many"
    itself = {"job": "dshard", "instance": proxy.address}
    assert prometheus.wait_query("sum by (job, instance) (dshard_pushes_total)") == [(itself, 1)]
    [rules] = prometheus.api("rules")["groups"]
    assert len(rules["rules"]) > 5 and all(r["health"] != "err" for r in rules["rules"])

    gateways[1].kill9()
    wait_until(lambda: len(env.state().members()) == 2, 5, "the ring to follow")
    wait_until(lambda: prometheus.targets()[gateways[1].address] == "down", 20, "a down target")
    assert set(prometheus.targets()) == names
    assert prometheus.query(f'up{{instance="{gateways[1].address}"}}')[0][1] == 0


def promtool(*args):
    done = subprocess.run(["promtool", *args], stdout=subprocess.PIPE, text=True, check=False,
                          stderr=subprocess.STDOUT, cwd=os.path.join(TOP, "tests", "data"))
    assert done.returncode == 0 and "FAILED" not in done.stdout, done.stdout
    return done.stdout


def test_promtool_has_nothing_to_say_about_the_alerts():
    assert "SUCCESS" in promtool("check", "rules", example("alerts.yml"))


def test_each_alert_fires_for_its_reason_and_no_other():
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")
    with open(os.path.join(TOP, "tests", "data", "alerts_test.yml"), encoding="utf-8") as f:
        tested = set(re.findall(r"alertname: (\w+)\n *exp_alerts:\n", f.read()))
    assert tested == set(re.findall(r"alert: (\w+)", text_of("alerts.yml")))


# ---- Python --------------------------------------------------------------------------


def python_example():
    spec = importlib.util.spec_from_file_location("python_push", example("python_push.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_python_pushes_through_a_redirect(env, fleet):
    gateways, config = fleet
    front = lighttpd_example(env, env.fcgi(env.state()))
    subprocess.run([example("python_push.py"), f"http://{front.address}", "nightly"],
                   check=True, timeout=20, env=clean_environ())
    at = owner(env, gateways, config, "/metrics/job/nightly")
    assert [g.has(job="nightly") for g in gateways] == [g is at for g in gateways]


def test_python_client_cannot_do_without_the_example(env, fleet):
    """What the table of clients in the README says."""
    gateways, config = fleet
    front = lighttpd_example(env, env.fcgi(env.state()))
    url, registry = f"http://{front.address}", prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("rows", "of the table", registry=registry).set(3)
    for handler in ({}, {"handler": prometheus_client.exposition.passthrough_redirect_handler}):
        with pytest.raises(urllib.error.HTTPError) as error:
            prometheus_client.push_to_gateway(url, job="a", registry=registry, **handler)
        assert error.value.code == 307
        error.value.close()

    follow = python_example().follow_redirects
    key = {"path": "/var/lib", "x": ""}
    at = owner(env, gateways, config, "/metrics/job/a/x@base64/=/path@base64/L3Zhci9saWI")
    prometheus_client.push_to_gateway(url, "a", registry, key, handler=follow)
    assert at.has(job="a", **key)
    prometheus_client.pushadd_to_gateway(url, "a", registry, key, handler=follow)
    prometheus_client.delete_from_gateway(url, "a", key, handler=follow)
    wait_until(lambda: not at.has(job="a", **key), 5, "the group to be gone")
    assert sum(len(g.groups()) for g in gateways) == 0


def test_python_example_keeps_passwords_and_raises_errors(env):
    seen = []

    def answer(method, path, headers, body):
        seen.append((method, path, dict(headers), body))
        return 200, {}, b""

    there = env.stub(answer)
    here = env.stub((308, {"Location": f"http://{there.address}/there"}, b""))
    push = python_example().follow_redirects
    push(f"http://{here.address}/", "PUT", 5,
         [("Authorization", "Basic c2VjcmV0"), ("X-Other", "1")], b"m 1\n")()
    method, path, headers, body = seen[0]
    assert (method, path, body) == ("PUT", "/there", b"m 1\n")
    names = {name.lower() for name in headers}
    assert "x-other" in names and "authorization" not in names
    there.answer = (400, {}, b"no")
    with pytest.raises(urllib.error.HTTPError) as error:
        push(f"http://{here.address}/", "POST", 5, [], b"m 1\n")()
    error.value.close()


# ---- cron ----------------------------------------------------------------------------


def cron_commands(start):
    lines = [line for line in text_of("cron").splitlines() if line.startswith(start)]
    return [line.split(None, 6)[6] for line in lines]


def run_cron(env, command, config):
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "DSHARD_CONFIG": config.path}
    return subprocess.run(["sh", "-c", command], env=clean_environ(**environ), cwd=env.dir,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=30, check=False)


@pytest.mark.skipif(bool(wrapper()), reason="the lines call dshard by its name")
def test_cron_lines_are_silent_until_something_is_wrong(env):
    register, status = cron_commands("*")
    [once] = cron_commands("#*")
    assert (register, once) == ("dshard register", "dshard watch --once")
    gateways = env.pushgateways(3)
    config = env.config(gateways[:2])
    for command in (register, once, status, register):
        done = run_cron(env, command, config)
        assert (done.returncode, done.stdout) == (0, ""), command
    names = sorted(g.address for g in gateways)
    assert env.state().members() == sorted(g.address for g in gateways[:2])

    config.set(servers=names)
    assert run_cron(env, register, config).stdout == ""
    assert env.state().members() == names

    gateways[0].kill9()
    done = run_cron(env, once, config)
    assert done.returncode == 0 and "server down" in done.stdout
    assert gateways[0].address not in env.state().members()
    done = run_cron(env, status, config)
    assert done.stdout.startswith("degraded: 2 of 3 servers")


@pytest.mark.skipif(bool(wrapper()), reason="the lines call dshard by its name")
def test_cron_lines_are_silent_beside_a_watch(env):
    config = env.config(env.pushgateways(2))
    env.watch(config)
    for command in cron_commands("*"):
        done = run_cron(env, command, config)
        assert (done.returncode, done.stdout) == (0, ""), command


# ---- nginx with kept connections -------------------------------------------------------


def kept_connections(gateway):
    """How many connections there are to it, by the kernel's table."""
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in list(f)[1:]]
    there = f"0100007F:{gateway.port:04X}"
    return sum(row[2] == there and row[3] == "01" for row in rows)


def make_nginx_command(env, nginx, before=""):
    """`nginx` for a script; before: what it does first."""
    os.makedirs(env.path("bin"), exist_ok=True)
    with open(env.path("bin/nginx"), "w", encoding="ascii") as f:
        f.write(f'#!/bin/sh\n{before}\n'
                f'exec /usr/sbin/nginx -p {env.dir} -e stderr -c {nginx.conf} "$@"\n')
    os.chmod(env.path("bin/nginx"), 0o755)


def files_of(upstreams):
    directory, name = os.path.split(upstreams)
    return {n for n in os.listdir(directory) if n.startswith(name)}


def run_nginx_upstreams(env, upstreams, config):
    """As root's cron does: (exit status, output)."""
    text = text_of("nginx-upstreams")
    assert text.count("\nPATH=") == 1
    script = env.write("nginx-upstreams", text.replace(
        "\nPATH=", f"\nPATH={env.path('bin')}:{BIN}:"))
    done = subprocess.run(["/bin/sh", script, upstreams], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=30, check=False,
                          env={"PATH": "/usr/bin:/bin", "DSHARD_CONFIG": config})
    if done.returncode >= 0:
        assert files_of(upstreams) <= {os.path.basename(upstreams) + end
                                       for end in ("", ".old", ".reload")}
    return done.returncode, done.stdout


@pytest.mark.skipif(bool(wrapper()), reason="the program calls dshard by its name")
def test_nginx_keeps_connections_and_learns_of_servers_that_come(env):
    gateways = env.pushgateways(3)
    config = env.config(gateways)
    state = env.state()
    state.write([g.address for g in gateways[:2]])
    upstreams = env.path("upstreams.conf")
    with open(upstreams, "w", encoding="ascii") as f:
        f.write(env.dshard("ring", "show", "-o", "nginx", config=config).ok().stdout)
    proxy, _ = nginx_example(env, env.fcgi(state), [
        ("#include /etc/nginx/dshard-upstreams.conf;", f"include {upstreams};"),
        ("        proxy_pass $dshard_scheme://$dshard_server$dshard_uri;", ""),
        ("#proxy_pass ", "proxy_pass "),
        ("        proxy_next_upstream off;", ""), ("#proxy_next_upstream", "proxy_next_upstream")])
    nginx = next(t for t in env.things if t.name.startswith("nginx"))
    make_nginx_command(env, nginx)

    def update():
        return run_nginx_upstreams(env, upstreams, config.path)

    def push_to_all(targets):
        assert {proxy.push("PUT", f"/metrics/job/{i}") for i in range(30)} == {200}
        assert all(g.groups() for g in targets)

    assert update() == (0, "") and "reconfiguring" not in nginx.log()
    push_to_all(gateways[:2])
    # Of about 15 pushes to each; the next one may come before the last one's is put back.
    kept = [kept_connections(g) for g in gateways]
    assert 1 <= min(kept[:2]) and max(kept) <= 4 and kept[2] == 0, kept

    state.write([g.address for g in gateways], generation=2)
    wait_until(lambda: proxy.request("GET", "/-/ready").header("X-Dshard-Generation") == "2", 5)
    push_to_all(gateways)  # the third one, whom nginx does not know, as well
    wait_until(lambda: kept_connections(gateways[2]) == 0, 5, "them to be closed")
    status, output = update()
    assert status == 0, output
    wait_until(lambda: "reconfiguring" in nginx.log(), 5, "nginx to be told")
    wait_until(lambda: push_to_all(gateways) or kept_connections(gateways[2]) >= 1, 10)


@pytest.mark.skipif(bool(wrapper()), reason="the program calls dshard by its name")
def test_nginx_is_reloaded_in_the_end_whatever_went_wrong(env):
    state, upstreams = env.state(), env.path("upstreams.conf")
    config = env.config(["10.0.0.1:9091"])
    nginx = env.nginx(conf=f"""
include {env.path("upstreams.con[f]")};
include {env.path("broken.con[f]")};
server {{ listen 127.0.0.1:@PORT@; set $dshard_server ""; return 204; }}""")
    make_nginx_command(env, nginx)
    servers, reloads = ["10.0.0.1:9091"], 0

    def update(status, words=""):
        code, output = run_nginx_upstreams(env, upstreams, config.path)
        assert code == status and words in output and (output or not code), (code, output)
        return os.path.exists(upstreams) and "\n".join(sorted(files_of(upstreams)))

    def another_server():
        servers.append(f"10.0.0.{len(servers) + 1}:9091")
        state.write(servers, generation=len(servers))

    def assert_reloaded():
        """Once, with all servers; and nothing is left to be done."""
        nonlocal reloads
        reloads += 1
        for _ in range(2):
            assert update(0) == "upstreams.conf"
            wait_until(lambda: nginx.log().count(": reconfiguring") == reloads, 5, "a reload")
        assert all(f"server {s};" in text_of(upstreams) for s in servers)

    def assert_refused(kept, words):
        """What nginx had is what it would start with: nothing, to begin with."""
        env.write("broken.conf", "nonsense;\n")
        for _ in range(2):
            update(1, words)
            assert (text_of(upstreams) if kept else os.path.exists(upstreams)) == kept
        os.unlink(env.path("broken.conf"))

    another_server()
    assert_refused(False, "removed again")
    assert_reloaded()
    before = text_of(upstreams)
    another_server()
    assert_refused(before, "before is back")
    assert_reloaded()

    before = text_of(upstreams)
    another_server()
    make_nginx_command(env, nginx, "kill -9 $PPID; exit 0")
    assert run_nginx_upstreams(env, upstreams, config.path)[0] == -signal.SIGKILL
    assert text_of(upstreams) != before
    make_nginx_command(env, nginx)
    another_server()
    assert_refused(before, "before is back")
    assert_reloaded()

    before = text_of(upstreams)
    another_server()
    fd = os.open(env.dir, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)  # as another run does that waits for a name server
    update(0)
    assert text_of(upstreams) == before
    os.close(fd)
    make_nginx_command(env, nginx, '[ "$1" = -t ] || exit 1')
    update(1, "tries again")
    make_nginx_command(env, nginx)
    assert_reloaded()

    # A first list while nginx does not run yet, which is then started with it.
    nginx.stop()
    os.unlink(upstreams)
    update(1, "tries again")
    nginx.start()
    assert_refused(text_of(upstreams), "stays as it is")
    assert_reloaded()


def test_nginx_takes_every_kind_of_name(env):
    """IPv6, and names of the length that DNS allows (which need not resolve to anything)."""
    names = ["10.0.0.1:9091", "[2001:db8::1]:9091", "localhost:1", f"{'a' * 60}.{'b' * 60}:80"]
    state = env.state()
    state.write(names)
    text = env.dshard("ring", "-o", "nginx", "--state", state.path).ok().stdout
    text = text.replace(f"server {names[3]};", "server 192.0.2.1:80;")
    assert text.count("\nupstream ") == 4
    nginx = env.nginx(conf=text + """
server {
    listen 127.0.0.1:@PORT@;
    location / { set $dshard_server $arg_server; return 200 $dshard_upstream; }
}""")
    for name in names:
        answer = nginx.request("GET", f"/?server={name}")
        assert re.fullmatch(r"dshard6?_[\w.-]+", answer.text), answer
    assert nginx.request("GET", "/?server=x:1").text == "x:1"
    assert "warn" not in nginx.log()


# ---- systemd -------------------------------------------------------------------------


def unit(name):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(text_of(f"systemd/{name}"))
    return parser


def exec_start(name):
    command = unit(name)["Service"]["ExecStart"].split()
    directory, program = os.path.split(command[0])
    assert directory == "/usr/local/bin", "where make install puts it"
    return [*wrapper(), os.path.join(BIN, program), *command[1:]]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_accepts_the_units(env):
    directory = env.path("units")
    os.mkdir(directory)
    for name in os.listdir(example("systemd")):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
            text = text_of(f"systemd/{name}").replace("/usr/local/bin/", f"{BIN}/")
            f.write(text.replace("/usr/local/share/doc/dshard/examples", EXAMPLES))
    paths = sorted(os.path.join(directory, name) for name in os.listdir(directory))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # Other units of the machine may have defects of their own.
    ours = [line for line in done.stdout.splitlines() if "dshard" in line]
    assert ours == [], done.stdout


def test_no_number_of_deaths_makes_systemd_give_up():
    """Its usual limits would close the handler's socket, in which pushes wait."""
    for name in ("dshard-fcgi.service", "dshard-watch.service"):
        assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"
        assert unit(name)["Service"]["Restart"] == "always"
        assert "RestartPreventExitStatus" not in unit(name)["Service"]
    assert unit("dshard-fcgi.socket")["Socket"]["TriggerLimitIntervalSec"] == "0"
    assert unit("dshard-fcgi.service")["Service"]["RestartSec"] == "20ms"


def test_watch_unit_tells_systemd_what_it_says_it_does(env):
    """As systemd would start it: Type=notify, WatchdogSec, ExecReload."""
    service = unit("dshard-watch.service")["Service"]
    assert service["Type"] == "notify" and service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    config = env.config(env.pushgateways(2))
    path = env.path("notify.sock")
    environ = {"NOTIFY_SOCKET": path, "DSHARD_CONFIG": config.path, "WATCHDOG_USEC": 400000}
    assert int(service["WatchdogSec"]) >= 10
    watch = env.watch(config, start=False, environ=environ)
    watch.command = lambda: exec_start("dshard-watch.service")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(10)
        watch.start(wait=False)
        words = ""
        while "READY=1" not in words or "WATCHDOG=1" not in words:
            words += notify.recv(4096).decode() + "\n"
        assert "2 of 2 servers are members" in words
        assert len(env.state().members()) == 2
        watch.signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded" in watch.log(), 5, "the reload")
        watch.stop()
        words = ""
        while "STOPPING=1" not in words:
            words = notify.recv(4096).decode()


def test_fcgi_units_keep_the_socket_over_a_restart(env, fleet):
    """As systemd would: the socket is its own, and the handler gets it on descriptor 0."""
    _, config = fleet
    service, sock = unit("dshard-fcgi.service")["Service"], unit("dshard-fcgi.socket")["Socket"]
    assert service["StandardInput"] == "socket" and sock["SocketMode"] == "0660"
    assert sock["ListenStream"] == "/run/dshard/fcgi.sock"
    assert f"unix:{sock['ListenStream']};" in text_of("nginx.conf")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(env.path("fcgi.sock"))
        listening.listen(128)
        handler = env.fcgi(config.state_file, start=False, listen=f"unix:{env.dir}/fcgi.sock",
                           environ={"DSHARD_STATE": config.state_file})
        handler.command = lambda: exec_start("dshard-fcgi.service")
        handler.start(stdin=listening)
        proxy, _ = nginx_example(env, handler)
        assert proxy.push("PUT", "/metrics/job/a") == 200
        handler.stop()
        with env.http(proxy) as waiting:
            waiting.send_head("GET", "/-/ready")
            handler.start(stdin=listening, wait=False)
            assert waiting.read_response().status == 200
        handler.stop()


# ---- all of them ---------------------------------------------------------------------


def test_every_example_is_tested():
    """Somewhere: a new one must be added here and to its test."""
    files = {os.path.relpath(os.path.join(where, name), EXAMPLES)
             for where, _, names in os.walk(EXAMPLES) for name in names
             if not name.endswith(".pyc")}
    assert files == {"alerts.yml", "apache-cgi.conf", "apache.conf", "cron", "dshard.yml",
                     "lighttpd.conf", "nginx-auth.conf", "nginx-upstreams", "nginx.conf",
                     "prometheus.yml", "python_push.py", "systemd/dshard-fcgi.service",
                     "systemd/dshard-fcgi.socket", "systemd/dshard-nginx.path",
                     "systemd/dshard-nginx.service", "systemd/dshard-watch.service"}


def test_examples_name_only_paths_that_are_installed():
    for name in ("cron", "systemd/dshard-watch.service", "systemd/dshard-fcgi.service"):
        for path in re.findall(r"/[\w./-]*dshard[\w.-]*", text_of(name)):
            assert path.startswith(("/usr/local/bin/", "/etc/dshard", "/etc/cron.d/",
                                    "/var/lib/dshard")), path
