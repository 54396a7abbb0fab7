"""TensorBoard's event file of one attempt, and how a long curve is thinned out before it is written.

Called by `summaries.py`. Knows no event of the protocol, reads nothing back, starts no thread and opens no port.
"""

from __future__ import annotations

import os
import socket
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event as BoardEvent
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

DENSE = 1_024  # steps up to which every point is kept
PARTS = 256  # buckets of each doubling of the steps from there on


@dataclass(frozen=True)
class Point:
    step: int
    seconds: float  # Unix time
    value: float


def bucket_width(step: int) -> int:
    """Steps of the bucket that a step lies in: 1 below 1,024, then a 256th of the power of two at or below it."""
    return 1 if step < DENSE else (1 << (step.bit_length() - 1)) // PARTS


@dataclass
class Thinner:
    """Keeps the least and the greatest value of each tag in a bucket of steps, so that no spike is lost.

    Buckets depend on the step alone, so a resumed run goes on as if it had never stopped. A million steps come to
    1,024 + 10 · 2 · 256, about 6,000 points a tag.
    """

    _bucket: tuple[int, int] = (1, 0)
    _kept: dict[str, tuple[Point, Point]] = field(default_factory=dict)

    def add(self, step: int, seconds: float, values: dict[str, float]) -> list[tuple[int, float, dict[str, float]]]:
        """Take the values of a step; returns what is due to be written as (step, seconds, values), by step."""
        width = bucket_width(step)
        due = self.drain() if (width, step // width) != self._bucket else []
        self._bucket = width, step // width
        for tag, value in values.items():
            point = Point(step, seconds, value)
            low, high = self._kept.get(tag, (point, point))
            # a NaN compares with nothing: it stays only where there is no number
            if value < low.value or low.value != low.value:
                low = point
            if value > high.value or high.value != high.value:
                high = point
            self._kept[tag] = low, high
        return due + self.drain() if width == 1 else due

    def drain(self) -> list[tuple[int, float, dict[str, float]]]:
        """What the bucket at hand holds; it is empty then."""
        steps: dict[int, tuple[float, dict[str, float]]] = defaultdict(lambda: (0.0, {}))
        for tag, (low, high) in self._kept.items():
            for point in (low, high):
                steps[point.step] = point.seconds, {**steps[point.step][1], tag: point.value}
        self._kept.clear()
        return [(step, seconds, values) for step, (seconds, values) in sorted(steps.items())]


class BoardWriter:
    """TensorBoard's event file of one attempt, written in this thread, so that a full disk is heard of."""

    def __init__(self, folder: Path, attempt: int, resume_step: int) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.a{attempt:03d}.{os.getpid()}"
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
        self._writer = RecordWriter(os.fdopen(descriptor, "wb"))
        self._thinner = Thinner()
        self.write(BoardEvent(wall_time=time.time(), file_version="brain.Event:2"))
        if attempt > 1:  # what earlier attempts wrote beyond the resumed step is taken back
            start = SessionLog(status=SessionLog.START)
            self.write(BoardEvent(wall_time=time.time(), step=resume_step + 1, session_log=start))
        self._writer.flush()

    def add(self, step: int, values: dict[str, float]) -> None:
        """Points of curves that have one at every step: thinned out. Raises OSError when the disk is full."""
        self._write_points(self._thinner.add(step, time.time(), values))

    def add_all(self, step: int, values: dict[str, float]) -> None:
        """Points that are all written, such as an epoch's."""
        self._write_points([(step, time.time(), values)])

    def summary(self, step: int, summary: Summary) -> None:
        """Anything else that TensorBoard shows."""
        self.write(BoardEvent(wall_time=time.time(), step=step, summary=summary))

    def write(self, event: BoardEvent) -> None:
        self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._write_points(self._thinner.drain())
        self._writer.close()

    def _write_points(self, points: list[tuple[int, float, dict[str, float]]]) -> None:
        for step, seconds, values in points:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            self.write(BoardEvent(wall_time=seconds, step=step, summary=summary))
