# SPDX-License-Identifier: Apache-2.0
"""Apache, as Debian packages it (apache2-bin), without Debian's configuration around it."""

import os
import signal
import subprocess

from .ports import free_port
from .process import Process
from .rawhttp import RawHTTP
from .servers import can_connect, text_of

_MODULES = "/usr/lib/apache2/modules"
# What Debian enables, as far as it matters here; "a2enmod" adds to it.
_ENABLED = ("authn_core", "authn_file", "authz_core", "authz_host", "authz_user",
            "auth_basic", "alias", "env", "reqtimeout")


class Apache(Process):
    """conf or path, and replacements, as for Nginx: a site, as in sites-enabled/.  @PORT@ and
    @DIR@ likewise.  modules: what "a2enmod" would enable, and an MPM, e.g. mpm_event, proxy, proxy_fcgi."""

    death_signal = signal.SIGTERM  # the parent then ends its children
    expected_exits = (0,)

    def __init__(self, directory, conf="", path=None, replacements=(), modules=(), port=None,
                 host="127.0.0.1"):
        self.host, self.port = host, port or free_port()
        self.address = f"{host}:{self.port}"
        super().__init__(f"apache-{self.port}", directory)
        self.conf = os.path.join(self.dir, f"apache-{self.port}.conf")
        site = text_of(conf, path, replacements)
        site = site.replace("@PORT@", str(self.port)).replace("@DIR@", self.dir)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(self._head(modules) + site)

    def _head(self, modules):
        head = "".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so\n"
                       for name in (*_ENABLED, *modules))
        if os.getuid() == 0:
            # Workers would run as a user who cannot enter our directory.
            head += "User www-data\nGroup www-data\n"
        return head + f"""
ServerRoot {self.dir}
ServerName localhost
DefaultRuntimeDir {self.dir}
PidFile {self.dir}/apache-{self.port}.pid
ErrorLog /dev/stderr
Mutex posixsem
StartServers 1
# apache2.conf of Debian
<Directory />
    AllowOverride None
    Require all denied
</Directory>
"""

    def command(self):
        return ["apache2", "-D", "FOREGROUND", "-f", self.conf]

    def check(self):
        """What "apache2ctl configtest" says."""
        done = subprocess.run(["apache2", "-t", "-f", self.conf], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout.strip()

    def is_ready(self):
        return can_connect(self.host, self.port)

    def request(self, method, target, body=None, headers=(), timeout=10):
        return RawHTTP.once(self.address, method, target, body, headers, timeout)
