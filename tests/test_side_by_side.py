"""Calls side by side: their order, what they raise, and that they wait together."""

from __future__ import annotations

import threading
import time

import pytest

from imgcls_lab.side_by_side import AT_ONCE, side_by_side


def test_results_stand_in_the_order_of_the_items() -> None:
    assert side_by_side(lambda n: n * n, range(100)) == [n * n for n in range(100)]
    assert side_by_side(str, ["one"]) == ["one"]
    assert side_by_side(str, []) == []


def test_calls_run_at_the_same_time() -> None:
    together = threading.Barrier(AT_ONCE, timeout=30)
    assert sorted(side_by_side(lambda _: together.wait(), range(AT_ONCE))) == list(range(AT_ONCE))


def test_the_first_error_is_raised_when_none_runs_any_more() -> None:
    running: set[int] = set()

    def call(number: int) -> None:
        running.add(number)
        time.sleep(0.05)
        running.remove(number)
        if number in {3, 5}:
            raise ValueError(f"{number} fails")

    with pytest.raises(ValueError, match="3 fails"):
        side_by_side(call, range(AT_ONCE))
    assert not running
