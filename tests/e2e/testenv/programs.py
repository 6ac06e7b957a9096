# SPDX-License-Identifier: Apache-2.0
"""Our own programs: dshard (once, or as `watch` in the background) and dshard-fcgi."""

import json
import os
import shlex
import socket
import subprocess

from .ports import free_port
from .process import Process, find_reports
from .state import State, now_ms
from .wait import SLOW

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BIN = os.path.abspath(os.environ.get("DSHARD_BIN", os.path.join(TOP, "bin")))


def wrapper():
    """DSHARD_WRAPPER="valgrind -q" stands in front of our programs."""
    return shlex.split(os.environ.get("DSHARD_WRAPPER", ""))


def clean_environ(**more):
    """The environment without anything that changes what dshard does; None removes."""
    drop = ("DSHARD_", "CONSUL_", "NOTIFY_", "WATCHDOG_", "LISTEN_", "JOURNAL_")
    names = {"NO_COLOR", "TERM", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
             "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(drop) and k not in names}
    env["LC_ALL"] = "C.UTF-8"
    env.update({k: str(v) for k, v in more.items() if v is not None})
    return env


class Result:
    def __init__(self, args, rc, stdout, stderr):
        self.args, self.rc, self.stdout, self.stderr = args, rc, stdout, stderr

    def json(self):
        return json.loads(self.stdout)

    def ok(self):
        """Itself when the exit status is 0; fails with the whole output otherwise."""
        assert self.rc == 0, self
        return self

    def __repr__(self):
        return (f"`{shlex.join(self.args)}` exits {self.rc}\n"
                f"--- stdout\n{self.stdout[-4000:]}\n--- stderr\n{self.stderr[-4000:]}")


class Dshard:
    """dshard("ring", "show", config=FILE) runs it in an empty directory and waits.

    config: a path or a ConfigFile, put in front as --config.  A sanitizer's report is a
    failure whatever the exit status is."""

    def __init__(self, directory):
        self.cwd = os.path.join(directory, "cwd")
        os.makedirs(self.cwd, exist_ok=True)

    def __call__(self, *args, config=None, input=None, environ=None, timeout=30,
                 stdout=subprocess.PIPE, cwd=None):
        if config is not None:
            args = ("--config", getattr(config, "path", config)) + args
        command = wrapper() + [os.path.join(BIN, "dshard"), *map(str, args)]
        done = subprocess.run(
            command, input=None if input is None else _bytes(input), stdout=stdout,
            stdin=subprocess.DEVNULL if input is None else None,
            stderr=subprocess.PIPE, cwd=cwd or self.cwd, env=clean_environ(**(environ or {})),
            timeout=timeout * SLOW, check=False, start_new_session=True)
        result = Result(["dshard", *map(str, args)], done.returncode,
                        (done.stdout or b"").decode("utf-8", "surrogateescape"),
                        done.stderr.decode("utf-8", "surrogateescape"))
        assert not find_reports(result.stderr), result
        assert result.rc >= 0, f"ended by a signal: {result}"
        return result


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


class Watch(Process):
    """`dshard watch`; ready once it has written the state file."""

    ours = True
    expected_exits = (0,)

    def __init__(self, directory, config, args=(), environ=None, name="watch"):
        super().__init__(name, directory)
        self.config = config
        self.state = State(config.state_file)
        self.args = list(args)
        self._environ = environ or {}
        self.started_ms = 0

    def command(self):
        self.started_ms = now_ms()
        return wrapper() + [os.path.join(BIN, "dshard"), "--config", self.config.path,
                            "watch", *self.args]

    def environ(self):
        return clean_environ(**self._environ)

    def is_ready(self):
        return self.state.load()["checked_at"] >= self.started_ms


class Fcgi(Process):
    """`dshard-fcgi`.  listen: "unix:PATH" or "HOST:PORT"; default a socket in its directory."""

    ours = True
    expected_exits = (0,)

    def __init__(self, directory, state, listen=None, args=(), environ=None, name="fcgi"):
        super().__init__(name, directory)
        self.state = getattr(state, "path", getattr(state, "state_file", state))
        self.listen = listen or f"unix:{self.dir}/{name}.sock"
        self.args = list(args)
        self._environ = environ or {}

    @classmethod
    def tcp(cls, directory, state, **more):
        return cls(directory, state, listen=f"127.0.0.1:{free_port()}", **more)

    @property
    def nginx_address(self):
        """As nginx wants it in fastcgi_pass."""
        return self.listen

    def command(self):
        return wrapper() + [os.path.join(BIN, "dshard-fcgi"), "--listen", self.listen,
                            "--state", self.state, *self.args]

    def environ(self):
        return clean_environ(**self._environ)

    def connect(self, timeout=5):
        """A connected socket that speaks FastCGI."""
        if self.listen.startswith("unix:"):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(timeout)
            sock.connect(self.listen[len("unix:"):])
            return sock
        host, port = self.listen.rsplit(":", 1)
        return socket.create_connection((host.strip("[]"), int(port)), timeout)

    def is_ready(self):
        with self.connect():
            return True
