# SPDX-License-Identifier: Apache-2.0
"""ring.json from the outside: read it, check it, and write one by hand.

Written from the description of the format, not from the C code, so that the two check
each other.
"""

import json
import os
import re
import time

_M = 0xFFFFFFFF


def murmur3(data, seed=0):
    """MurmurHash3_x86_32."""
    def rotl(x, r):
        return (x << r | x >> (32 - r)) & _M

    def scramble(k):
        return rotl(k * 0xCC9E2D51 & _M, 15) * 0x1B873593 & _M

    h = seed
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        h ^= scramble(int.from_bytes(data[i:i + 4], "little"))
        h = (rotl(h, 13) * 5 + 0xE6546B64) & _M
    if len(data) > whole:
        h ^= scramble(int.from_bytes(data[whole:], "little"))
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & _M
    h = (h ^ h >> 13) * 0xC2B2AE35 & _M
    return h ^ h >> 16


def hash16(data):
    return f"{murmur3(data, 0):08x}{murmur3(data, 1):08x}"


def digest(members, replicas=500):
    """members: (address, weight) pairs in any order."""
    lines = sorted(f"{a} {w}\n".encode() for a, w in members)
    return hash16(f"v1\n{replicas}\n".encode() + b"".join(lines))


def owners(members, keys, replicas=500):
    """Who owns each of the keys (bytes), the slow and obvious way."""
    points = {}
    for address, weight in sorted(members):
        for i in range(replicas * weight):
            points[murmur3(f"{i}{address}".encode())] = address
    ring = sorted(points)

    def find(key):
        h = murmur3(key)
        return points[next((p for p in ring if p > h), ring[0])]

    return [find(key) for key in keys]


def owner(members, key, replicas=500):
    return owners(members, [key], replicas)[0]


def dump(content):
    """As jansson dumps it: compact, sorted, and control characters in capitals."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return re.sub(r"\\(u[0-9a-f]{4}|.)", lambda m: "\\" + m[1][0] + m[1][1:].upper(), text)


def checksum(content):
    return hash16(dump({k: v for k, v in content.items() if k != "checksum"}).encode())


def now_ms():
    return int(time.time() * 1000)


class State:
    """The state file at `path`."""

    def __init__(self, path):
        self.path = path

    def load(self):
        with open(self.path, encoding="utf-8") as f:
            return json.load(f)

    def exists(self):
        return os.path.exists(self.path)

    def server(self, address):
        """What the file says of one server; None when it is not there."""
        return next((s for s in self.load()["servers"] if s["address"] == address), None)

    def members(self):
        return [s["address"] for s in self.load()["servers"] if s["member"]]

    def is_checked(self):
        """Raises unless checksum and digest are right."""
        content = self.load()
        assert content["checksum"] == checksum(content)
        pairs = [(s["address"], s["weight"]) for s in content["servers"] if s["member"]]
        assert content["digest"] == digest(pairs, content["replicas"])
        return True

    @staticmethod
    def content(servers, **fields):
        """A valid content.  servers: addresses, or dicts with `address` and what differs
        from an up member of weight 1; fields: top-level keys that differ."""
        now = now_ms()
        rows = []
        for server in servers:
            row = {"flaps": [], "health": "up", "hold_until": 0, "intent": "in",
                   "member": True, "since": now, "weight": 1, "why": ""}
            row.update({"address": server} if isinstance(server, str) else server)
            rows.append(row)
        rows.sort(key=lambda r: r["address"].encode())
        content = {
            "checked_at": now, "format": 1, "frozen": None, "generation": 1,
            "history": [], "operation": None, "replicas": 500, "route_prefix": "",
            "scheme": "http", "servers": rows, "source": "standalone",
            "written_at": now, "written_by": "test:1 dshard/test",
        }
        content.update({k: v for k, v in fields.items() if k not in ("digest", "checksum")})
        pairs = [(r["address"], r["weight"]) for r in rows if r["member"]]
        content["digest"] = fields.get("digest", digest(pairs, content["replicas"]))
        content["checksum"] = fields.get("checksum", checksum(content))
        return content

    def write(self, servers, **fields):
        """Writes a valid file (unless fields make it otherwise); returns its content."""
        content = self.content(servers, **fields)
        self.write_text(dump(content) + "\n")
        return content

    def rewrite(self, change):
        """Loads, lets change(content) alter it, corrects digest and checksum, writes."""
        content = self.load()
        change(content)
        fields = {k: v for k, v in content.items()
                  if k not in ("servers", "digest", "checksum")}
        return self.write(content["servers"], **fields)

    def write_text(self, text):
        """Any bytes, put in place atomically."""
        data = text.encode() if isinstance(text, str) else text
        temp = f"{self.path}.test.{os.getpid()}"
        with open(temp, "wb") as f:
            f.write(data)
        os.chmod(temp, 0o644)
        os.rename(temp, self.path)
