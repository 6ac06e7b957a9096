# SPDX-License-Identifier: Apache-2.0
"""The test house: a class for each server and program, all real, all on loopback.

Tests get everything from the fixture `env` (an Env), which stops and checks what was
started.  Nothing here sleeps to synchronise: wait_until() polls with a deadline.
"""

from .config import ConfigFile
from .env import BIN, TOP, Env
from .ports import free_port
from .process import Process
from .programs import Dshard, Fcgi, Result, Watch, clean_environ
from .rawhttp import RawHTTP, Response, Stub
from .schema import check_schema
from .servers import Lighttpd, Nginx, Prometheus, Pushgateway
from .state import State, digest, murmur3
from .wait import WaitTimeout, wait_until

__all__ = [
    "BIN", "TOP", "ConfigFile", "Dshard", "Env", "Fcgi", "Lighttpd", "Nginx", "Process",
    "Prometheus", "Pushgateway", "RawHTTP", "Response", "Result", "State", "Stub",
    "WaitTimeout", "Watch", "check_schema", "clean_environ", "digest", "free_port", "murmur3",
    "wait_until",
]
