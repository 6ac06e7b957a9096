# SPDX-License-Identifier: Apache-2.0
"""The group that our canonical URL names is the one that the raw URL names: asked of a
live Pushgateway for every target of grouping.tsv that it accepts."""

import json
import os

import pytest

from testenv import TOP, wait_until

PUSHES = ("PUT", "POST", "DELETE")


def read_rows():
    """(target, labels) of each push that a Pushgateway accepted, without doubles."""
    rows = {}
    with open(os.path.join(TOP, "tests", "data", "grouping.tsv"), encoding="utf-8") as f:
        for line in f:
            if line.startswith("#"):
                continue
            target, method, status, labels, _ = line.rstrip("\n").split("\t", 4)
            if method in PUSHES and status.startswith("2") and labels.startswith("{"):
                rows[target] = json.loads(labels)
    return list(rows.items())


ROWS = read_rows()
WITH_NUL = [(t, l) for t, l in ROWS if any("\0" in v for v in l.values())]
WITHOUT_NUL = [row for row in ROWS if row not in WITH_NUL]


def look_up(env, address, targets):
    return env.dshard("ring", "lookup", "--members", address, "-o", "json", "-",
                      input="".join(f"{t}\n" for t in targets))


@pytest.fixture(scope="module")
def gateway(module_env):
    return module_env.pushgateway()


@pytest.fixture(scope="module")
def canonical(module_env, gateway):
    """From each target to what `ring lookup` says of it."""
    result = look_up(module_env, gateway.address, [t for t, _ in WITHOUT_NUL]).ok()
    return {r["path"]: r for r in result.json()["results"]}


def put(gateway, target):
    gateway.push(target)
    return wait_until(gateway.groups, 5, f"the group of {target}")


def delete(gateway, target):
    """A DELETE is answered before it is done."""
    gateway.push(target, method="DELETE", body=None)
    wait_until(lambda: gateway.groups() == [], 5, f"DELETE {target} to remove the group")


def test_the_vectors_are_all_there():
    assert len(WITHOUT_NUL) >= 55
    assert len(WITH_NUL) == 1


@pytest.mark.parametrize("target, labels", WITHOUT_NUL, ids=[t for t, _ in WITHOUT_NUL])
def test_raw_and_canonical_url_name_one_group(gateway, canonical, target, labels):
    url = canonical[target]["url"]
    assert canonical[target]["labels"] == labels
    gateway.wipe()
    wait_until(lambda: gateway.groups() == [], 5, "an empty Pushgateway")
    try:
        assert put(gateway, target) == [labels]
        assert put(gateway, url) == [labels]  # again the same group, not a second one
        delete(gateway, url)
        assert put(gateway, url) == [labels]
        delete(gateway, target)
    finally:
        gateway.wipe()


def test_a_value_with_a_nul_byte_is_refused_although_a_pushgateway_takes_it(
        module_env, gateway):
    for target, _ in WITH_NUL:
        result = look_up(module_env, gateway.address, [target])
        assert result.rc == 1
        assert "NUL byte" in result.stderr
