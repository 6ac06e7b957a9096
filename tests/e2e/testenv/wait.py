# SPDX-License-Identifier: Apache-2.0
"""Waiting for something to become true, with a deadline and words for the failure."""

import os
import time

# Sanitizers and valgrind are slower: DSHARD_TEST_SLOW=3 makes every deadline three times
# as long.  Tests that measure a promised time must not use wait_until's deadline for it.
SLOW = float(os.environ.get("DSHARD_TEST_SLOW", "1"))

# `make torture`: outages last as long as they do in earnest.
LONG = os.environ.get("DSHARD_TEST_LONG") == "1"


class WaitTimeout(AssertionError):
    pass


def wait_until(predicate, timeout=10.0, what="the condition", every=0.02):
    """Returns the predicate's first true value.

    An OSError, ValueError, KeyError or LookupError of the predicate counts as "not yet".
    """
    deadline = time.monotonic() + timeout * SLOW
    last = None
    while True:
        try:
            last = predicate()
            if last:
                return last
        except (OSError, ValueError, LookupError) as e:
            last = e
        if time.monotonic() >= deadline:
            raise WaitTimeout(f"waited {timeout * SLOW:g} s for {what}; last: {last!r}")
        time.sleep(every)
