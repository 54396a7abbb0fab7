"""The processes that decode images, and who waits for them. Called by the server's threads, one call a thread.

A process that hangs or dies is ended and replaced, and its image is tried once more: on a loaded machine the kernel may
have killed a process that did nothing wrong. The image that does it twice gets a sentence, everybody else an answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from imgcls_lab import cpu
from imgcls_lab.child_environment import child_environment
from imgcls_lab.data_files import FoundImage
from imgcls_lab.entry_points import THUMBNAILS
from imgcls_lab.errors import BusyError, DataError, ImgclsError
from imgcls_lab.image_files import printable
from imgcls_lab.patience import Patience, TooSlowError
from imgcls_lab.thumbnails.cache import LARGEST

CPU_SECONDS = 20.0  # of a process for one image, however little of the processor it gets
CLOCK_SECONDS = 60.0  # until an answer: by then the process is stopped, or its disk gives nothing
END_SECONDS = 5.0
TRIES = 2
MOST = 4  # processes
_HEAD = 64 * 1024  # bytes of the line before a picture


class GivenUpError(ImgclsError):
    """Nobody waits for this picture any more."""

    status = 499


class _Worker:
    """One process. Raises BrokenPipeError or EOFError where it has ended, TimeoutError where it hangs, TooSlowError."""

    def __init__(self, cpu_seconds: float, clock_seconds: float) -> None:
        self._cpu_seconds, self._clock_seconds = cpu_seconds, clock_seconds
        self._process = subprocess.Popen(
            THUMBNAILS.argv(sys.executable),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(changes={"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}),
            cwd="/",
        )
        self._buffer = b""

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdin is not None  # noqa: S101
        patience = Patience(self._process.pid, computing=self._cpu_seconds, clock=self._clock_seconds)
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        while b"\n" not in self._buffer:
            self._read(patience)
            if len(self._buffer) > _HEAD and b"\n" not in self._buffer[:_HEAD]:
                raise EOFError
        head, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(head)
        length = int(found.get("length", 0))
        if length > LARGEST:
            raise EOFError
        while len(self._buffer) < length:
            self._read(patience)
        content, self._buffer = self._buffer[:length], self._buffer[length:]
        return found, content

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def _read(self, patience: Patience) -> None:
        assert self._process.stdout is not None  # noqa: S101
        descriptor = self._process.stdout.fileno()
        patience.wait(descriptor)
        if not (data := os.read(descriptor, 2**20)):
            raise EOFError
        self._buffer += data

    def end(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        with contextlib.suppress(subprocess.TimeoutExpired):  # a disk that is away may hold it; it is reaped later
            self._process.wait(END_SECONDS)


class ThumbnailPool:
    """Some processes, started when they are needed. `close` ends them."""

    def __init__(
        self, processes: int | None = None, *, cpu_seconds: float = CPU_SECONDS, clock_seconds: float = CLOCK_SECONDS
    ) -> None:
        self._cpu_seconds, self._clock_seconds = cpu_seconds, clock_seconds
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # None: a process that is not started
        self._closed = False
        self._size = processes or min(MOST, cpu.cores())
        for _ in range(self._size):
            self._idle.put(None)

    def picture(self, found: FoundImage, size: int, unwanted: Callable[[], bool] = lambda: False) -> bytes:
        """The image as WebP, its longer edge at most `size` px.

        unwanted: asked when a process is free, and before a second try. Raises DataError or BusyError with a sentence,
        GivenUpError.
        """
        worker = self._idle.get()
        request = {"root": found.root, "path": found.path, "image": found.image, "size": size}
        try:
            for is_last in (False,) * (TRIES - 1) + (True,):
                if self._closed or unwanted():
                    raise GivenUpError
                try:
                    worker = self._running(worker)
                    head, content = worker.ask(request)
                    break
                except (BrokenPipeError, EOFError, ValueError, TimeoutError, TooSlowError) as error:
                    _end(worker)
                    worker = None
                    if is_last or isinstance(error, TooSlowError):
                        raise self._sentence(found, error) from None
        finally:
            if self._closed:
                _end(worker)
                worker = None
            self._idle.put(worker)
        if "error" in head:
            raise DataError(str(head["error"]), reason=str(head.get("reason", "")))
        return content

    def _running(self, worker: _Worker | None) -> _Worker:
        """A process: one that went to rest meanwhile, or was killed, is started anew."""
        if worker is not None and not worker.ended:
            return worker
        _end(worker)
        return _Worker(self._cpu_seconds, self._clock_seconds)

    def _sentence(self, found: FoundImage, error: Exception) -> ImgclsError:
        name = printable(found.path)
        if isinstance(error, TooSlowError):
            text = f"“{name}” cannot be shown: decoding it takes more than {self._cpu_seconds:g} s of computing."
            return DataError(text, reason="too_slow")
        if isinstance(error, TimeoutError):
            text = (
                f"“{name}” is not shown yet: {TRIES} tries of {self._clock_seconds:g} s gave no picture. The machine "
                "is very busy, or the disk of the images does not answer. Try again later."
            )
            return BusyError(text, reason="hangs")
        text = f"“{name}” cannot be shown: its decoder crashed or ran out of memory, {TRIES} times."
        return DataError(text, reason="crashed")

    def close(self) -> None:
        """End all processes; who waits is given up."""
        self._closed = True
        for _ in range(self._size):
            _end(self._idle.get())
            self._idle.put(None)


def _end(worker: _Worker | None) -> None:
    if worker is not None:
        worker.end()
