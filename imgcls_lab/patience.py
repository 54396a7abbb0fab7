"""How long one waits for another process: by what it computes, and by a clock only where it computes nothing.

A clock alone gives up on a process that a busy machine does not let run. Used by whoever has started the process.
"""

from __future__ import annotations

import select
import time

import psutil

from imgcls_lab.errors import ImgclsError

_LOOK = 1.0  # seconds between two looks at the processor's time


class TooSlowError(ImgclsError):
    """The process has computed for longer than it should."""


class Patience:
    """Begins when it is made. computing: seconds of the processor for that process; clock: seconds in all."""

    def __init__(self, pid: int, *, computing: float, clock: float) -> None:
        self._process = pid
        self._limit = self._computed() + computing
        self._deadline = time.monotonic() + clock

    def check(self) -> float:
        """Seconds until one should look again.

        Raises TooSlowError or TimeoutError where it has lasted too long, EOFError where the process is gone.
        """
        if self._computed() > self._limit:
            raise TooSlowError
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(_LOOK, left)

    def wait(self, descriptor: int) -> None:
        """Until there is something to read from a descriptor. Raises as `check` does."""
        pause = min(_LOOK, max(0.0, self._deadline - time.monotonic()))
        while not select.select([descriptor], [], [], pause)[0]:
            pause = self.check()

    def _computed(self) -> float:
        try:
            used = psutil.Process(self._process).cpu_times()
        except psutil.Error:
            raise EOFError from None
        return float(used.user + used.system)
