# SPDX-License-Identifier: Apache-2.0
"""Groups of all kinds, clients that push them all the time, and what must hold for them."""

import base64
import random
import re
import threading
import time

from . import protobuf
from .rawhttp import RawHTTP

# Values of labels that some part of the way could get wrong.
AWKWARD = ["", "a/b", "/", "ä ö", "x y", 'quo"te', "back\\slash", "line\nbreak", "%41", "+",
           "日本語", ".hidden", "..", "~", "a=b&c", "l" * 200, "h:1", "@base64"]

_PLAIN = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*\Z")


def target_of(labels):
    """A push path for these labels; job first, the others as they come."""
    parts = ["/metrics"]
    for name in ["job", *(n for n in labels if n != "job")]:
        value = labels[name]
        if _PLAIN.match(value):
            parts.append(f"{name}/{value}")
        else:
            text = base64.urlsafe_b64encode(value.encode()).decode().rstrip("=") or "="
            parts.append(f"{name}@base64/{text}")
    return "/".join(parts)


def identity_of(labels):
    return frozenset(labels.items())


class Group:
    """The i-th group: every label and every type comes round.  g_value is what counts."""

    def __init__(self, i):
        self.number = i
        self.labels = {"job": f"job {i % 7}" if i % 5 else f"nightly/{i % 3}",
                       "instance": f"i{i}"}
        if i % 3 == 0:
            self.labels["x"] = AWKWARD[i // 3 % len(AWKWARD)]
        if i % 4 == 0:
            self.labels["dc"] = AWKWARD[i // 4 % len(AWKWARD)]
        if i % 11 == 0:  # two groups, one key
            self.labels = {"job": f"twin{i // 22}", **({"x": "b/y/c"} if i % 2 else
                                                        {"x": "b", "y": "c"})}
        self.identity = identity_of(self.labels)
        self.target = target_of(self.labels)
        self.sent = 0       # the value of the last push that was tried
        self.acked = None   # of the last one that was answered with 200
        self.acked_at = 0.0

    def body(self, value):
        """(headers, body) of a push; another type for each group."""
        kind = self.number % 6
        if kind == 5:
            return (protobuf.PUSH, _native(self.number, value))
        text = f"# TYPE g_value gauge\n# HELP g_value what counts\ng_value {value}\n"
        if kind == 0:
            text += f'# TYPE g_done_total counter\ng_done_total{{l="a\\"b\\\\c"}} {value}\n' \
                    f'g_done_total{{l="ü"}} 1.5e-300\n'
        elif kind == 1:
            text += f'# TYPE g_size summary\ng_size{{quantile="0.5"}} NaN\n' \
                    f'g_size{{quantile="0.99"}} {value}.25\ng_size_sum -0\ng_size_count 7\n'
        elif kind == 2:
            text += f'# TYPE g_took histogram\ng_took_bucket{{le="0.1"}} 1\n' \
                    f'g_took_bucket{{le="10"}} 3\ng_took_bucket{{le="+Inf"}} 5\n' \
                    f"g_took_sum {value}.5\ng_took_count 5\n"
        elif kind == 3:
            text += f'g_plain{{l="1"}} {value}\ng_plain{{l="2"}} +Inf\n'
        else:
            text += f'# TYPE g_gauge gauge\ng_gauge{{a="1"}} {value}\ng_gauge{{a="2"}} -Inf\n'
        return {}, text.encode()


def _native(number, value):
    return protobuf.body(
        protobuf.family("g_value", protobuf.GAUGE, [protobuf.gauge(value)], help="what counts"),
        protobuf.family("g_native", protobuf.HISTOGRAM,
                        [protobuf.native([(0, 2), (1, 1)], [1, 1, number], total=value)]))


class Clients:
    """with Clients(address, groups, rate): pushes `rate` groups a second, in turn, until
    the end; each group's `acked` is the value that a server has taken last."""

    def __init__(self, address, groups, rate, threads=4):
        self.address, self.errors, self.count = address, [], 0
        self._stop = threading.Event()
        self._period = threads / rate
        self._threads = [threading.Thread(target=self._run, args=(groups[i::threads],),
                                          daemon=True) for i in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, groups):
        http, due, i = RawHTTP(self.address, 15), time.monotonic(), random.randrange(len(groups))
        while not self._stop.wait(max(0, due - time.monotonic())):
            due = max(due + self._period, time.monotonic() - 1)
            push(http, groups[i % len(groups)], self.errors)
            self.count += 1
            i += 1
        http.close()


def push(http, group, errors=None, method="PUT"):
    """One more push of this group; what comes back instead of 200 goes to errors."""
    group.sent += 1
    headers, body = group.body(group.sent)
    try:
        answer = http.request(method, group.target, body, headers)
    except OSError as e:
        http.close()
        answer = e
    except Exception as e:  # http.client's own, when a server goes away
        http.close()
        answer = e
    if getattr(answer, "status", 0) == 200:
        group.acked, group.acked_at = group.sent, time.time()
    elif errors is None:
        raise AssertionError(f"{group.labels}: {answer!r}")
    else:
        errors.append((time.time(), group.number, repr(answer)))


def push_all(address, groups):
    with RawHTTP(address, 15) as http:
        for group in groups:
            push(http, group)


# ---- where they are ------------------------------------------------------------------


def places(gateways):
    """{identity: [(address, group as the server lists it)]}."""
    found = {}
    for gateway in gateways:
        for entry in gateway.groups_raw():
            found.setdefault(identity_of(entry["labels"]), []).append((gateway.address, entry))
    return found


def value_of(entry):
    return int(float(entry["g_value"]["metrics"][0]["value"]))


def owners(dshard, config, groups):
    """{identity: the address that the ring gives it}."""
    lines = dshard("ring", "lookup", "-", config=config,
                   input="".join(g.target + "\n" for g in groups)).ok().stdout.splitlines()
    return {g.identity: line.split("\t")[0] for g, line in zip(groups, lines)}


def misfits(dshard, config, gateways, groups, home=True):
    """What is wrong, as texts: a group that is lost, there twice, not at home, or old."""
    acked = {g.identity: g.acked or 0 for g in groups}  # the clients go on meanwhile
    found, home_of, wrong = places(gateways), owners(dshard, config, groups), []
    for group in groups:
        at = found.pop(group.identity, [])
        if len(at) != 1:
            wrong.append(f"{group.labels} is on {[a for a, _ in at]}")
        elif home and at[0][0] != home_of[group.identity]:
            wrong.append(f"{group.labels} is on {at[0][0]}, not {home_of[group.identity]}")
        elif not acked[group.identity] <= value_of(at[0][1]) <= group.sent:
            wrong.append(f"{group.labels} is {value_of(at[0][1])}, pushed: {group.acked}")
    return wrong + [f"nobody pushed {dict(i)}" for i in found]


def exact(gateways):
    """{identity: {family and labels: the bytes of the series}} but for push times."""
    names = {}
    for gateway in gateways:
        for entry in gateway.groups_raw():
            identity = identity_of(entry["labels"])
            for family, content in entry.items():
                if not isinstance(content, dict) or "metrics" not in content:
                    continue
                for metric in content["metrics"]:
                    series = (family, tuple(sorted(metric.get("labels", {}).items())))
                    names[(gateway.address, series)] = identity
    found = {}
    for gateway in gateways:
        answer = gateway.request("GET", "/metrics", headers=protobuf.SCRAPE)
        for series, raw in protobuf.series(answer.body).items():
            identity = names.get((gateway.address, series))
            if identity and not series[0].startswith("push_"):
                found.setdefault(identity, {})[series] = raw
    return found


# ---- what Prometheus saw -------------------------------------------------------------


def history(prometheus, expression, seconds):
    """{identity: [(time, value)]} of a gauge with the group's labels."""
    result = prometheus.api("query", query=f"{expression}[{int(seconds)}s]")["result"]
    return {frozenset((k, v) for k, v in r["metric"].items() if k != "__name__"):
            [(float(t), float(v)) for t, v in r["values"]] for r in result}


def series_identity(labels):
    """How Prometheus spells a group: no empty labels."""
    return frozenset((k, v) for k, v in labels.items() if v)


def gaps(samples, longest, excused=()):
    """(from, to) of each time longer than that without a sample."""
    found = []
    for (a, _), (b, _) in zip(samples, samples[1:]):
        if b - a > longest and not any(s <= b and a <= e for s, e in excused):
            found.append((a, b))
    return found


def flapping(samples, together=3):
    """The longest time for which an old value and a newer one were both there, in seconds.
    The values of a group only grow; one that was away longer than `together` comes anew."""
    worst, runs = 0.0, {}  # {value: [[first, last], ...]}
    for at, value in samples:
        seen = runs.setdefault(value, [])
        if seen and at - seen[-1][1] <= together:
            seen[-1][1] = at
        else:
            seen.append([at, at])
    for value, seen in runs.items():
        newer = min((other[0][0] for v, other in runs.items() if v > value), default=None)
        for first, last in seen:
            if newer is not None and last > newer:
                worst = max(worst, last - max(first, newer))
    return worst
