# SPDX-License-Identifier: Apache-2.0
"""What the lints share: which files there are, C without comments, and complaining.

A lint is an executable tests/lint/NAME.  It looks at the tree that $LINT_ROOT names (the
top of this tree without it; test_lints.py feeds bad samples that way), prints
FILE:LINE: WHAT for each thing that is wrong, and exits 1 when there was one.
"""

import fnmatch
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.environ.get(
    "LINT_ROOT", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
_complaints = 0


def all_files():
    """Paths below ROOT that belong to the project, sorted."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if listed.returncode == 0 and os.path.exists(os.path.join(ROOT, ".git")):
        paths = listed.stdout.decode().splitlines()
    else:
        paths = list(_walk())
    return sorted(p for p in set(paths) if os.path.isfile(os.path.join(ROOT, p)))


def _walk():
    """For a tree that came as an archive."""
    for directory, subdirectories, names in os.walk(ROOT):
        subdirectories[:] = [d for d in subdirectories
                             if d not in ("build", "__pycache__", ".git")]
        for name in names:
            path = os.path.relpath(os.path.join(directory, name), ROOT)
            if path not in ("bin/dshard", "bin/dshard-fcgi"):
                yield path


def files(*patterns):
    """The project's files that match one of the patterns ("src/*.c": * spans slashes)."""
    return [p for p in all_files() if any(fnmatch.fnmatch(p, g) for g in patterns)]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def _blank(match):
    """Spaces of the same shape, so that lines and columns stay."""
    text = match.group(0)
    inner = re.sub(r"[^\n]", " ", text)
    return text[0] + inner[1:-1] + text[-1] if text[0] in "\"'" else inner


_NOT_CODE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.S | re.X)


def code_of(text):
    """C text with comments and the insides of strings blanked out."""
    return _NOT_CODE.sub(_blank, text)


def strings_blanked(text):
    """C text with the insides of strings and /* */ comments blanked, // kept."""
    return _NOT_CODE.sub(lambda m: m.group(0) if m.group(0).startswith("//") else _blank(m),
                         text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def complain(path, line, what):
    global _complaints
    _complaints += 1
    print(f"{path}:{line}: {what}" if line else f"{path}: {what}")


def finish():
    sys.exit(1 if _complaints else 0)
