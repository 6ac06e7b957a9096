# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests, and the logs beside a failure."""

import os
import shutil

import pytest

from testenv import BIN, Env

# Not one of them may be missing: a test that does not run proves nothing.
NEEDED = ("clang++", "curl", "haproxy", "lighttpd", "nginx", "node", "prometheus",
          "prometheus-pushgateway", "ruby", "spawn-fcgi", "wget")


def pytest_sessionstart(session):
    if hasattr(session.config, "workerinput"):
        return  # the first process has looked
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name)]
    missing += [os.path.join(BIN, name) for name in ("dshard", "dshard-fcgi")
                if not os.access(os.path.join(BIN, name), os.X_OK)]
    if missing:
        raise pytest.UsageError("missing, and needed by the tests: " + ", ".join(missing))


def _environment():
    env = Env()
    yield env
    problems = env.close()
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def env():
    """A fresh Env for this test."""
    yield from _environment()


@pytest.fixture(scope="module")
def module_env():
    """An Env that the tests of one file share; for servers that none of them harms."""
    yield from _environment()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for name in ("env", "module_env"):
        env = getattr(item, "funcargs", {}).get(name)
        if env is None:
            continue
        for title, log in getattr(env, "closing_logs", None) or env.logs():
            report.sections.append((f"log of {title}", log))
