# SPDX-License-Identifier: Apache-2.0
"""What goes on beside a test, in a thread."""

import threading


class Background:
    """with ...: its _run() runs in a thread, until self._stop is set at the end."""

    def __init__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        raise NotImplementedError

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
