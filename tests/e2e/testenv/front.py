# SPDX-License-Identifier: Apache-2.0
"""A whole frontend: nginx and dshard-fcgi on one state file, answering with redirects."""

import time

from .background import Background
from .rawhttp import RawHTTP

_CONF = """
server {
    listen 127.0.0.1:@PORT@;
    client_max_body_size 0;
    location / {
        fastcgi_pass %s;
        fastcgi_pass_request_body off;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param DSHARD_MODE redirect;
    }
}
"""


class Front:
    """Front(env, config): owner() asks where a push goes, push() goes there too."""

    def __init__(self, env, config):
        self.fcgi = env.fcgi(config.state_file)
        self.nginx = env.nginx(conf=_CONF % self.fcgi.nginx_address)
        self.http = env.http(self.nginx)

    def get(self, target):
        return RawHTTP.once(self.nginx.address, "GET", target)

    def owner(self, path="/metrics/job/a"):
        """Where a PUT is sent; None when it is answered with 503."""
        answer = self.http.request("PUT", path)
        if answer.status == 503:
            assert answer.header("Retry-After"), answer
            return None
        assert answer.status == 307, answer
        return answer.header("Location").split("/")[2]

    def push(self, path, body="m 1\n"):
        """PUTs, follows the redirect, and tells who took it."""
        address = self.owner(path)
        assert address, "503"
        answer = RawHTTP.once(address, "PUT", path, body)
        assert answer.status == 200, answer
        return address

    def path_of(self, address):
        """A path that this member owns now."""
        for i in range(2000):
            path = f"/metrics/job/j{i}"
            if self.owner(path) == address:
                return path
        raise AssertionError(f"{address} owns none of 2,000 groups")

    def time_until_moved(self, path, first, limit):
        """Asks every 20 ms until another one than `first` owns the path; the seconds."""
        began = time.monotonic()
        while self.owner(path) == first:
            assert time.monotonic() - began < limit, f"{path} stays on {first}"
            time.sleep(0.02)
        return time.monotonic() - began


class Asker(Background):
    """Asks a front for one path all the time, in a thread; `wrong` gathers every answer
    that was none of the `allowed` owners."""

    def __init__(self, front, path, allowed):
        super().__init__()
        self.front, self.path, self.allowed = front, path, set(allowed)
        self.count, self.wrong = 0, []

    def _run(self):
        while not self._stop.wait(0.005):
            try:
                owner = self.front.owner(self.path)
            except (AssertionError, OSError) as e:
                owner = repr(e)
            self.count += 1
            if owner not in self.allowed:
                self.wrong.append(owner)
