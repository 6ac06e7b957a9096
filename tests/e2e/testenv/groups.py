# SPDX-License-Identifier: Apache-2.0
"""Groups on Pushgateways: how a URL says one, who owns it, what it holds but for the times
of pushes."""

import base64
import bisect

from . import protobuf as pb
from .state import murmur3


def path_of(labels):
    """The push path that any label values can stand in."""
    def component(name, value):
        coded = base64.urlsafe_b64encode(value.encode()).decode().rstrip("=") or "="
        return f"/{name}@base64/{coded}"
    names = ["job"] + sorted(n for n in labels if n != "job")
    return "/metrics" + "".join(component(n, labels[n]) for n in names)


def key_of(labels):
    """What is hashed."""
    rest = sorted((n.encode(), v.encode()) for n, v in labels.items() if n != "job")
    return b"/".join([b"/metrics/job", labels["job"].encode(), *(p for r in rest for p in r)])


class Owners:
    """Owners(addresses)(labels): the address that owns the group in a ring of these."""

    def __init__(self, addresses, replicas=500):
        points = {}
        for address in sorted(addresses):
            for i in range(replicas):
                points[murmur3(f"{i}{address}".encode())] = address
        self._hashes = sorted(points)
        self._points = points

    def __call__(self, labels):
        at = bisect.bisect_right(self._hashes, murmur3(key_of(labels)))
        return self._points[self._hashes[at % len(self._hashes)]]

    def jobs(self, address, n, prefix="job"):
        """n names of jobs whose groups this one owns."""
        found = (f"{prefix}{i}" for i in range(100000))
        return [j for j, _ in zip((j for j in found if self({"job": j}) == address), range(n))]


def same(labels):
    return tuple(sorted(labels.items()))


def contents(gateway):
    """{group: {family: (type, help, its metrics)}} from the list, without any time of a
    push; and {(family, series): bytes} from the scrape, without push_time_seconds."""
    groups = {}
    for group in gateway.groups_raw():
        labels = same(group["labels"])
        groups[labels] = {
            name: (family["type"], family.get("help"), family["metrics"])
            for name, family in group.items()
            if name not in ("labels", "last_push_successful", "push_time_seconds")}
    body = gateway.request("GET", gateway.prefix + "/metrics", headers=pb.SCRAPE).body
    own = ("go_", "process_", "promhttp_", "pushgateway_")
    series = {key: metric for key, metric in pb.series(body).items()
              if key[0] != "push_time_seconds" and not key[0].startswith(own)}
    return groups, series


def families(gateway, **labels):
    """{family: value of its first series} of one group; None when it is not there."""
    for group in gateway.groups_raw():
        if group["labels"] == labels:
            return {name: family["metrics"][0].get("value")
                    for name, family in group.items()
                    if isinstance(family, dict) and "metrics" in family
                    and not name.startswith("push_")}
    return None
