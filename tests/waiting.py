"""The one way in which tests wait: for a condition, not for a time. And the free port that servers of tests take."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def until(
    condition: Callable[[], object], seconds: float = 60, why: Callable[[], str] = lambda: "it did not happen in time"
) -> None:
    """Return as soon as the condition holds; AssertionError with `why` if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of this host that is free, that no connection takes by itself, and that no other test is given.

    Linux takes the ports of outgoing connections from 32768 up. A busy test has thousands of them, so a port that the
    system chooses may be another's when a server begins, and again when a killed one comes back. Between the choice
    and its server's first breath a minute may pass: a lock keeps the port this process's until that ends. The chance
    is the system's, since a training in the test seeds that of `random`: two workers would be given the same ports.
    """
    folder = Path(tempfile.gettempdir()) / f"imgcls-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        lock = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("", port))
        except OSError:  # another test's, or another program's
            os.close(lock)
        else:
            return port
