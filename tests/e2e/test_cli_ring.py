# SPDX-License-Identifier: Apache-2.0
"""`ring show`, `ring lookup` and `ring plan` on state files written by hand."""

import bisect
import json
import re

import pytest

from testenv import check_schema, digest, free_port, murmur3
from testenv.state import owner

MEMBERS = [("10.0.0.1:9091", 1), ("10.0.0.2:9091", 1), ("10.0.0.3:9091", 3)]
ROWS = [{"address": a, "weight": w} for a, w in MEMBERS]


@pytest.fixture
def state(env):
    state = env.state()
    state.write(ROWS, generation=7)
    return state


def look_up(env, state, *paths, **options):
    result = env.dshard("ring", "lookup", "--state", state.path, *paths, **options)
    return [line.split("\t") for line in result.stdout.splitlines()], result


# ---- show ----------------------------------------------------------------------------


def test_show_is_a_table_of_servers_and_a_line_about_the_ring(env, state):
    lines = env.dshard("ring", "show", "--state", state.path).ok().stdout.splitlines()
    assert lines[0].split() == ["SERVER", "INTENT", "HEALTH", "MEMBER", "SINCE", "SHARE",
                                "POINTS"]
    assert [line.split()[:4] for line in lines[1:4]] == [
        [a, "in", "up", "yes"] for a, _ in MEMBERS]
    assert sum(float(line.split()[5].rstrip("%")) for line in lines[1:4]) == pytest.approx(
        100, abs=0.2)
    assert lines[-1] == f"3 members, generation 7, digest {digest(MEMBERS)}"
    assert env.dshard("ring", "--state", state.path).stdout.splitlines() == lines


def test_show_as_json_has_its_frozen_shape(env, state):
    content = env.dshard("ring", "-o", "json", "--state", state.path).ok().json()
    check_schema("ring-show", content)
    assert [s["address"] for s in content["servers"]] == [a for a, _ in MEMBERS]
    assert sum(s["share_ppm"] for s in content["servers"]) == pytest.approx(1e6, abs=3)
    assert [s["points"] for s in content["servers"]] == [500, 500, 1500]
    assert content["servers"][2]["share_ppm"] > 500_000


def test_show_tells_the_three_facts_apart(env):
    state = env.state()
    state.write(
        [{"address": "a:1", "health": "down", "why": "connect: refused"},
         {"address": "b:1", "member": False, "health": "held", "flaps": [1, 2],
          "hold_until": 4102444800000},
         {"address": "c:1", "member": False, "intent": "draining"},
         {"address": "d:1", "member": False, "intent": "out", "health": "new"}],
        frozen={"reason": "1 of 2 healthy servers is left", "since": 1})
    content = env.dshard("ring", "show", "-o", "json", "--state", state.path).ok().json()
    check_schema("ring-show", content)
    assert [(s["intent"], s["health"], s["member"]) for s in content["servers"]] == [
        ("in", "down", True), ("in", "held", False), ("draining", "up", False),
        ("out", "new", False)]
    assert content["frozen"]["reason"] == "1 of 2 healthy servers is left"
    wide = env.dshard("ring", "show", "-o", "wide", "--state", state.path).ok().stdout
    assert "connect: refused" in wide and "frozen: 1 of 2" in wide
    assert wide.splitlines()[1].split()[:4] == ["a:1", "in", "down", "yes"]


def test_show_of_an_empty_ring_is_a_result(env):
    state = env.state()
    state.write([{"address": "a:1", "member": False, "health": "new"}], generation=0)
    assert "0 members" in env.dshard("ring", "--state", state.path).ok().stdout
    state.write([], generation=0)
    content = env.dshard("ring", "-o", "json", "--state", state.path).ok().json()
    assert check_schema("ring-show", content)["servers"] == []


def test_show_file_sd_lists_every_server_that_is_not_out(env):
    state = env.state()
    state.write(["a:1", {"address": "b:1", "member": False, "intent": "draining"},
                 {"address": "c:1", "member": False, "intent": "out"},
                 {"address": "d:1", "member": False, "intent": "joining"}])
    groups = json.loads(env.dshard("ring", "-o", "file-sd", "--state", state.path).ok().stdout)
    assert sorted(t for g in groups for t in g["targets"]) == ["a:1", "b:1", "d:1"]
    names = {n for g in groups for n in g.get("labels", {})}
    assert all(n.startswith("__meta_dshard_") or n in ("__scheme__", "__metrics_path__")
               for n in names)


def test_words_from_the_state_cannot_forge_lines(env):
    state = env.state()
    state.write([{"address": "a:1", "health": "down", "why": "x\ny \x1b[31mred"}])
    for form in ("text", "wide", "json"):
        out = env.dshard("ring", "-o", form, "--state", state.path)
        assert "\x1b" not in out.stdout and "\ny " not in out.stdout, out


# ---- lookup --------------------------------------------------------------------------


def test_lookup_names_the_owner_of_each_path(env, state):
    paths = [f"/metrics/job/job{i}/instance/host-{i}" for i in range(200)]
    rows, result = look_up(env, state, *paths)
    result.ok()
    assert rows == [[owner(MEMBERS, p.encode()), p] for p in paths]
    assert len({r[0] for r in rows}) == 3


def test_lookup_of_all_spellings_of_one_group_names_one_owner(env, state):
    spellings = ["/metrics/job/a/x/1/y/2", "/metrics/job/a/y/2/x/1",
                 "/metrics/job@base64/YQ/x@base64/MQ/y/2", "/metrics/job/%61/y/%32/x/1?q=1",
                 "/metrics%2Fjob/a/x/1/y/2", "/metrics/job/a/x/9/y/2/x/1"]
    rows, result = look_up(env, state, *spellings)
    assert {r[0] for r in rows} == {owner(MEMBERS, b"/metrics/job/a/x/1/y/2")}, result
    assert [r[1] for r in rows] == spellings


def test_lookup_reads_paths_from_stdin(env, state):
    rows, result = look_up(env, state, "-", input="/metrics/job/a\n\n/metrics/job/b\r\n"
                                                  "/metrics/job/c")
    result.ok()
    assert [r[1] for r in rows] == ["/metrics/job/a", "/metrics/job/b", "/metrics/job/c"]
    assert rows[0][0] == owner(MEMBERS, b"/metrics/job/a")


def test_lookup_of_very_many_paths_is_complete(env, state):
    paths = [f"/metrics/job/a{i}" for i in range(50_000)]
    rows, result = look_up(env, state, "-", input="\n".join(paths) + "\n")
    result.ok()
    assert [r[1] for r in rows] == paths


REFUSED = ["/metrics/job@base64/!!!", "/metrics/job/a/x@base64/_w", "/metrics/job/%ff",
           "/metrics/job/a//x/1", "/metrics/job/a/x", "/metrics/job/", "/metrics/job//x/1",
           "/metrics/job/a/__x/1", "/metrics/job/a/0x/1", "/metrics/job/a/../b/x",
           "/metrics/job/a%2F%2Fx/1", "/metrics/job/a/x/%00", "/other", "relative", ""]


@pytest.mark.parametrize("path", REFUSED)
def test_lookup_of_a_path_that_is_refused_says_why_and_goes_on(env, state, path):
    rows, result = look_up(env, state, path, "/metrics/job/good")
    assert result.rc == 1, result
    assert rows == [["-", path], [owner(MEMBERS, b"/metrics/job/good"), "/metrics/job/good"]]
    reasons = result.stderr.splitlines()
    assert len(reasons) == 2 and all(r.startswith("dshard: ") for r in reasons), result
    assert "1 path refused" in reasons[-1]


def test_lookup_of_a_path_that_is_too_long_is_refused(env, state):
    rows, result = look_up(env, state, "/metrics/job/" + "a" * 9000)
    assert result.rc == 1 and rows[0][0] == "-"


def test_lookup_does_not_cut_a_path_at_a_nul_byte(env, state):
    rows, result = look_up(env, state, "-", input=b"/metrics/job/a\0/x/1\n")
    assert result.rc == 1 and rows[0][0] == "-", result


def test_lookup_as_json_has_its_frozen_shape(env, state):
    result = env.dshard("ring", "lookup", "-o", "json", "--state", state.path,
                        "/metrics/job/a/x@base64/w7wvYg", "/metrics/job/%ff")
    assert result.rc == 1
    good, bad = check_schema("ring-lookup", result.json())["results"]
    assert good["labels"] == {"job": "a", "x": "\u00fc/b"}
    assert good["key"] == "/metrics/job/a/x/\u00fc/b"
    assert good["hash"] == murmur3(good["key"].encode())
    assert good["owner"] == owner(MEMBERS, good["key"].encode())
    assert good["url"] == "/metrics/job/a/x@base64/w7wvYg"
    assert bad["owner"] is None and bad["path"] == "/metrics/job/%ff"


def test_lookup_explains_itself(env, state):
    out = env.dshard("ring", "lookup", "--explain", "--state", state.path,
                     "/metrics/job/a/b@base64/eA%3D%3D").ok().stdout
    for words in ('job="a"', 'b="x"', '"/metrics/job/a/b/x"',
                  f"{murmur3(b'/metrics/job/a/b/x'):08x}"):
        assert words in out, out


def test_lookup_for_other_members_needs_no_file(env):
    members = [("a:1", 1), ("b:1", 2), ("[::1]:9091", 1)]
    paths = [f"/metrics/job/j{i}" for i in range(50)]
    result = env.dshard("ring", "lookup", "--members", "b:1=2,a:1", "--members",
                        "[0:0::1]:9091", *paths).ok()
    assert result.stdout.splitlines() == [
        f"{owner(members, p.encode())}\t{p}" for p in paths]


@pytest.mark.parametrize("replicas", ["0", "-1", "1.5", "", "10001", "4294967296"])
def test_lookup_refuses_replicas_that_make_no_ring(env, replicas):
    result = env.dshard("ring", "lookup", "--members", "a:1", "--replicas", replicas,
                        "/metrics/job/a")
    assert result.rc == 2 and "replicas" in result.stderr, result
    assert result.stdout == ""


def test_lookup_without_members_exits_1(env):
    state = env.state()
    state.write([{"address": "a:1", "member": False}])
    rows, result = look_up(env, state, "/metrics/job/a")
    assert result.rc == 1 and rows == [] and "no members" in result.stderr


def test_lookup_reads_the_state_file_and_nothing_else(env, state):
    # No configuration anywhere, and an owner that cannot be reached.
    look_up(env, state, "/metrics/job/a")[1].ok()


# ---- plan ----------------------------------------------------------------------------


class Owners:
    """owner() for many keys: the points are sorted once."""

    def __init__(self, members):
        points = {}
        for address, weight in sorted(members):
            for i in range(500 * weight):
                points[murmur3(f"{i}{address}".encode())] = address
        self.hashes, self.points = sorted(points), points

    def __call__(self, value):
        i = bisect.bisect_right(self.hashes, value)
        return self.points[self.hashes[i % len(self.hashes)]]


def moved_ppm(before, after, n=200_000):
    """Measured at evenly spread hashes."""
    old, new = Owners(before), Owners(after)
    step = 2 ** 32 // n
    return sum(old(h) != new(h) for h in range(0, 2 ** 32, step)) * 1e6 / n


PLANS = [
    (["--add", "10.0.0.4:9091"], MEMBERS + [("10.0.0.4:9091", 1)]),
    (["--remove", "10.0.0.1:9091"], MEMBERS[1:]),
    (["--add", "10.0.0.4:9091=2,10.0.0.5:9091", "--remove", "10.0.0.2:9091"],
     [MEMBERS[0], MEMBERS[2], ("10.0.0.4:9091", 2), ("10.0.0.5:9091", 1)]),
    (["--remove", "10.0.0.2:9091", "--remove", "10.0.0.1:9091"], MEMBERS[2:]),
]


@pytest.mark.parametrize("args, after", PLANS)
def test_plan_says_what_would_move(env, state, args, after):
    content = env.dshard("ring", "plan", *args, "--state", state.path, "-o", "json").ok().json()
    check_schema("ring-plan", content)
    assert content["digest"] == digest(MEMBERS) and content["digest_after"] == digest(after)
    assert content["moved_ppm"] == pytest.approx(moved_ppm(MEMBERS, after), abs=3000)
    rows = {r["address"]: r for r in content["servers"]}
    assert sorted(rows) == sorted({a for a, _ in MEMBERS + after})
    for name in ("before_ppm", "after_ppm"):
        assert sum(r[name] for r in rows.values()) == pytest.approx(1e6, abs=5)
    for name in ("gains_ppm", "loses_ppm"):
        assert sum(r[name] for r in rows.values()) == pytest.approx(content["moved_ppm"], abs=8)
    for row in rows.values():
        assert row["before_ppm"] + row["gains_ppm"] - row["loses_ppm"] == pytest.approx(
            row["after_ppm"], abs=3)
    # Consistent hashing: who stays gains only from who leaves, and loses only to who joins.
    if set(after) >= set(MEMBERS):
        assert all(not rows[a]["gains_ppm"] for a, _ in MEMBERS)
    if set(after) <= set(MEMBERS):
        assert all(not rows[a]["loses_ppm"] for a, _ in after)


def test_plan_as_text_names_servers_and_the_share(env, state):
    before = open(state.path, "rb").read()
    out = env.dshard("ring", "plan", "--remove", "10.0.0.1:9091", "--state", state.path).ok()
    lines = out.stdout.splitlines()
    assert lines[0].split() == ["SERVER", "BEFORE", "AFTER", "GAINS", "LOSES"]
    assert lines[1].split()[0] == "10.0.0.1:9091" and lines[1].split()[2] == "0.0%"
    assert "% of the key space would get another owner" in lines[-1]
    assert open(state.path, "rb").read() == before


@pytest.mark.parametrize("args, status, words", [
    ([], 2, "--add"),
    (["--add", "10.0.0.1:9091"], 1, "'10.0.0.1:9091' is a member already"),
    (["--remove", "10.0.0.9:9091"], 1, "'10.0.0.9:9091' is no member"),
    (["--remove", "10.0.0.1:9091,10.0.0.2:9091,10.0.0.3:9091"], 1, "no member would be left"),
    (["--add", "x y:1"], 2, "'x y:1'"),
    (["--add", "10.0.0.4:9091=0"], 2, "10.0.0.4"),
    (["--remove", "10.0.0.1:9091,10.0.0.1:9091"], 2, "twice"),
    (["--add", "A:1,B:1,a:1"], 2, "twice"),
])
def test_plan_refuses_what_makes_no_sense(env, state, args, status, words):
    result = env.dshard("ring", "plan", *args, "--state", state.path)
    assert result.rc == status and result.stdout == "" and words in result.stderr, result


def test_plan_takes_server_names_as_the_configuration_does(env, state):
    # The port that is not named is the configuration's.
    config = env.config(["10.0.0.1"], pushgateway={"port": 9091})
    result = env.dshard("ring", "plan", "--remove", "10.0.0.1", config=config)
    assert result.rc == 0, result


def test_plan_names_the_groups_of_those_that_answer(env, state):
    gateway, dead = env.pushgateway(), f"127.0.0.1:{free_port()}"
    state.write([gateway.address, dead, {"address": "10.9.9.9:1", "health": "down"}])
    config = env.config([gateway])
    after = [(gateway.address, 1)]
    for i in range(8):
        gateway.push(f"/metrics/job/job{i}")
    wanted = {i for i in range(8) if owner([*after, ("127.0.0.1:1", 1)],
                                           f"/metrics/job/job{i}".encode()) == "127.0.0.1:1"}
    args = ("ring", "plan", "--add", "127.0.0.1:1", "--remove", f"{dead},10.9.9.9:1")
    groups = check_schema("ring-plan", env.dshard(
        *args, "-o", "json", config=config).ok().json())["groups"]
    assert groups["known"] == 8 and groups["takes_ms"] >= 60000
    assert {m["labels"]["job"] for m in groups["moving"]} == {f"job{i}" for i in wanted}
    assert {(m["from"], m["to"]) for m in groups["moving"]} == {
        (gateway.address, "127.0.0.1:1")}
    assert sorted(u["address"] for u in groups["unreached"]) == sorted([dead, "10.9.9.9:1"])
    text = env.dshard(*args, config=config).ok().stdout
    assert re.search(rf"{gateway.address} +127.0.0.1:1 +{len(wanted)}\n", text), text
    assert f"what {dead} holds is not known: " in text and "is not known: it is down" in text
    assert f"{len(wanted)} of 8 groups would move, in about 1m" in text
    named = env.dshard(*args, "--groups", config=config).ok().stdout
    assert all(f'{{job="job{i}"}}' in named for i in wanted), named
