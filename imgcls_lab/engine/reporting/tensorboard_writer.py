"""TensorBoard's event file of one attempt.

Called by `tensorboard_summaries.py`. Knows no event of a run, reads nothing back, starts no thread and opens no port.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event as TensorBoardEvent
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from imgcls_lab.thinning import StreamThinner


class TensorBoardWriter:
    """TensorBoard's event file of one attempt, written in this thread, so that a full disk raises an error."""

    def __init__(self, folder: Path, attempt: int, resume_step: int) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.a{attempt:03d}.{os.getpid()}"
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
        self._writer = RecordWriter(os.fdopen(descriptor, "wb"))
        self._thinner = StreamThinner()
        self.write(TensorBoardEvent(wall_time=time.time(), file_version="brain.Event:2"))
        if attempt > 1:  # what earlier attempts wrote beyond the resumed step is taken back
            start = SessionLog(status=SessionLog.START)
            self.write(TensorBoardEvent(wall_time=time.time(), step=resume_step + 1, session_log=start))
        self._writer.flush()

    def add(self, step: int, values: dict[str, float]) -> None:
        """Points of curves that have one at every step: thinned out. Raises OSError when the disk is full."""
        self._write_points(self._thinner.add(step, time.time(), values))

    def add_all(self, step: int, values: dict[str, float]) -> None:
        """Points that are all written, such as an epoch's."""
        self._write_points([(step, time.time(), values)])

    def summary(self, step: int, summary: Summary) -> None:
        """Anything else that TensorBoard shows."""
        self.write(TensorBoardEvent(wall_time=time.time(), step=step, summary=summary))

    def write(self, event: TensorBoardEvent) -> None:
        self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._write_points(self._thinner.drain())
        self._writer.close()

    def _write_points(self, points: list[tuple[int, float, dict[str, float]]]) -> None:
        for step, seconds, values in points:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
            self.write(TensorBoardEvent(wall_time=seconds, step=step, summary=summary))
