# SPDX-License-Identifier: Apache-2.0
"""/status and /status.json, as web servers, validators, terminals and a browser see them."""

import html
import re
import shutil
import socket
import subprocess
import xml.etree.ElementTree

import pytest

import fronts
from testenv import check_schema, clean_environ, wait_until
from testenv.programs import wrapper
from testenv.state import now_ms
from testenv.wait import LONG

HOUR = 3600 * 1000
EVIL = "</title><script>alert('\"&')</script><img src=x onerror=alert(1)>\u0085\uffff\u202e"


def address(i):
    return f"10.0.{i // 100}.{i % 100 + 100}:9091"


def change(ago, cause, generation, added=(), removed=()):
    return {"added": list(added), "removed": list(removed), "at": now_ms() - ago, "cause": cause,
            "generation": generation, "moved_ppm": 61234}


def write_fleet(state, n, **fields):
    """n servers: one is down, one drained; with a full history."""
    servers = [{"address": address(i), "since": now_ms() - i * HOUR} for i in range(n)]
    if n > 4:
        servers[2].update(health="down", member=False, why=f"GET http://{address(2)}/-/healthy: "
                          "connect: Connection refused")
        servers[4].update(intent="draining", member=False)
    history = [change(i * HOUR, "health", 40 - i, [address(i % n)]) for i in range(19)]
    history.append(change(20 * HOUR, "start", 1, sorted(s["address"] for s in servers)))
    return state.write(servers, generation=40, history=history, **fields)


def assert_valid(page):
    """No HTML validator in Debian is stricter than tidy; the SVG must be XML, too."""
    done = subprocess.run(["tidy", "-q", "-e", "-utf8"], input=page, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
    assert (done.returncode, done.stdout) == (0, "")
    pictures = re.findall(r"<svg .*?</svg>", page, re.S)
    assert pictures
    for picture in pictures:
        xml.etree.ElementTree.fromstring(picture)


def dump(page):
    return subprocess.run(["w3m", "-dump", "-cols", "110", "-T", "text/html"], input=page,
                          text=True, check=True, stdout=subprocess.PIPE, timeout=30).stdout


def get(front, target="/status", method="GET"):
    answer = front.request(method, target)
    headers = {name.lower(): value for name, value in answer.headers}
    return answer, headers, answer.body.decode()


def test_the_page_comes_through_nginx_and_lighttpd(env):
    state = env.state()
    write_fleet(state, 16)
    fcgi = env.fcgi(state, args=["--workers", "2"])
    proxy, redirect = fronts.nginx_example(env, fcgi)
    lighttpd = fronts.lighttpd_example(env, fcgi)
    for i in range(30):
        assert redirect.request("PUT", f"/metrics/job/j{i}", b"m 1\n").status == 307
    for front in (proxy, redirect, fronts.Front(lighttpd.address)):
        answer, headers, page = get(front)
        assert answer.status == 200 and headers["cache-control"] == "no-store"
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert len(answer.body) <= 30000, len(answer.body)
        assert_valid(page)
        assert "<script" not in page and "14 of 16 servers" in page
        assert f"<title>{socket.gethostname()}: degraded, 14 of 16 members" in page
        assert 'http-equiv="refresh"' not in page
        answer, headers, body = get(front, method="HEAD")
        assert (answer.status, body) == (200, "") and int(headers["content-length"]) > 10000
        assert front.request("POST", "/status", b"").status == 405

    page = get(proxy, "/status?reload")[2]
    assert 'http-equiv="refresh"' in page
    assert_valid(page)
    text = dump(get(proxy)[2])
    assert text.lstrip().startswith("! degraded"), text
    assert re.search(r"^ *3 +10\.0\.0\.102:9091 +down +2h", text, re.M), text
    assert re.search(r"^ *\d+s\sago +health +\+10\.0\.0\.100:9091 +6\.1% +40$", text, re.M), text

    content = check_schema("status-page", get(proxy, "/status.json")[0].json())
    assert content["host"] == socket.gethostname()
    assert sum(s["pushes"] for s in content["servers"]) == 30
    assert abs(sum(s["share_ppm"] for s in content["servers"]) - 1000000) < 16
    told = env.dshard("status", "--state", state.path, "-o", "json").json()
    for name in set(content) & set(told) - {"checked_age_ms", "servers"}:
        assert content[name] == told[name], name
    assert set(told) - set(content) == {"copies", "frontends", "groups", "misplaced"}
    for server, other in zip(content["servers"], told["servers"]):
        assert all(server[name] == other[name] for name in other if name in server)


def test_no_word_from_outside_becomes_markup(env):
    state = env.state()
    write_fleet(state, 6, operation={"kind": EVIL[:60], "step": EVIL, "by": EVIL, "since": 1},
                frozen={"reason": EVIL, "since": now_ms()}, written_by=EVIL)
    state.rewrite(lambda c: c["servers"][2].update(why=EVIL))
    nginx = fronts.nginx_plain(env, env.fcgi(state))
    page = get(fronts.Front(nginx.address))[2]
    assert page.count(html.escape("alert('").replace("&#x27;", "&#39;")) >= 6
    assert "<script" not in page and "<img" not in page and "\u202e" not in page
    assert_valid(page)
    picture = env.dshard("ring", "--state", state.path, "-o", "svg").ok().stdout
    xml.etree.ElementTree.fromstring(picture)
    assert "<script" not in picture and "\u202e" not in picture


def test_a_thousand_servers_come_whole_and_no_state_is_503(env):
    state = env.state()
    fcgi = env.fcgi(state)
    front = fronts.Front(fronts.nginx_plain(env, fcgi).address)
    answer, headers, page = get(front)
    assert answer.status == 503 and "retry-after" in headers
    assert "no state of the ring is known" in page and "No such file" in page
    check_schema("status-page", get(front, "/status.json")[0].json())

    write_fleet(state, 1000)
    wait_until(lambda: get(front)[0].status == 200, 5, "the state to be loaded")
    answer, headers, page = get(front)
    assert len(answer.body) == int(headers["content-length"]) < 1000000
    assert_valid(page)
    assert page.count('<tr><td class="r"><i class="') == 1000
    content = check_schema("status-page", get(front, "/status.json")[0].json())
    assert len(content["servers"]) == 1000
    assert content["errors"][0]["until"] >= content["errors"][0]["since"] > 0

    state.write_text("{")
    wait_until(lambda: "cannot be used" in get(front)[2], 5, "the page to tell")
    answer, _, page = get(front)
    assert answer.status == 200 and page.count('<tr><td class="r"><i class="') == 1000


def by_cgi(state):
    """The page as the program prints it, without a web server."""
    done = subprocess.run([*wrapper(), fronts.PROGRAM], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=30, env=clean_environ(
                              REQUEST_METHOD="GET", REQUEST_URI="/status",
                              DSHARD_STATE=state.path))
    return done.stdout.decode().split("\r\n\r\n", 1)[1]


HARNESS = """<!DOCTYPE html><body>%s<script>
onload = function () {
  document.querySelectorAll("iframe").forEach(function (f) {
    var d = f.contentDocument, e = d.documentElement;
    document.title += [f.width, e.scrollWidth, getComputedStyle(d.body).backgroundColor,
                       d.querySelector("svg").getBoundingClientRect().width > 200,
                       d.querySelectorAll("tr").length,
                       [...d.querySelectorAll(".servers td b")].every(b => b.getClientRects().length < 2)
                      ].join(" ") + ";";
  });
}</script>"""


WIDTHS = (360, 800, 1280)


def look(env, pages, *options):
    """What Chromium makes of pages at some widths: (width, content's width, background,
    whether the picture can be seen, rows, whether states are not broken in words)."""
    frames = "".join(f'<iframe width="{width}" height="900" srcdoc="{html.escape(page)}">'
                     "</iframe>" for page in pages for width in WIDTHS)
    path = env.write("harness.html", HARNESS % frames)
    done = subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--disable-dev-shm-usage", f"--user-data-dir={env.path('chromium')}", *options,
         "--dump-dom", f"file://{path}"], check=True, timeout=60, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    title = re.search(r"<title>(.*?);</title>", done.stdout)
    assert title, done.stdout[-2000:]
    found = [re.match(r"(\d+) (\d+) (.*\)) (\w+) (\d+) (\w+)", one).groups()
             for one in title[1].split(";")]
    return [(int(a), int(b), background, seen == "true", int(rows), whole == "true")
            for a, b, background, seen, rows, whole in found]


@pytest.mark.skipif(not LONG and not shutil.which("chromium"),
                    reason="Chromium is large: `make torture` installs it")
def test_a_browser_shows_it_on_a_phone_and_in_the_dark(env):
    state = env.state()
    pages = []
    for n, fields in ((1, {}), (16, {}),
                      (5, {"frozen": {"reason": "x" * 150, "since": 1}, "written_by": "y" * 200})):
        write_fleet(state, n, **fields)
        if n == 5:
            state.rewrite(lambda c: c["servers"].append(
                {**c["servers"][0], "address": f"pg-{'long' * 14}.{'name' * 15}.example:9091",
                 "why": "z" * 200}))
        pages.append(by_cgi(state))
    light = look(env, pages)
    assert [width for width, *_ in light] == [*WIDTHS] * 3
    for width, inner, background, seen, rows, whole in light:
        assert inner <= width and whole, light
        assert (background, seen) == ("rgb(255, 255, 255)", True), light
        assert rows > 20
    dark = look(env, pages[:1], "--blink-settings=preferredColorScheme=0")
    assert dark[0][2] == "rgb(20, 24, 29)"
