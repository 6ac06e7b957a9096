# SPDX-License-Identifier: Apache-2.0
"""protobuf - pushes and scrapes in Prometheus' delimited protobuf, by hand.

    body = pb.body(pb.family("t", pb.COUNTER, [pb.counter(5, l="1")], help="made by hand"),
                   pb.family("n", pb.HISTOGRAM, [pb.native([(0, 2)], [3, -1], l="1")]))
    server.request("PUT", "/metrics/job/a", body, pb.PUSH)
    pb.series(server.request("GET", "/metrics", headers=pb.SCRAPE).body)
    # {("t", (("instance", ""), ("job", "a"), ("l", "1"))): the bytes of its Metric, ...}

Fields are in the order of their numbers, as the server writes them.  Labels are keyword
arguments; those whose names are no identifiers go into `labels`.
The schema is io.prometheus.client (client_model's metrics.proto).
"""

import struct

MEDIA_TYPE = ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; "
              "encoding=delimited")
PUSH = {"Content-Type": MEDIA_TYPE}
SCRAPE = {"Accept": MEDIA_TYPE}
COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM = range(6)


# ---- fields ---------------------------------------------------------------------------

def varint(number):
    out = bytearray()
    number &= (1 << 64) - 1
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def integer(number, value):
    return varint(number << 3) + varint(value)


def signed(number, value):
    """sint32, sint64."""
    return integer(number, value << 1 if value >= 0 else (-value << 1) - 1)


def double(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def nested(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


# ---- metrics --------------------------------------------------------------------------

def label(name, value):
    return nested(1, name) + nested(2, value)


def metric(number, value, labels=None, extra=b"", **more):
    """A Metric whose field `number` is the message `value`; extra: more fields, raw."""
    pairs = {**(labels or {}), **more}
    return b"".join(nested(1, label(n, v)) for n, v in pairs.items()) + nested(number, value) + extra


def gauge(value, **labels):
    return metric(2, double(1, value), **labels)


def counter(value, exemplar=None, created=None, **labels):
    """exemplar: (value, {label: value}); created: seconds since 1970."""
    out = double(1, value)
    if exemplar:
        out += nested(2, _exemplar(*exemplar))
    if created:
        out += nested(3, integer(1, created))
    return metric(3, out, **labels)


def untyped(value, **labels):
    return metric(5, double(1, value), **labels)


def summary(count, total, quantiles=(), **labels):
    out = integer(1, count) + double(2, total)
    for quantile, value in quantiles:
        out += nested(3, double(1, quantile) + double(2, value))
    return metric(4, out, **labels)


def histogram(count, total, buckets=(), more=b"", **labels):
    """buckets: (upper bound, cumulative count); more: further fields, raw."""
    out = integer(1, count) + double(2, total)
    for bound, cumulative in buckets:
        out += nested(3, integer(1, cumulative) + double(2, bound))
    return metric(7, out + more, **labels)


def native(spans, deltas, schema=3, zero_count=1, total=1.5, more=b"", **labels):
    """A native histogram of positive buckets: spans of (offset, length), and as many
    deltas as they are long."""
    counts, last = [], 0
    for delta in deltas:
        last += delta
        counts.append(last)
    out = signed(5, schema) + double(6, 1e-128) + integer(7, zero_count)
    for offset, length in spans:
        out += nested(12, signed(1, offset) + integer(2, length))
    for delta in deltas:
        out += signed(13, delta)
    return histogram(sum(counts) + zero_count, total, more=out + more, **labels)


def native_float(spans, counts, schema=3, zero_count=0.5, total=1.5, **labels):
    """The same with counts that are no integers: floats in place of deltas."""
    out = double(2, total) + double(4, sum(counts) + zero_count)
    out += signed(5, schema) + double(6, 1e-128) + double(8, zero_count)
    for offset, length in spans:
        out += nested(12, signed(1, offset) + integer(2, length))
    for count in counts:
        out += double(14, count)
    return metric(7, out, **labels)


def _exemplar(value, labels):
    return b"".join(nested(1, label(n, v)) for n, v in labels.items()) + double(2, value)


def family(name, kind, metrics, help=None, extra=b""):
    out = nested(1, name)
    if help is not None:
        out += nested(2, help)
    if kind is not None:
        out += integer(3, kind)
    return out + b"".join(nested(4, m) for m in metrics) + extra


def body(*families):
    return b"".join(varint(len(f)) + f for f in families)


# ---- the reverse ----------------------------------------------------------------------

def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _behind(data, at, wire):
    """(start, end) of the value of a field whose tag ends at `at`."""
    if wire == 0:
        return at, _varint(data, at)[1]
    if wire == 3:  # a group lasts until its own end tag
        start, inner = at, None
        while inner != 4:
            tag, at = _varint(data, at)
            inner = tag & 7
            at = at if inner == 4 else _behind(data, at, inner)[1]
        return start, at
    size = {1: 8, 5: 4}.get(wire)
    if wire == 2:
        size, at = _varint(data, at)
    return at, at + size


def fields(data):
    """(number, value, raw bytes of the whole field) of each field of a message; the value
    is an int (wire type 0) or bytes.  One whose wire type is not the schema's is just a
    field that nobody knows."""
    at = 0
    while at < len(data):
        tag, value_at = _varint(data, at)
        start, end = _behind(data, value_at, tag & 7)
        assert end <= len(data), f"cut at {at}"
        value = data[start:end] if tag & 7 else _varint(data, start)[0]
        yield tag >> 3, value, data[at:end]
        at = end


def messages(data):
    """The MetricFamily messages of a body."""
    at = 0
    while at < len(data):
        size, at = _varint(data, at)
        assert at + size <= len(data), f"cut at {at}"
        yield data[at:at + size]
        at += size


def series(data):
    """{(family, sorted label pairs): bytes of the Metric}, with each series once."""
    found = {}
    for message in messages(data):
        name = _name(message)
        for number, value, _ in fields(message):
            if number == 4 and isinstance(value, bytes):
                key = (name, tuple(sorted(_label(v) for v in _texts(value, 1))))
                assert key not in found, f"{key} is there twice"
                found[key] = value
    return found


def headers(data):
    """{family: the bytes of its fields but the metrics}."""
    return {_name(m): b"".join(raw for n, _, raw in fields(m) if n != 4)
            for m in messages(data)}


def _texts(message, number):
    return [v for n, v, _ in fields(message) if n == number and isinstance(v, bytes)]


def _name(message):
    return _texts(message, 1)[-1].decode()


def _label(pair):
    name, value = _texts(pair, 1), _texts(pair, 2)
    return (name[-1].decode() if name else ""), (value[-1].decode() if value else "")
