"""What a run writes for TensorBoard. Called by the recorder; knows no event of the protocol and reads nothing back."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event as BoardEvent
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class BoardWriter:
    """TensorBoard's event file of one attempt, written in this thread, so that a full disk is heard of."""

    def __init__(self, folder: Path, attempt: int, resume_step: int) -> None:
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.a{attempt:03d}.{os.getpid()}"
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
        self._writer = RecordWriter(os.fdopen(descriptor, "wb"))
        self._write(BoardEvent(wall_time=time.time(), file_version="brain.Event:2"))
        if attempt > 1:  # what earlier attempts wrote beyond the resumed step is taken back
            start = SessionLog(status=SessionLog.START)
            self._write(BoardEvent(wall_time=time.time(), step=resume_step + 1, session_log=start))
        self._writer.flush()

    def add(self, step: int, values: dict[str, float], *, flush: bool) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(BoardEvent(wall_time=time.time(), step=step, summary=summary))
        if flush:
            self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _write(self, event: BoardEvent) -> None:
        self._writer.write(event.SerializeToString())
