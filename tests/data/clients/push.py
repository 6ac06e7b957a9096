#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""push.py URL HANDLER PYTHON_PUSH.PY - client_python; see clients.py for what it reads and says."""

import importlib.util
import sys

import prometheus_client as client

SPEC = importlib.util.spec_from_file_location("python_push", sys.argv[3])
EXAMPLE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(EXAMPLE)
HANDLER = {"default": client.exposition.default_handler,
           "passthrough": client.exposition.passthrough_redirect_handler,
           "example": EXAMPLE.follow_redirects}[sys.argv[2]]
PUSH = {"PUT": client.push_to_gateway, "POST": client.pushadd_to_gateway}


def push(method, job, size):
    key = {"instance": "db1", "zone": "eu"}
    if method == "DELETE":
        client.delete_from_gateway(sys.argv[1], job, key, handler=HANDLER)
        return
    registry = client.CollectorRegistry()
    client.Gauge("rows", "h" * size, registry=registry).set(3)
    PUSH[method](sys.argv[1], job, registry, key, handler=HANDLER)


for line in sys.stdin:
    verb, name, length = line.split()
    try:
        push(verb, name, int(length))
        print("ok", flush=True)
    except OSError as e:
        print("error", repr(str(e)), flush=True)
