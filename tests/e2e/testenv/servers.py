# SPDX-License-Identifier: Apache-2.0
"""The servers around dshard, as Debian packages them."""

import base64
import json
import os
import re
import signal
import socket
import urllib.parse
import warnings

from .ports import free_port
from .process import Process
from .rawhttp import RawHTTP
from .wait import wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt  # for bcrypt; gone in Python 3.13, which is not Debian 12's


def can_connect(host, port):
    with socket.create_connection((host, port), 1):
        return True


def replace_all(text, replacements):
    """Each text to replace must be there: an example that changed fails its test."""
    for old, new in replacements:
        assert old in text, f"{old!r} is not in the file"
        text = text.replace(old, new)
    return text


def text_of(conf, path, replacements):
    if path:
        with open(path, encoding="utf-8") as f:
            conf = f.read()
    return replace_all(conf, replacements)


class Pushgateway(Process):
    """persist: keep groups in a file of its own directory, so that restart() has them.
    users: {"name": "password"} asks for basic auth.  args: more flags."""

    def __init__(self, directory, host="127.0.0.1", port=None, persist=False,
                 users=None, args=(), prefix=""):
        self.host, self.port = host, port or free_port()
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        super().__init__(f"pushgateway-{host}-{self.port}", directory)
        self.prefix = prefix
        self.persistence = os.path.join(self.dir, f"groups-{self.port}") if persist else ""
        self.users = users or {}
        self.args = list(args)

    def command(self):
        args = ["prometheus-pushgateway", f"--web.listen-address={self.address}",
                f"--persistence.file={self.persistence}", "--persistence.interval=100ms"]
        if self.users:
            args.append(f"--web.config.file={self._web_config()}")
        if self.prefix:
            args.append(f"--web.route-prefix={self.prefix}")
        return args + self.args

    def _web_config(self):
        path = os.path.join(self.dir, f"web-{self.port}.yml")
        with open(path, "w", encoding="utf-8") as f:
            f.write("basic_auth_users:\n")
            for user, password in self.users.items():
                f.write(f"  {user}: {crypt.crypt(password, '$2b$04$' + 'a' * 21 + 'e')}\n")
        return path

    @property
    def auth(self):
        """Headers for the first user; none when nobody needs to say who they are."""
        for user, password in self.users.items():
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            return {"Authorization": f"Basic {token}"}
        return {}

    def is_ready(self):
        answer = self.request("GET", f"{self.prefix}/-/ready")
        return answer.status == 200

    def request(self, method, target, body=None, headers=None, timeout=10):
        return RawHTTP.once(self.address, method, target, body,
                            {**self.auth, **(headers or {})}, timeout)

    def push(self, path, body="m 1\n", method="PUT"):
        """path: the whole target, e.g. /metrics/job/a; its status, which must be 2xx."""
        answer = self.request(method, path, body)
        assert answer.status // 100 == 2, f"{method} {path}: {answer}"
        return answer.status

    def groups_raw(self):
        answer = self.request("GET", f"{self.prefix}/api/v1/metrics")
        assert answer.status == 200, answer
        return answer.json()["data"] or []

    def groups(self):
        """The label sets of its groups: a list of dicts, in no order.  Groups without a
        successful push (phantoms) count too."""
        return [g["labels"] for g in self.groups_raw()]

    def has(self, **labels):
        return labels in self.groups()

    def metrics(self):
        return self.request("GET", f"{self.prefix}/metrics").text

    def wipe(self):
        """Deletes every group, one by one."""
        for labels in self.groups():
            rest = {k: v for k, v in labels.items() if k != "job"}
            path = "/metrics/job@base64/" + _b64(labels["job"])
            path += "".join(f"/{k}@base64/{_b64(v)}" for k, v in rest.items())
            self.request("DELETE", self.prefix + path)


def _b64(value):
    return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=") or "="


class Nginx(Process):
    """conf: a whole nginx.conf, or only what stands in `http {}` (a server block).
    Give `conf` or `path`, and replacements (old, new) that must each find something."""

    death_signal = signal.SIGTERM  # the master then ends its workers
    expected_exits = (0,)

    def __init__(self, directory, conf="", path=None, replacements=(), port=None,
                 workers=1, host="127.0.0.1"):
        self.host, self.port = host, port or free_port()
        self.address = f"{host}:{self.port}"
        super().__init__(f"nginx-{self.port}", directory)
        self.workers = workers
        self.conf = os.path.join(self.dir, f"nginx-{self.port}.conf")
        self.access_log = os.path.join(self.dir, f"access-{self.port}.log")
        self.write(conf, path, replacements)

    def write(self, conf="", path=None, replacements=()):
        """PORT in the text stands for this server's port, DIR for its directory."""
        text = text_of(conf, path, replacements)
        text = text.replace("@PORT@", str(self.port)).replace("@DIR@", self.dir)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(self._whole(text))

    def _whole(self, text):
        temp = "".join(f"    {kind}_temp_path {self.dir}/tmp-{kind};\n" for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        temp += "    default_type application/octet-stream;\n"  # as Debian's nginx.conf has it
        if "access_log" not in text:
            temp += f"    access_log {self.access_log};\n"
        if not re.search(r"^\s*http\s*\{", text, re.M):
            text = "http {\n" + text + "\n}\n"
        if not re.search(r"^\s*events\s*\{", text, re.M):
            text = "events { worker_connections 1024; }\n" + text
        text = re.sub(r"^(\s*)http\s*\{", lambda m: m.group(0) + "\n" + temp, text,
                      count=1, flags=re.M)
        head = "daemon off;\n"
        for name, value in (("user", self._user()), ("pid", f"{self.dir}/nginx.pid"),
                            ("worker_processes", self.workers),
                            ("error_log", "stderr notice")):
            if value and not re.search(rf"^\s*{name}\s", text, re.M):
                head += f"{name} {value};\n"
        return head + text

    @staticmethod
    def _user():
        # Started by root, workers would run as a user who cannot enter our directory.
        return "root" if os.getuid() == 0 else None

    def command(self):
        return ["nginx", "-p", self.dir, "-e", "stderr", "-c", self.conf]

    def is_ready(self):
        """It opens its ports one by one: the first says nothing about the last."""
        with open(self.conf, encoding="utf-8") as f:
            listens = re.findall(r"\blisten (127\.[\d.]+):(\d+)", f.read())
        return (all(can_connect(host, int(port)) for host, port in listens)
                and can_connect(self.host, self.port))

    def reload(self):
        self.signal(signal.SIGHUP)

    def request(self, method, target, body=None, headers=(), timeout=10):
        return RawHTTP.once(self.address, method, target, body, headers, timeout)


class Lighttpd(Process):
    """conf or path as for Nginx; @PORT@ and @DIR@ likewise.  Runs in the foreground."""

    death_signal = signal.SIGTERM
    expected_exits = (0,)

    def __init__(self, directory, conf="", path=None, replacements=(), port=None,
                 host="127.0.0.1", environ=None):
        self.host, self.port = host, port or free_port()
        self.address = f"{host}:{self.port}"
        super().__init__(f"lighttpd-{self.port}", directory)
        self.conf = os.path.join(self.dir, f"lighttpd-{self.port}.conf")
        self._environ = environ
        text = text_of(conf, path, replacements)
        text = text.replace("@PORT@", str(self.port)).replace("@DIR@", self.dir)
        if not re.search(r"^\s*server\.upload-dirs", text, re.M):
            text += f'\nserver.upload-dirs = ( "{self.dir}" )\n'
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text)

    def environ(self):
        return self._environ

    def command(self):
        return ["lighttpd", "-D", "-f", self.conf]

    def is_ready(self):
        return can_connect(self.host, self.port)

    def request(self, method, target, body=None, headers=(), timeout=10):
        return RawHTTP.once(self.address, method, target, body, headers, timeout)


class HAProxy(Process):
    """conf: its configuration behind the usual timeouts, @PORT@ as for Nginx."""

    death_signal = signal.SIGTERM
    expected_exits = (0, 128 + signal.SIGTERM)

    def __init__(self, directory, conf):
        self.host, self.port = "127.0.0.1", free_port()
        self.address = f"{self.host}:{self.port}"
        super().__init__(f"haproxy-{self.port}", directory)
        self.conf = os.path.join(self.dir, f"haproxy-{self.port}.cfg")
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write("defaults\n  mode http\n  timeout connect 10s\n  timeout client 30s\n"
                    "  timeout server 30s\n" + conf.replace("@PORT@", str(self.port)))

    def command(self):
        return ["haproxy", "-db", "-f", self.conf]

    def is_ready(self):
        return can_connect(self.host, self.port)


class Prometheus(Process):
    """conf: prometheus.yml as text; or path, with replacements."""

    def __init__(self, directory, conf="", path=None, replacements=(), args=()):
        self.host, self.port = "127.0.0.1", free_port()
        self.address = f"{self.host}:{self.port}"
        super().__init__(f"prometheus-{self.port}", directory)
        self.args = list(args)
        self.conf = os.path.join(self.dir, f"prometheus-{self.port}.yml")
        text = text_of(conf, path, replacements)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text.replace("@PORT@", str(self.port)).replace("@DIR@", self.dir))

    def command(self):
        return ["prometheus", f"--config.file={self.conf}",
                f"--storage.tsdb.path={self.dir}/data-{self.port}",
                f"--web.listen-address={self.address}", "--web.enable-lifecycle",
                "--log.level=warn"] + self.args

    def is_ready(self):
        return RawHTTP.once(self.address, "GET", "/-/ready").status == 200

    def api(self, path, **params):
        query = "?" + urllib.parse.urlencode(params) if params else ""
        answer = RawHTTP.once(self.address, "GET", f"/api/v1/{path}{query}")
        content = json.loads(answer.body)
        assert content["status"] == "success", content
        return content["data"]

    def query(self, expression):
        """An instant vector as a list of (labels, float)."""
        result = self.api("query", query=expression)["result"]
        return [(r["metric"], float(r["value"][1])) for r in result]

    def targets(self):
        """The active targets: {"host:port": "up" | "down" | "unknown"}."""
        found = self.api("targets", state="active")["activeTargets"]
        return {t["labels"]["instance"]: t["health"] for t in found}

    def wait_query(self, expression, timeout=20):
        return wait_until(lambda: self.query(expression), timeout, f"a result of {expression}")
