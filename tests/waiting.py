"""The one way in which tests wait: for a condition, not for a time. And the free port that servers of tests take."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Callable


def until(
    condition: Callable[[], object], seconds: float = 60, why: Callable[[], str] = lambda: "it did not happen in time"
) -> None:
    """Return as soon as the condition holds; AssertionError with `why` if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of this host that is free, and that no connection takes by itself before its server listens.

    Linux takes the ports of outgoing connections from 32768 up. A busy test has thousands of them, so a port that the
    system chooses may be another's when a server begins, and again when a killed one comes back.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
