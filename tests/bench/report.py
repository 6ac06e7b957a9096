# SPDX-License-Identifier: Apache-2.0
"""From what was measured to tables, and which figures are met."""

from statistics import median

from rows import CONSTANT, DSHARD, FLOOR, LIGHTTPD, SEED

LATE_US = 5000
BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"


def row_of(result, name):
    return next((r for r in result["rows"] if r["name"] == name), None)


def difference(result, one, other, key):
    """The median over rounds of what one has more than the other in the same round."""
    return median(a[key] - b[key] for a, b in pairs_of(result, one, other))


def pairs_of(result, one, other):
    return zip(row_of(result, one)["rounds"], row_of(result, other)["rounds"])


def figures(result):
    """The figures that the program is to reach: met is True, False or None (not known)."""
    found = []

    def figure(what, limit, measured, met):
        found.append({"what": what, "figure": limit, "measured": measured, "met": met})

    _against_seed(result, figure)
    more = difference(result, DSHARD, CONSTANT, "handler_us")
    figure("CPU of the handler per redirect, behind nginx keep-alive",
           "a libfcgi constant's + 1 µs", f"{more:+.2f} µs", more <= 1)
    ring = next(r for r in result["micro"]["rings"] if r["members"] == 64)
    for kind, ns in ring["lookup_ns"].items():
        figure(f"key + lookup, 64 × 500, {kind}", "≤ 0.5 µs", f"{ns / 1000:.2f} µs", ns <= 500)
    ring = next(r for r in result["micro"]["rings"]
                if (r["members"], r["replicas"]) == (1000, 500))
    figure("building a ring of 1,000 × 500", "≤ 100 ms", f"{ring['build_ms']:.1f} ms",
           ring["build_ms"] <= 100)
    _reload(result, figure)
    use = result["use"]
    figure("a changed state file is used", "≤ 200 ms after the rename",
           f"{use['median_ms']:.0f} ms, at most {use['max_ms']:.0f} ms", use["max_ms"] <= 200)
    _scale(result["scale"], figure)
    _resources(result, figure)
    return found


def _against_seed(result, figure):
    for name, limit in ((DSHARD, 0.75), (LIGHTTPD, 1.5)):
        what = f"CPU of {name}, against {SEED}'s"
        if not row_of(result, SEED):
            figure(what, f"≤ {limit}", "no DYNAMIC_SHARDING given", None)
            continue
        ratio = median(a["cpu_us"] / b["cpu_us"] for a, b in pairs_of(result, name, SEED))
        figure(what, f"≤ {limit}", f"{ratio:.2f}", ratio <= limit)


def _reload(result, figure):
    for name, what in (("small", "200 rewrites a second, a ring of 16"),
                       ("large", "5 rewrites a second, a ring of 1,000 × 500")):
        without, busy = (result["reload"][name + suffix] for suffix in ("_aside", ""))
        grown = {key: busy[key] - without[key] for key in ("p999_us", "max_us")}
        figure(f"delay of a push by {what}", "≤ 5 ms",
               f"p99.9 {without['p999_us'] / 1000:.2f} → {busy['p999_us'] / 1000:.2f} ms, "
               f"slowest {without['max_us'] / 1000:.2f} → {busy['max_us'] / 1000:.2f} ms, "
               f"{busy['errors']} errors",
               max(grown.values()) <= LATE_US and not busy["errors"])


def _scale(scale, figure):
    cpu = scale["command_cpu_s"] + scale["watch_cpu_s"]
    figure(f"CPU of dshard for scale 4 → 5, {scale['groups']:,} groups", "≤ 2 s",
           f"{cpu:.2f} s ({scale['moved']} moved in {scale['seconds']:.0f} s)", cpu <= 2)
    memory = scale["memory"]
    times = memory["peak_kib"] / memory["json_kib"]
    figure(f"memory to move groups from a server with {memory['groups']:,}",
           "≤ 3 × its JSON", f"{times:.1f} × ({memory['peak_kib'] / 1024:.1f} MiB for "
           f"{memory['json_kib'] / 1024:.1f} MiB)", times <= 3)


def _resources(result, figure):
    calls = result["syscalls"]
    figure("system calls per request behind keep-alive", "≤ 4",
           f"{calls['1']['per_request']:.2f} with one connection, "
           f"{calls['64']['per_request']:.2f} with 64",
           round(calls["1"]["per_request"], 2) <= 4)
    most = max(a["allocations"] for a in result["micro"]["answer"].values())
    figure("allocations of our own per request", "0", f"{most:g}", most == 0)
    before, after = result["memory_before"], result["memory_after"]
    figure("memory of the handler, 16 members", "≤ 6 MiB RSS, flat",
           f"{before['rss_kib'] / 1024:.1f} MiB, {after['rss_kib'] / 1024:.1f} MiB after "
           f"{after['requests']:,} requests",
           after["rss_kib"] <= 6144 and after["rss_kib"] <= before["rss_kib"] * 1.05 + 128)
    size = result["binary_bytes"]
    figure("size of dshard-fcgi, stripped", "≤ 250 KiB", f"{size / 1024:.0f} KiB",
           size <= 250 * 1024)


def table(head, lines):
    rule = [":--" if i == 0 else "--:" for i in range(len(head))]
    return "".join("| " + " | ".join(line) + " |\n" for line in [head, rule, *lines])


def rows_table(result):
    lines = []
    for r in result["rows"]:
        handler = f"{r['handler_us']:.1f}" if r["handler_us"] else "–"
        lines.append([r["name"], f"{r['cpu_us']:.1f}", handler, f"{r['ratio']:.2f}",
                      f"{r['rate']:,.0f}", f"{r['p50_us'] / 1000:.2f}",
                      f"{r['p99_us'] / 1000:.2f}",
                      f"{(r['front_rss_kib'] + r['handler_rss_kib']) / 1024:.1f}",
                      f"{r['errors']}"])
    return table(["what", "CPU µs", "of it handler", f"ratio to {FLOOR}", "pushes/s", "p50 ms",
                  "p99 ms", "RSS MiB", "errors"], lines)


def micro_tables(result):
    rings = result["micro"]["rings"]
    kinds = list(rings[0]["lookup_ns"])
    lines = [[f"{r['members']:,} × {r['replicas']:,}", f"{r['build_ms']:.2f}",
              *(f"{r['lookup_ns'][k] / 1000:.2f}" for k in kinds)] for r in rings]
    answers = [[kind, f"{a['ns'] / 1000:.2f}", f"{a['allocations']:g}"]
               for kind, a in result["micro"]["answer"].items()]
    return (table(["ring", "built in ms", *(f"µs, {k}" for k in kinds)], lines) + "\n" +
            table(["whole answer (307), 16 × 500", "µs", "allocations"], answers))


def figures_table(result):
    words = {True: "met", False: "**MISSED**", None: "not known"}
    return table(["what", "to reach", "measured", ""],
                 [[f["what"], f["figure"], f["measured"], words[f["met"]]]
                  for f in result["figures"]])


def markdown(result):
    m = result["machine"]
    return (f"Run of {result['at']}: {result['rounds_n']} rounds of {result['seconds']} s a row, "
            f"on {m['cpus']} CPUs ({m['cpu']}), Linux {m['kernel']}, load average before it "
            f"{result['load_before']:.1f}; nginx {m['nginx']}, HAProxy {m['haproxy']}, lighttpd "
            f"{m['lighttpd']}, wrk {m['wrk']}.\n\n"
            f"### Per push\n\n{rows_table(result)}\n### The parts\n\n{micro_tables(result)}\n"
            f"### Figures to reach\n\n{figures_table(result)}")


def put_into(path, text):
    """Between the two marks of a file."""
    with open(path, encoding="utf-8") as f:
        before, rest = f.read().split(BEGIN + "\n", 1)
    after = rest.split(END, 1)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + "\n" + text + END + after)
