# SPDX-License-Identifier: Apache-2.0
"""The clients that push: how each is run, and what becomes of its push.  The README's table
of clients is made of this list.

A client that is a library has a program in tests/data/clients.  It gets the URL of the
frontend, reads lines "METHOD JOB BYTES" and answers each with "ok", when the client reports
success, or "error WHY".  It pushes the gauge rows with a help text of so many bytes, in the
group of the job, instance "db1" and zone "eu".
"""

import contextlib
import dataclasses
import fcntl
import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import time
import typing

from testenv import TOP, clean_environ
from testenv.wait import LONG

PROGRAMS = os.path.join(TOP, "tests", "data", "clients")
BUILT = os.path.join(TOP, "build", "clients")
PROM_CLIENT = "15.1.3"

# What may become of a push that is answered with a redirect.
ARRIVES, LOST, FAILS = "works", "**lost without an error**", "fails"

ALL = ("PUT", "POST", "DELETE")
LABELS = {"instance": "db1", "zone": "eu"}


@dataclasses.dataclass(frozen=True)
class Push:
    method: str
    job: str
    size: int = 4

    @property
    def path(self):
        return f"/metrics/job/{self.job}/instance/db1/zone/eu"

    @property
    def body(self):
        return b"# HELP rows %s\n# TYPE rows gauge\nrows 3\n" % (b"h" * self.size)


@dataclasses.dataclass(frozen=True)
class Client:
    name: str            # as the README has it
    known: str           # how it is known; with the version that was tried
    redirect: str        # what becomes of a push in redirect mode
    run: typing.Optional[typing.Callable] = None    # (address, pushes) -> (ok, said) of each
    says: str = ""       # a part of its complaint when it fails
    delete: str = ""     # what becomes of a DELETE, if it is something else
    methods: tuple = ALL
    labels: tuple = ("instance", "zone")
    package: str = ""    # one that only `make torture` installs: not tried without
    missing: typing.Callable = lambda: ""   # why it cannot run here; "" when it can
    quick: bool = False  # is tried behind every frontend in `make test`, too
    large: bool = False  # pushes 30 MB in `make test`, too, where nginx has the handler's answer
    in_readme: bool = True

    def outcome(self, method):
        """What becomes of its push in redirect mode."""
        return self.delete if method == "DELETE" and self.delete else self.redirect

    def row(self):
        """Its line of the README's table."""
        how = self.redirect + (f"; DELETE {self.delete}" if self.delete else "")
        how += f": `{self.says}`" if self.says else ""
        proxy = ARRIVES if self.run else "not tried"
        return f"| {self.name} | {how} | {proxy} | {self.known} |"


def execute(command, text, **more):
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=clean_environ(**more), timeout=60, check=False)


# ---- commands: one process a push ------------------------------------------------------


def command(make, packed=False):
    """make: (push, name of a file with the body) -> arguments before the URL; the body is on
    the standard input, too."""

    def run(address, pushes):
        return [one(address, push) for push in pushes]

    def one(address, push):
        body = gzip.compress(push.body, 1) if packed else push.body
        file = os.memfd_create("body")
        try:
            with open(file, "wb", closefd=False) as f:
                f.write(body)
            name = f"/proc/{os.getpid()}/fd/{file}"
            done = execute([*make(push, name), f"http://{address}{push.path}"], body)
        finally:
            os.close(file)
        said = f"exit status {done.returncode} {done.stderr.decode()}"
        return done.returncode == 0, said

    return run


def curl(*options, packed=False):
    def make(push, _):
        data = () if push.method == "DELETE" else ("--data-binary", "@-")
        return ("curl", "-sS", "-o", "/dev/null", "-X", push.method, *data, *options)

    return command(make, packed)


def curl_upload(*options, stdin=False):
    """-T: curl asks with "Expect: 100-continue" first; from a pipe it cannot send twice."""

    def make(push, name):
        return ("curl", "-sS", "-o", "/dev/null", "-X", push.method, "-L", *options,
                "-T", "-" if stdin else name)

    return command(make)


def wget(*options, packed=False):
    def make(push, name):
        data = () if push.method == "DELETE" else (f"--body-file={name}",)
        return ("wget", "-nv", "-t", "1", "-O", "/dev/null", f"--method={push.method}", *data,
                *options)

    return command(make, packed)


# ---- libraries: one process for all pushes ---------------------------------------------


def program(arguments, url="http://{}"):
    """arguments: a function that gives the command before the URL, and what follows it."""

    def run(address, pushes):
        before, after = arguments()
        lines = "".join(f"{p.method} {p.job} {p.size}\n" for p in pushes)
        done = execute([*before, url.format(address), *after], lines.encode())
        # prometheus-cpp prints the answers that it gets.
        answers = [line for line in done.stdout.decode().splitlines()
                   if line.startswith(("ok", "error "))]
        assert done.returncode == 0 and len(answers) == len(pushes), done
        return [(answer == "ok", answer) for answer in answers]

    return run


def script(interpreter, name, *after):
    return program(lambda: ((interpreter, os.path.join(PROGRAMS, name)), after))


@contextlib.contextmanager
def only_once(made):
    """Of several test processes one makes it; says whether it is this one."""
    os.makedirs(BUILT, exist_ok=True)
    with open(made + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not os.path.exists(made)


@functools.lru_cache
def build(name, *compiler, **environ):
    """A program that is made once for its source and command; the path."""
    source = os.path.join(PROGRAMS, name)
    with open(source, "rb") as f:
        digest = hashlib.sha256(f.read() + repr(compiler).encode()).hexdigest()[:12]
    made = os.path.join(BUILT, f"{name}-{digest}")
    with only_once(made) as is_mine:
        if is_mine:
            words = [{"OUT": made + ".new", "SOURCE": source}.get(w, w) for w in compiler]
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env=clean_environ(**environ), check=False)
            assert done.returncode == 0, done.stdout.decode()
            os.rename(made + ".new", made)
    return made


def go():
    made = build("push.go", "go", "build", "-o", "OUT", "SOURCE", GO111MODULE="off",
                 GOPATH="/usr/share/gocode", GOFLAGS="", GOCACHE=os.path.join(BUILT, "go"))
    return (made,), ()


def cpp():
    return (build("push.cc", "clang++", "-o", "OUT", "SOURCE", "-lprometheus-cpp-push",
                  "-lprometheus-cpp-core"),), ()


def needs(name, package):
    return lambda: "" if shutil.which(name) else f"{package} is missing"


def npm_install(directory, what):
    """Why it failed, or ""."""
    shutil.rmtree(directory, ignore_errors=True)
    try:
        # Not clean_environ(): npm may need a proxy.
        done = subprocess.run(
            ["npm", "install", "--prefix", directory, "--prefer-offline", "--no-audit",
             "--no-fund", "--ignore-scripts", "--fetch-retries", "2" if LONG else "0", what],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=180 if LONG else 15, check=False)
    except FileNotFoundError:
        return "npm is missing"
    except subprocess.TimeoutExpired:
        return f"npm does not get {what} in time"
    if done.returncode != 0:
        return f"npm does not get {what}: {done.stdout.decode()[:500]}"
    return ""


@functools.lru_cache
def install_prom_client():
    """By npm, below build/: once for many runs.  The directory, and why it is not there."""
    made = os.path.join(BUILT, f"prom-client-{PROM_CLIENT}")
    failed = made + ".failed"  # not to be tried by every test process
    with only_once(made) as is_mine:
        if not is_mine:
            return made, ""
        if not LONG and os.path.exists(failed) and time.time() - os.path.getmtime(failed) < 600:
            with open(failed, encoding="utf-8") as f:
                return made, f.read()
        why = npm_install(made + ".new", f"prom-client@{PROM_CLIENT}")
        if why:
            with open(failed, "w", encoding="utf-8") as f:
                f.write(why)
        else:
            os.rename(made + ".new", made)
        return made, why


def prom_client(how):
    return program(lambda: (("node", os.path.join(PROGRAMS, "push.js")),
                            (how, install_prom_client()[0])))


def python(handler):
    example = os.path.join(TOP, "examples", "python_push.py")
    return script(sys.executable, "push.py", handler, example)


# ---- the list --------------------------------------------------------------------------

UPLOAD = ("PUT", "POST")

PROM_CLIENT_NEEDS = {"package": "npm", "missing": lambda: install_prom_client()[1]}

CLIENTS = [
    Client("`curl`, with `-f` as well", "trying 7.88.1", LOST, curl("-f"), quick=True),
    Client("`curl -L`", "trying 7.88.1", ARRIVES, curl("-L"), quick=True, large=True),
    Client("`curl -L -T FILE`", "trying 7.88.1", ARRIVES, curl_upload(), methods=UPLOAD),
    Client("`curl -L -T -`, from a pipe", "trying 7.88.1", FAILS, curl_upload(stdin=True),
           "exit status 65", methods=UPLOAD, large=True),
    Client("`wget --method`", "trying 1.21.3", ARRIVES, wget(), quick=True, large=True),
    Client("client_golang", "trying 1.14.0", ARRIVES, program(go),
           package="golang-github-prometheus-client-golang-dev",
           missing=needs("go", "golang-go")),
    Client("client_java", "reading; trying `HttpURLConnection` of JDK 17", ARRIVES,
           script("java", "Push.java"), package="openjdk-17-jdk-headless",
           missing=needs("java", "openjdk-17-jdk-headless")),
    Client("client_python", "trying 0.16.0", FAILS, python("default"), "HTTP Error 307",
           quick=True),
    Client("client_python with `passthrough_redirect_handler`", "trying 0.16.0", FAILS,
           python("passthrough"), "HTTP Error 307"),
    Client("client_python with `examples/python_push.py`", "trying 0.16.0", ARRIVES,
           python("example"), quick=True),
    Client("client_ruby from 3.0 on", "reading; trying `Net::HTTP`", FAILS,
           script("ruby", "push.rb", "strict"), "HttpRedirectError"),
    Client("client_ruby before 3.0, prometheus-client-mmap 0.16", "reading; trying mmap 0.16.2",
           LOST, script("ruby", "push.rb", "mmap"), labels=("instance",)),
    Client("prom-client (Node.js)", f"trying {PROM_CLIENT}", LOST, prom_client("plain"),
           **PROM_CLIENT_NEEDS),
    Client("Node.js `fetch`", "trying 20", ARRIVES, script("node", "push.js", "fetch")),
    Client("prometheus-cpp", "trying 1.0.1", LOST, program(cpp, "{}"), "returns 307",
           delete=FAILS),
    Client("prometheus (Rust, reqwest)", "reading", "should work"),
    Client("prometheus-net", "reading", "follows; body not verified"),

    # What is the same for each client that can do it.
    Client("curl, plain", "", LOST, curl(), in_readme=False),
    Client("curl -L, asking first", "", ARRIVES, curl("-L", "-H", "Expect: 100-continue"),
           in_readme=False),
    Client("curl -L, in chunks", "", ARRIVES, curl("-L", "-H", "Transfer-Encoding: chunked"),
           methods=UPLOAD, in_readme=False),
    Client("curl -L, gzip", "", ARRIVES, curl("-L", "-H", "Content-Encoding: gzip", packed=True),
           methods=UPLOAD, in_readme=False),
    Client("wget, gzip", "", ARRIVES, wget("--header=Content-Encoding: gzip", packed=True),
           methods=UPLOAD, in_readme=False),
    Client("prom-client, gzip", "", LOST, prom_client("gzip"), in_readme=False,
           **PROM_CLIENT_NEEDS),
]

TRIED = [client for client in CLIENTS if client.run]
