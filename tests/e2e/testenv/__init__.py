# SPDX-License-Identifier: Apache-2.0
"""The test house: a class for each server and program, all real, all on loopback.

Tests get everything from the fixture `env` (an Env), which stops and checks what was
started.  Nothing here sleeps to synchronise: wait_until() polls with a deadline.
"""

from .apache import Apache
from .config import ConfigFile
from .consul import Consul, ConsulCluster, ConsulPorts, Tls, find_consul, need_consul
from .env import BIN, TOP, Env
from .fakeconsul import Answer, FakeConsul, entry
from .ports import free_port
from .process import Process
from .programs import Dshard, Fcgi, Result, Watch, clean_environ
from .rawhttp import RawHTTP, Response, Stub
from .schema import check_schema
from .servers import HAProxy, Lighttpd, Nginx, Prometheus, Pushgateway
from .state import State, digest, murmur3
from .wait import WaitTimeout, wait_until

__all__ = [
    "BIN", "TOP", "Answer", "Apache", "ConfigFile", "Consul", "ConsulCluster", "ConsulPorts",
    "Dshard", "Env", "FakeConsul", "Fcgi", "HAProxy", "Lighttpd", "Nginx", "Process",
    "Prometheus", "Pushgateway", "RawHTTP", "Response", "Result", "State", "Stub", "Tls",
    "WaitTimeout", "Watch", "check_schema", "clean_environ", "digest", "entry", "find_consul",
    "free_port", "murmur3", "need_consul", "wait_until",
]
