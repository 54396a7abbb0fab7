"""The one way in which tests wait: for a condition, not for a time. And the free port that servers of tests take."""

from __future__ import annotations

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
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
