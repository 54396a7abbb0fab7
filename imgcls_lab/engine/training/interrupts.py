"""Ctrl-C and SIGTERM as a request to stop. Used around an attempt, and by `lab.train` already while torch is imported.
Work that waits for another machine is ended by them at once.

Imports no torch.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class StoppedError(KeyboardInterrupt):
    """A stop was requested during work that it ends at once. Libraries clean up as after Ctrl-C."""


@contextlib.contextmanager
def signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and the first SIGINT set `stop`; a second SIGINT interrupts. Does nothing outside the main thread."""

    def on_signal(number: int, _frame: object) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with _handled(on_signal):
        yield


@contextlib.contextmanager
def ended_by(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop` and raise StoppedError inside; so does a `stop` that is set before."""

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()
        raise StoppedError

    with _handled(on_signal):
        if stop.is_set():
            raise StoppedError
        yield


@contextlib.contextmanager
def _handled(on_signal: Callable[[int, object], None]) -> Iterator[None]:
    """Does nothing outside the main thread, which alone may say what signals do."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
