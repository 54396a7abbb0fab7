"""Threads for what may block, a pool for each kind of work: slow work keeps no list and no stop button waiting.

Made by `backend.py`. A pool takes a number of calls, running and waiting; it refuses the next with a sentence, so that
neither threads nor memory grow with the number of requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeVar

from imgcls_lab.errors import BusyError

T = TypeVar("T")
# query: of the database, short; slow: looks at folders, plans a sweep, reads a notebook; board: starts a TensorBoard;
# inference: of the one process that applies models; poll: of the stream; picture: of an image, which a process of its
# own decodes
Work = Literal["query", "slow", "board", "inference", "poll", "picture"]
RETRY_AFTER = 5  # seconds after which a refused client should ask again


class Size(NamedTuple):
    threads: int
    waiting: int


SIZES: dict[Work, Size] = {
    "query": Size(6, 200),  # SQLite gains nothing from more threads
    "slow": Size(2, 30),
    "board": Size(4, 60),
    "inference": Size(1, 12),
    "poll": Size(1, 2),
    "picture": Size(6, 1000),  # a browser asks for six at once; a grid that is scrolled fast gives up most of them
}


class Pool:
    """Threads for one kind of work."""

    def __init__(self, work: Work, size: Size) -> None:
        self._size = size
        self._threads = ThreadPoolExecutor(size.threads, thread_name_prefix=f"imgcls-{work}")
        self._lock = threading.Lock()
        self._taken = 0

    async def run(self, call: Callable[[], T]) -> T:
        """What `call` returns, run in a thread. Raises BusyError where too many calls run and wait."""
        with self._lock:
            if self._taken >= self._size.threads + self._size.waiting:
                raise BusyError(
                    f"The server has {self._taken} requests of this kind to answer first. Try again in "
                    f"{RETRY_AFTER} seconds.",
                    reason="busy",
                    waiting=self._taken,
                )
            self._taken += 1
        future = self._threads.submit(call)
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _future: Future[Any]) -> None:
        with self._lock:
            self._taken -= 1

    def close(self) -> None:
        """Wait for what runs; what waits is given up."""
        self._threads.shutdown(wait=True, cancel_futures=True)
