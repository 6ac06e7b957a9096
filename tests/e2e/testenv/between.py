# SPDX-License-Identifier: Apache-2.0
"""A proxy in front of one Pushgateway, through which a test interferes at chosen moments."""

import http.server
import threading

from .rawhttp import RawHTTP

HOP = ("connection", "content-length", "transfer-encoding", "host", "keep-alive")


class Between:
    """env.add(Between(gateway)).  before(method, path, n) is called for each request (n: the
    how manieth of that method, from 1) and may return (status, body), which then is the
    answer; after() likewise, when the Pushgateway has answered and the client does not know
    it yet.  One request at a time."""

    name = "between"

    def __init__(self, gateway, before=None, after=None):
        self.gateway, self.before, self.after = gateway, before, after
        self.counts, self.problems = {}, []
        self._lock = threading.RLock()
        between = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def _pass(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with between._lock:
                    status, headers, data = between._serve(
                        self.command, self.path, body or None, dict(self.headers))
                if not status:
                    self.close_connection = True
                    return
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = _pass

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _hook(self, hook, method, path):
        try:
            return hook(method, path, self.counts[method]) if hook else None
        except Exception as e:  # of a test's own code: it must not pass unseen
            self.problems.append(f"{method} {path}: {e!r}")
            return None

    def _serve(self, method, path, body, headers):
        """(0, [], b"") closes the connection: the Pushgateway is gone."""
        self.counts[method] = self.counts.get(method, 0) + 1
        answer = self._hook(self.before, method, path)
        if answer:
            return answer[0], [], answer[1]
        headers = {n: v for n, v in headers.items() if n.lower() not in HOP}
        try:
            got = RawHTTP.once(self.gateway.address, method, path, body, headers)
        except (OSError, ValueError):
            return 0, [], b""
        self._hook(self.after, method, path)
        return got.status, got.headers, got.body

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def log_tail(self):
        return ""

    def all_problems(self):
        return self.problems
