# SPDX-License-Identifier: Apache-2.0
"""This machine once more, with a systemd of its own: in namespaces, without a network, and on
an overlay of the root directory, so that nothing that it does stays."""

import os
import shutil
import signal
import subprocess

from .programs import BIN, TOP, clean_environ
from .wait import wait_until

# Everything is mounted in a namespace of mounts, which goes with the process that runs this.
BOOT = r"""
set -eu
dir=$1 group=$2
mkdir "$dir/disk"
mount -t tmpfs tmpfs "$dir/disk"
cd "$dir/disk"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
# What this machine's own administrator has set up is not to be started.
rm -rf root/etc/systemd/system root/etc/rc?.d root/etc/nginx/conf.d root/etc/nginx/sites-enabled
rm -rf root/etc/dshard root/var/lib/dshard root/var/log/journal root/usr/sbin/policy-rc.d
mkdir -p root/etc/systemd/system root/etc/nginx/conf.d root/etc/nginx/sites-enabled root/var/log
sed -i '/^dshard:/d' root/etc/passwd root/etc/shadow root/etc/group root/etc/gshadow
: >root/etc/machine-id
cp -R "$dir/files/." root/
# Where it keeps what it tells systemd; it refuses a disk.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
# As machines have it since 2021, whatever this one has.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$group"
trap 'find "/sys/fs/cgroup/$group" -depth -type d -exec rmdir {} +' EXIT
run() {
    sh -c 'echo $PPID' >"/sys/fs/cgroup/$group/cgroup.procs"
    exec systemd-nspawn --quiet --directory=root --machine="$group" --register=no --keep-unit \
        --private-network --resolv-conf=off --timezone=off --link-journal=no --console=pipe --boot
}
status=133    # it is to boot
while [ "$status" = 133 ]; do
    status=0
    (run) || status=$?
done
echo "systemd-nspawn ended with $status"
"""


class Machine:
    """Needs root, systemd-nspawn, and what the examples need.  `files` are more of its files:
    path and text."""

    name = "machine"

    def __init__(self, env, files):
        self.dir, self.group = env.path("machine"), f"dshard-test-{os.getpid()}"
        self.log_path, self.proc = env.path("machine.log"), None
        root = os.path.join(self.dir, "files")
        subprocess.run(["make", "-s", "-o", "all", "install", f"BIN={BIN}", f"DESTDIR={root}",
                        "PREFIX=/usr/local"], cwd=TOP, check=True, stdin=subprocess.DEVNULL)
        shutil.copytree(os.path.join(TOP, "examples"), f"{root}/srv/dshard/examples")
        for path, text in files.items():
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            with open(root + path, "w", encoding="utf-8") as f:
                f.write(text)

    def start(self):
        with open(self.log_path, "wb") as log:
            self.proc = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOT, "sh",
                 self.dir, self.group], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**clean_environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True)
        self.wait_for_boot()

    def wait_for_boot(self, but=None):
        """Until it is up; it is not the one whose first process was `but`."""
        def is_up():
            assert self.proc.poll() is None, f"it has not begun: {self.log_tail()}"
            return self.init() != but and \
                self.run("systemctl is-active multi-user.target", check=False) == "active"
        wait_until(is_up, 30, "the boot")

    def init(self):
        """The pid, here, of its first process."""
        for pid in descendants(self.proc.pid):
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                ids = [line.split()[1:] for line in f if line.startswith("NSpid:")][0]
            if len(ids) > 1 and ids[-1] == "1":
                return pid
        raise LookupError("systemd does not run yet")

    def enter(self, *namespaces):
        """What stands in front of a command to run it there, in these namespaces."""
        return ["nsenter", "-t", str(self.init()), *(f"--{n}" for n in namespaces), "--"]

    def run(self, script, check=True):
        """What a script there says, as root in /srv/dshard."""
        done = subprocess.run(
            [*self.enter("mount", "uts", "ipc", "net", "pid", "cgroup"), "sh", "-euc",
             f"cd /srv/dshard\n{script}"], check=False, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=60,
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"})
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout.strip()

    def stop(self):
        if not self.proc or self.proc.poll() is not None:
            return
        try:
            os.kill(self.init(), signal.SIGKILL)  # and with it all that runs there
        except LookupError:
            os.killpg(self.proc.pid, signal.SIGKILL)
        self.proc.wait(timeout=20)

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def all_problems(self):
        return []


def descendants(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        children = [int(child) for child in f.read().split()]
    return children + [d for child in children for d in descendants(child)]
