"""Taking times: contestants in turn, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def in_turn(contestants: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each contestant gives in each round: a, b, a, b ... Each begins every other round."""
    found: dict[str, list[T]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants)
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(contestants[name]())
    return found


def best(values: Sequence[float]) -> float:
    """The least disturbed of several times."""
    return min(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share (0 to 1) of all do not exceed: nearest rank, so it is one that was measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
