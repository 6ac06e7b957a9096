# SPDX-License-Identifier: Apache-2.0
"""tests/run: what goes wrong in a unit test is counted, whatever way it goes wrong."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys

import pytest

RUN = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "run"))


def load():
    loader = importlib.machinery.SourceFileLoader("dshard_run", RUN)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("dshard_run", loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("script, passed, failed", [
    ("echo '[       OK ] a'; echo '[       OK ] b'", 2, 0),
    ("echo '[       OK ] a'; echo '[  FAILED  ] b'; echo '[  FAILED  ] b'; exit 1", 1, 1),
    ("echo '[       OK ] a'; kill -SEGV $$", 1, 1),
    ("echo '[       OK ] a'; exit 99", 1, 1),
    ("exit 0", 0, 1),
    ("echo '[       OK ] a'; echo 'x.c:1:2: runtime error: overflow'", 1, 1),
    ("echo '[       OK ] a'; echo '==1==ERROR: LeakSanitizer: detected'", 1, 1),
])
def test_unit_results_are_counted(tmp_path, script, passed, failed):
    path = tmp_path / "test_x"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    count, output = load().unit_one(str(path), dict(os.environ))
    assert (count.passed, count.failed) == (passed, failed)
    assert bool(output) == bool(failed)


def test_a_test_that_was_not_built_fails():
    count, _ = load().unit_one("/nowhere/test_x", dict(os.environ))
    assert (count.passed, count.failed) == (0, 1)


def test_a_test_that_hangs_fails(tmp_path):
    path = tmp_path / "test_x"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    run = load()
    run.UNIT_TIMEOUT_S = 0.2
    count, output = run.unit_one(str(path), dict(os.environ))
    assert count.failed == 1 and "took longer" in output


def test_an_unknown_kind_of_test_is_refused():
    done = subprocess.run([sys.executable, RUN, "--build", "x", "--bin", "x", "unti"],
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and "'unti'" in done.stderr
