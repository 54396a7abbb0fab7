"""The one way in which tests wait: for a condition, not for a time."""

from __future__ import annotations

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
