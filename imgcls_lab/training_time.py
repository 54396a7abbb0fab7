"""Training time: seconds since a run's training began, the pauses between its attempts left out.

Every series carries it, whether the points come from the database (`metrics.py`) or from a run's folder
(`curves.py`), so all curves of a run share one zero. Pure arithmetic; reads nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Leg:
    """The points of an attempt that still hold: where they begin and end. Times are Unix seconds."""

    began: float | None  # stamp of the `started` event; None where it is lost
    step: int  # of the first point
    first: float  # stamp of the first point
    last: float  # stamp of the last one


class TrainingTime:
    """From stamps to training time and back. `legs`: those of a run's attempts that have points, in their order.

    An attempt goes on at the time of the last point before it, as the steps do: what a resume took back is no time.
    """

    def __init__(self, legs: Iterable[Leg]) -> None:
        self._starts: list[tuple[int, float]] = []  # step and stamp of the first point
        self._done: list[float] = []  # training time when the attempt goes on
        self._zeros: list[float] = []  # Unix seconds that count as 0
        done = 0.0
        for leg in legs:
            # a notebook's attempt begins several trainings: the one before the first point counts
            begin = leg.first if leg.began is None else min(leg.began, leg.first)
            self._starts.append((leg.step, leg.first))
            self._done.append(done)
            self._zeros.append(begin - done)
            done += max(0.0, leg.last - begin)

    def at(self, step: int, stamp: float) -> float:
        """Training time, in seconds, of a point that was stamped at Unix `stamp`."""
        if not self._zeros:
            return 0.0
        return stamp - self._zeros[max(0, bisect_right(self._starts, (step, stamp)) - 1)]

    def stamps(self, low: float | None, high: float | None) -> tuple[float | None, float | None]:
        """Unix seconds of a range of training time, inclusive to the microsecond that stamps are exact to."""
        return self._stamp(low, -1e-6), self._stamp(high, 1e-6)

    def _stamp(self, seconds: float | None, play: float) -> float | None:
        if seconds is None or not self._zeros:
            return seconds
        return seconds + play + self._zeros[max(0, bisect_right(self._done, seconds + play) - 1)]
