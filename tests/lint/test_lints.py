# SPDX-License-Identifier: Apache-2.0
"""Each lint can fail: it is fed a bad sample and must say what is wrong; and a good one."""

import os
import re
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
C = "/* SPDX-License-Identifier: Apache-2.0 */\n"
LAYERS = "base: : base log\npure: base : ring\nview: base pure : sd\n"
CLEAN = {
    "src/LAYERS": LAYERS,
    "src/base.c": C + '#include "dshard/base.h"\n\nint ds_one(void)\n{\n    return 1;\n}\n',
    "src/log.c": C + '#include "dshard/base.h"\n\n#include <stdio.h>\n',
    "src/ring.c": C + '#include "dshard/base.h"\n',
    "src/sd.c": C + '#include "dshard/base.h"\n',
    "include/dshard/base.h": C + "int ds_one(void);\n",
    "tests/unit/test_ring.c": C,
    "tests/unit/test_base.c": C,
    "tests/unit/test_log.c": C,
    "tests/unit/test_sd.c": C,
}
DEEP = ("int f(int a)\n{\n    if (a)\n        if (a > 1)\n            if (a > 2)\n"
        "                if (a > 3)\n                    return 1;\n    return 0;\n}\n")

# Lint, files that differ from CLEAN (None: not there), what it must say.
BAD = [
    ("layers", {"src/base.c": C + '#include "dshard/ring.h"\n'}, "base may not use"),
    ("layers", {"src/ring.c": C + "#include <curl/curl.h>\n"}, "has its door in src/http.c"),
    ("layers", {"src/ring.c": C + "#include <fcgiapp.h>\n"}, "has its door in fcgi/"),
    ("layers", {"src/ring.c": C + "#include <zlib.h>\n"}, "is not known"),
    ("layers", {"src/ring.c": C + "#include <time.h>\n"}, "pure and must do without"),
    ("layers", {"src/stray.c": C}, "is in no line of src/LAYERS"),
    ("layers", {"src/LAYERS": LAYERS + "work: base : gone\n"}, "no file for 'gone'"),
    ("layers", {"src/LAYERS": "base: pure : base log\npure: base : ring\nview: base : sd\n"},
     "does not stand above"),
    ("mirror", {"tests/unit/test_ring.c": None}, "has no tests/unit/test_ring.c"),
    ("mirror", {"tests/unit/test_gone.c": C}, "there is no module 'gone'"),
    ("banned", {"src/ring.c": C + "int f(char *s)\n{\n    return atoi(s);\n}\n"}, "ring.c:4: atoi"),
    ("banned", {"src/ring.c": C + "void f(void)\n{\n    goto out;\nout:\n    return;\n}\n"}, "goto"),
    ("banned", {"src/ring.c": C + 'void f(void)\n{\n    printf("x");\n}\n'}, "printf"),
    ("banned", {"src/ring.c": C + "// hello\n"}, "comments are /* */"),
    ("format", {"src/ring.c": C + "int  f( void ){return 1;}\n"}, "src/ring.c:2"),
    ("spdx", {"src/ring.c": "int x;\n"}, "src/ring.c:1: wants"),
    ("spdx", {"tests/tool.py": "x = 1\n"}, "tests/tool.py:1: wants"),
    ("size", {"src/ring.c": C + "int x;\n" * 400}, "has 401 lines"),
    ("size", {"src/ring.c": C + "void f(void)\n{\n" + "    g();\n" * 61 + "}\n"}, "of 61 lines"),
    ("size", {"src/ring.c": C + DEEP}, "nested more than three levels"),
    ("text", {"doc/a.md": "line \n"}, "a.md:1: ends in a space"),
    ("text", {"doc/a.md": "a\tb\n"}, "a.md:1: has a tab"),
    ("text", {"doc/a.md": "a"}, "does not end in one newline"),
    ("text", {"doc/a.md": "see /ho" "me/me/notes\n"}, "a path of one machine"),
    ("text", {"doc/a.md": "https://my-pypi" ".example.org/simple\n"}, "registry's host name"),
    ("text", {"doc/a.md": b"\xff\n"}, "is not UTF-8"),
    ("tidy", {"src/ring.c": C + "int f(int a)\n{\n    if (a);\n    return 1;\n}\n"}, "ring.c:4"),
    ("cppcheck", {"src/ring.c": C + "int f(void)\n{\n    int a[2] = {0};\n    return a[2];\n}\n"},
     "ring.c:5"),
]


def make_tree(root, changes):
    for path, text in {**CLEAN, **changes}.items():
        if text is None:
            continue
        full = root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(text if isinstance(text, bytes) else text.encode())


def run_lint(name, root, **environ):
    done = subprocess.run(
        [os.path.join(HERE, name)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=60,
        env={**os.environ, "LINT_ROOT": str(root), "PYTHONDONTWRITEBYTECODE": "1", **environ})
    return done.returncode, done.stdout


@pytest.mark.parametrize("name, changes, what", BAD,
                         ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(BAD)])
def test_a_bad_sample_is_complained_about(tmp_path, name, changes, what):
    make_tree(tmp_path, changes)
    status, output = run_lint(name, tmp_path)
    assert status == 1 and what in output, output


@pytest.mark.parametrize("name", sorted({n for n, _, _ in BAD}))
def test_a_clean_sample_passes(tmp_path, name):
    changes = {}
    if name == "mirror":  # its exceptions must exist
        with open(os.path.join(HERE, "mirror"), encoding="utf-8") as f:
            names = re.findall(r'^    "((?:src|fcgi)/[\w-]+)":', f.read(), re.M)
        changes = {f"{n}.c": C for n in names}
    make_tree(tmp_path, changes)
    shutil.copy(os.path.join(HERE, "../../.clang-format"), tmp_path)
    assert run_lint(name, tmp_path) == (0, "")


@pytest.mark.parametrize("source, verdict", [
    ("static int count;\nint f(void)\n{\n    return ++count;\n}\n", "'count' is a variable"),
    ("int f(void)\n{\n    static int calls;\n    return ++calls;\n}\n", "'calls' is a variable"),
    ("int table[2] = {1, 2};\n", "'table' is a variable"),
    ("static const char *const names[] = {\"a\"};\nconst char *f(int i)\n{\n"
     "    return names[i];\n}\n", ""),
])
def test_globals_finds_what_can_change(tmp_path, source, verdict):
    make_tree(tmp_path, {"src/ring.c": C + source})
    build = tmp_path / "out" / "src"
    build.mkdir(parents=True)
    subprocess.run(["cc", "-fPIE", "-c", "-o", build / "ring.o", tmp_path / "src/ring.c"],
                   check=True)
    status, output = run_lint("globals", tmp_path, DSHARD_BUILD=str(build.parent))
    assert (status, verdict in output) == (1 if verdict else 0, True), output


def test_globals_wants_objects(tmp_path):
    make_tree(tmp_path, {})
    status, output = run_lint("globals", tmp_path, DSHARD_BUILD=str(tmp_path / "nowhere"))
    assert status == 1 and "no objects" in output


def test_every_lint_has_a_bad_sample():
    lints = {n for n in os.listdir(HERE)
             if "." not in n and os.access(os.path.join(HERE, n), os.X_OK)
             and os.path.isfile(os.path.join(HERE, n))}
    tried = {n for n, _, _ in BAD} | {"globals", "docs"}
    assert lints <= tried
