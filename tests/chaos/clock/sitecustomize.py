"""A wall clock that tests move, for all processes with this folder on their path: CHAOS_CLOCK names a file of seconds.

Every Python process imports this at its start. The monotonic clock stays what it is, as when an administrator, or
the time service, sets the clock of a machine.
"""

import os
import time

_real = time.time


def _moved() -> float:
    try:
        with open(os.environ["CHAOS_CLOCK"]) as file:
            return _real() + float(file.read() or 0)
    except (KeyError, OSError, ValueError):
        return _real()


time.time = _moved
