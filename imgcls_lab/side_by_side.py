"""Calls that wait for a disk, side by side: eight files are on it, or on a server of files, about as soon as one.

The threads stay: a daemon of a cluster makes such calls several times a second, and to start threads took it a tenth of
its time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

AT_ONCE = 16  # a disk orders that many syncs at a time; more threads only wait for each other

Item = TypeVar("Item")
Result = TypeVar("Result")

_here = threading.local()  # is_side: whether this thread is one of the pool's


def side_by_side(call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `call` returns for each, in their order. Raises what the first of them raised, when none runs any more."""
    if len(items) < 2 or getattr(_here, "is_side", False):  # its own calls would wait for threads that wait for it
        return [call(item) for item in items]
    futures = [_pool().submit(call, item) for item in items]
    wait(futures)
    return [future.result() for future in futures]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "side-by-side", initializer=lambda: setattr(_here, "is_side", True))


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not cross a fork
