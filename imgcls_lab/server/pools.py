"""Threads for what may block, a pool for each kind of work: slow work keeps no list and no stop button waiting.

Made by `backend.py`. A pool takes a number of calls, running and waiting; it refuses the next with a sentence, so that
neither threads nor memory grow with the number of requests.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from imgcls_lab.errors import BusyError

T = TypeVar("T")
# query: of the database, short; slow: looks at folders, plans a sweep, reads a notebook; board: starts a TensorBoard;
# job: a task that its page watches; inference: of the one process that applies models; poll: of the stream; kept:
# pictures that were made before; picture: of an image, which a process of its own decodes
Work = Literal["query", "slow", "board", "job", "inference", "poll", "kept", "picture"]
MOST_TOGETHER = 1000  # calls with one key that wait
RETRY_AFTER = 5  # seconds after which a refused client should ask again


class Size(NamedTuple):
    threads: int
    waiting: int


SIZES: dict[Work, Size] = {
    "query": Size(6, 200),  # SQLite gains nothing from more threads
    "slow": Size(2, 30),
    "board": Size(4, 60),
    "job": Size(2, 20),  # `jobs.py` refuses more
    "inference": Size(1, 12),
    "poll": Size(1, 2),
    "kept": Size(4, 100),  # each call brings all that wait for one data set or run
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
                raise _busy(self._taken)
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


class Together(Generic[T]):
    """Short calls that one thread makes one after the other: those that come while it is at work go together next.

    A thread for each costs several times what such a call takes, since threads and event loop fight for the interpreter
    at each look at the disk. Another key has another thread: a disk that hangs stops its own calls alone. For the event
    loop.
    """

    def __init__(self, run: Callable[[Callable[[], list[T | Exception]]], Awaitable[list[T | Exception]]]) -> None:
        """run: makes a call in a thread, as `Pool.run`."""
        self._run = run
        self._waiting: dict[str, list[tuple[Callable[[], T], asyncio.Future[T]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, key: str, call: Callable[[], T]) -> T:
        """What `call` returns or raises. Raises BusyError where too many calls wait."""
        if key not in self._waiting:
            self._waiting[key] = []
            task = asyncio.create_task(self._work(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        waiting = self._waiting[key]
        if len(waiting) >= MOST_TOGETHER:
            raise _busy(len(waiting))
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting.append((call, future))
        return await future

    async def _work(self, key: str) -> None:
        while calls := self._waiting[key]:
            self._waiting[key] = []
            try:
                outcomes = await self._run(lambda calls=calls: [_outcome(call) for call, _ in calls])  # type: ignore[misc]
            except Exception as error:
                outcomes = [error] * len(calls)
            for (_, future), outcome in zip(calls, outcomes, strict=True):
                if future.done():  # whoever waited has gone
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        del self._waiting[key]


def _outcome(call: Callable[[], T]) -> T | Exception:
    try:
        return call()
    except Exception as error:
        return error


def _busy(waiting: int) -> BusyError:
    return BusyError(
        f"The server has {waiting} requests of this kind to answer first. Try again in {RETRY_AFTER} seconds.",
        reason="busy",
        waiting=waiting,
    )
