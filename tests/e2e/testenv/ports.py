# SPDX-License-Identifier: Apache-2.0
"""Free ports that no other test process on this machine takes at the same time."""

import fcntl
import os
import random
import socket
import tempfile

_held = {}  # port -> the descriptor whose lock reserves it until this process ends


def _range():
    """Ports below the ephemeral ones, which outgoing connections take at any moment."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
            low = int(f.read().split()[0])
    except (OSError, ValueError):
        low = 32768
    return (10000, low) if low > 12000 else (1024, 65536)


def _reserve(port):
    """A lock on a file named after the port; None when somebody else has it."""
    directory = os.path.join(tempfile.gettempdir(), f"dshard-test-ports-{os.getuid()}")
    os.makedirs(directory, exist_ok=True)
    fd = os.open(os.path.join(directory, str(port)), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def _is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def free_port():
    """A TCP port, free on every address, reserved until this process ends."""
    low, high = _range()
    for _ in range(1000):
        port = random.SystemRandom().randrange(low, high)
        if port in _held:
            continue
        fd = _reserve(port)
        if fd is None:
            continue
        if _is_free(port):
            _held[port] = fd
            return port
        os.close(fd)
    raise RuntimeError("no free port in a thousand attempts")
