# SPDX-License-Identifier: Apache-2.0
"""The clients that push: how each is run, and what becomes of its push.  The README's table
of clients is made of this list.

A client that is a library has a program in tests/data/clients.  It gets the URL of the
frontend, reads lines "METHOD JOB BYTES" and answers each with "ok", when the client reports
success, or "error WHY".  It pushes the gauge rows with a help text of so many bytes, in the
group of the job, instance "db1" and zone "eu".
"""

import dataclasses
import fcntl
import functools
import gzip
import hashlib
import os
import subprocess
import sys
import typing

from testenv import TOP, clean_environ

PROGRAMS = os.path.join(TOP, "tests", "data", "clients")
BUILT = os.path.join(TOP, "build", "clients")

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
    package: str = ""    # one that only `make torture` installs
    large: bool = False  # pushes 30 MB in `make test`, too
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


@functools.lru_cache
def build(name, *compiler, **environ):
    """A program that is made once for its source and command; the path."""
    source = os.path.join(PROGRAMS, name)
    with open(source, "rb") as f:
        digest = hashlib.sha256(f.read() + repr(compiler).encode()).hexdigest()[:12]
    os.makedirs(BUILT, exist_ok=True)
    made = os.path.join(BUILT, f"{name}-{digest}")
    with open(made + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several test processes one builds
        if not os.path.exists(made):
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


def python(handler):
    example = os.path.join(TOP, "examples", "python_push.py")
    return script(sys.executable, "push.py", handler, example)


# ---- the list --------------------------------------------------------------------------

UPLOAD = ("PUT", "POST")

CLIENTS = [
    Client("`curl`, with `-f` as well", "trying 7.88.1", LOST, curl("-f")),
    Client("`curl -L`", "trying 7.88.1", ARRIVES, curl("-L"), large=True),
    Client("`curl -L -T FILE`", "trying 7.88.1", ARRIVES, curl_upload(), methods=UPLOAD),
    Client("`curl -L -T -`, from a pipe", "trying 7.88.1", FAILS, curl_upload(stdin=True),
           "exit status 65", methods=UPLOAD, large=True),
    Client("`wget --method`", "trying 1.21.3", ARRIVES, wget(), large=True),
    Client("client_golang", "trying 1.14.0", ARRIVES, program(go),
           package="golang-github-prometheus-client-golang-dev"),
    Client("client_java", "reading; trying `HttpURLConnection` of JDK 17", ARRIVES,
           script("java", "Push.java"), package="openjdk-17-jdk-headless"),
    Client("client_python", "trying 0.16.0", FAILS, python("default"), "HTTP Error 307"),
    Client("client_python with `passthrough_redirect_handler`", "trying 0.16.0", FAILS,
           python("passthrough"), "HTTP Error 307"),
    Client("client_python with `examples/python_push.py`", "trying 0.16.0", ARRIVES,
           python("example")),
    Client("client_ruby from 3.0 on", "reading; trying `Net::HTTP`", FAILS,
           script("ruby", "push.rb", "strict"), "HttpRedirectError"),
    Client("client_ruby before 3.0, prometheus-client-mmap", "reading; trying mmap 0.16.2",
           LOST, script("ruby", "push.rb", "mmap"), labels=("instance",)),
    Client("prom-client (Node.js)", "trying 15.1.3 by hand; trying Node's `http`", LOST,
           script("node", "push.js", "core")),
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
    Client("prom-client, gzip", "", LOST, script("node", "push.js", "gzip"), methods=UPLOAD,
           in_readme=False),
]

TRIED = [client for client in CLIENTS if client.run]
