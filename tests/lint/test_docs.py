# SPDX-License-Identifier: Apache-2.0
"""The lint `docs`, with programs and manual pages made up for it."""

import os
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
HELP = """usage: x

Commands:
  ring show                        the ring
  register [SERVER...]             adds

Common options:
  -o, --output FORMAT        form

Exit status: 0 done; 1 failed; 75 try again.
"""
COMMAND_HELP = "Options:\n      --force                do it\n"
PAGE = """.Dd January 1, 2026
.Dt DSHARD 1
.Os
.Sh NAME
.Nm dshard
.Nd one address
.Sh COMMANDS
.Bl -tag -width Ds
.It Ic ring show
The ring.
.It Ic register Op Ar SERVER ...
Adds.
.Fl -force
is there, and
.Fl o ,
.Fl -output ,
.Fl -version .
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Done.
.It 1
Failed.
.It 75
Try again.
.El
"""
FCGI_PAGE = """.Dd January 1, 2026
.Dt DSHARD-FCGI 8
.Os
.Sh NAME
.Nm dshard-fcgi
.Nd answers
.Sh DESCRIPTION
.Fl -state
"""


def make(root, page):
    (root / "bin").mkdir()
    (root / "man").mkdir()
    (root / "man/dshard.1").write_text(page)
    (root / "man/dshard-fcgi.8").write_text(FCGI_PAGE)
    dshard = root / "bin/dshard"
    dshard.write_text(f"#!/bin/sh\nif [ $1 = help ]; then cat <<'E'\n{HELP}E\n"
                      f"else cat <<'E'\n{COMMAND_HELP}E\nfi\n")
    fcgi = root / "bin/dshard-fcgi"
    fcgi.write_text("#!/bin/sh\necho '      --state FILE   the state'\n")
    for program in (dshard, fcgi):
        program.chmod(0o755)


def run(root):
    done = subprocess.run(
        [os.path.join(HERE, "docs")], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
        env={**os.environ, "LINT_ROOT": str(root), "DSHARD_BIN": str(root / "bin")})
    return done.returncode, done.stdout


def test_a_page_that_says_it_all_passes(tmp_path):
    make(tmp_path, PAGE)
    assert run(tmp_path) == (0, "")


@pytest.mark.parametrize("old, new, what", [
    (".Fl -force\n", "", "does not have the option --force"),
    (".Fl -force\n", ".Fl -force\n.Fl -old\n", "has the option --old"),
    (".Fl o ,\n", "", "does not have the option -o"),
    (".It Ic ring show\n", ".It Ic ring\n", "does not have the command ring show"),
    (".It Ic ring show\n", ".It Ic ring show\n.It Ic gone\n", "has the command gone"),
    (".It 75\n", ".It 74\n", "does not have the exit status 75"),
    (".Sh NAME", ".Zz NAME", "mandoc has something to say"),
])
def test_a_page_that_differs_is_complained_about(tmp_path, old, new, what):
    make(tmp_path, PAGE.replace(old, new))
    status, output = run(tmp_path)
    assert status == 1 and what in output, output
