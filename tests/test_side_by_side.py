"""Calls side by side: their order, what they raise, and that they wait together."""

from __future__ import annotations

import os
import threading
import time

import pytest

from imgcls_lab.side_by_side import AT_ONCE, side_by_side
from tests.waiting import until


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


def test_a_call_that_makes_such_calls_itself_does_not_wait_for_ever() -> None:
    def inner(number: int) -> list[int]:
        return side_by_side(lambda n: n + number, range(3))

    assert side_by_side(inner, range(2 * AT_ONCE)) == [[n, n + 1, n + 2] for n in range(2 * AT_ONCE)]


def test_a_forked_process_has_threads_of_its_own() -> None:
    side_by_side(str, range(AT_ONCE))
    if not (child := os.fork()):
        os._exit(int(side_by_side(str, [1, 2]) != ["1", "2"]))
    found: list[tuple[int, int]] = []
    until(lambda: found.append(os.waitpid(child, os.WNOHANG)) or found[-1][0], 30)
    assert os.waitstatus_to_exitcode(found[-1][1]) == 0
