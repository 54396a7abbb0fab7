"""The processes that decode images, and who waits for them. Called by the server's threads, one call a thread.

A process that hangs or dies is ended and replaced; the image that did it gets a sentence, and everybody else an answer.
"""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from imgcls_lab import cpu
from imgcls_lab.child_environment import child_environment
from imgcls_lab.data_files import FoundImage
from imgcls_lab.entry_points import THUMBNAILS
from imgcls_lab.errors import DataError, ImgclsError
from imgcls_lab.image_files import printable
from imgcls_lab.thumbnails.cache import LARGEST

TIMEOUT = 20.0  # seconds for one image
MOST = 4  # processes
_HEAD = 64 * 1024  # bytes of the line before a picture


class GivenUpError(ImgclsError):
    """Nobody waits for this picture any more."""

    status = 499


class _Worker:
    """One process. Raises BrokenPipeError or EOFError where it has ended, TimeoutError where it hangs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            THUMBNAILS.argv(sys.executable),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(changes={"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}),
            cwd="/",
        )
        self._buffer = b""

    def ask(self, request: dict[str, Any], deadline: float) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        while b"\n" not in self._buffer:
            self._read(deadline)
            if len(self._buffer) > _HEAD and b"\n" not in self._buffer[:_HEAD]:
                raise EOFError
        head, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(head)
        length = int(found.get("length", 0))
        if length > LARGEST:
            raise EOFError
        while len(self._buffer) < length:
            self._read(deadline)
        content, self._buffer = self._buffer[:length], self._buffer[length:]
        return found, content

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def _read(self, deadline: float) -> None:
        assert self._process.stdout is not None  # noqa: S101
        descriptor = self._process.stdout.fileno()
        if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
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
        self._process.wait()


class ThumbnailPool:
    """Some processes, started when they are needed. `close` ends them."""

    def __init__(self, processes: int | None = None, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()  # None: a process that is not started
        self._closed = False
        self._size = processes or min(MOST, cpu.cores())
        for _ in range(self._size):
            self._idle.put(None)

    def picture(self, found: FoundImage, size: int, unwanted: Callable[[], bool] = lambda: False) -> bytes:
        """The image as WebP, its longer edge at most `size` px.

        unwanted: asked when a process is free. Raises DataError with a sentence, GivenUpError.
        """
        worker = self._idle.get()
        try:
            if self._closed or unwanted():
                raise GivenUpError
            request = {"root": found.root, "path": found.path, "image": found.image, "size": size}
            try:
                worker, head, content = self._ask(worker, request)
            except (EOFError, BrokenPipeError, ValueError):
                _end(worker)
                worker = None
                raise DataError(
                    f"“{printable(found.path)}” cannot be shown: its decoder crashed or ran out of memory.",
                    reason="crashed",
                ) from None
            except TimeoutError:
                _end(worker)
                worker = None
                raise DataError(
                    f"“{printable(found.path)}” cannot be shown: decoding it takes more than {self._timeout:g} s.",
                    reason="too_slow",
                ) from None
        finally:
            if self._closed:
                _end(worker)
                worker = None
            self._idle.put(worker)
        if "error" in head:
            raise DataError(str(head["error"]), reason=str(head.get("reason", "")))
        return content

    def _ask(self, worker: _Worker | None, request: dict[str, Any]) -> tuple[_Worker, dict[str, Any], bytes]:
        """The answer, and the process that gave it: one that went to rest meanwhile is started anew."""
        if worker is not None and worker.ended:
            worker.end()
            worker = None
        if worker is not None:
            return worker, *worker.ask(request, time.monotonic() + self._timeout)
        worker = _Worker()
        try:
            return worker, *worker.ask(request, time.monotonic() + self._timeout)
        except BaseException:
            worker.end()
            raise

    def close(self) -> None:
        """End all processes; who waits is given up."""
        self._closed = True
        for _ in range(self._size):
            _end(self._idle.get())
            self._idle.put(None)


def _end(worker: _Worker | None) -> None:
    if worker is not None:
        worker.end()
