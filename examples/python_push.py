#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Pushes through a web server that redirects, with the official Python client.

client_python follows no 307, whatever handler of its own it is given; this one does.  Copy
`follow_redirects` and pass it to push_to_gateway, pushadd_to_gateway or
delete_from_gateway.  Behind nginx in proxy mode nothing of this is needed.

As a program it pushes one metric:  python_push.py http://127.0.0.1:9091 JOB
"""

import sys
import urllib.request

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway


class _Follow(urllib.request.HTTPRedirectHandler):
    """Follows 307 and 308 with the method and the body that the request had."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if code not in (307, 308):
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        # The password was for the web server; another one shall not see it.
        kept = {k: v for k, v in req.headers.items() if k.lower() != "authorization"}
        return urllib.request.Request(newurl, data=req.data, headers=kept,
                                      method=req.get_method())

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302  # before Python 3.11


def follow_redirects(url, method, timeout, headers, data):
    """A handler for prometheus_client."""

    def handle():
        request = urllib.request.Request(url, data=data, headers=dict(headers), method=method)
        with urllib.request.build_opener(_Follow).open(request, timeout=timeout) as answer:
            if answer.status >= 400:
                raise OSError(f"{method} {url}: {answer.status} {answer.reason}")

    return handle


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python_push.py URL JOB")
    registry = CollectorRegistry()
    Gauge("last_success_unixtime", "When the job last succeeded",
          registry=registry).set_to_current_time()
    push_to_gateway(sys.argv[1], job=sys.argv[2], registry=registry, handler=follow_redirects)


if __name__ == "__main__":
    main()
