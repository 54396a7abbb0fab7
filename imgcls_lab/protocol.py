"""The events a run emits, and their JSON-lines form: the only language between the engine and the rest.

The engine writes them (`EventWriter`), the executor's daemon reads and indexes them (`read_events`). One file an
attempt, append-only; a torn last line is not there yet. Non-finite numbers travel as the strings NaN, Infinity
and -Infinity.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from imgcls_lab.errors import DamagedError
from imgcls_lab.layout import events_name, open_plain

VERSION = 1
E = TypeVar("E", bound="Event")


class RunState(StrEnum):
    """Where a run stands. Who may move it is written in `store/states.py`."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"  # after a checkpoint
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # killed, or called back before it began
    LOST = "lost"  # its process died without a word; requeued or failed by the daemon


LIVE = frozenset({RunState.STARTING, RunState.RUNNING, RunState.STOPPING})
ENDED = frozenset({RunState.STOPPED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
RESUMABLE = frozenset({RunState.STOPPED, RunState.FAILED, RunState.CANCELLED})


class Desired(StrEnum):
    """What the user wants a run to do."""

    RUN = "run"
    STOP = "stop"  # checkpoint, then end
    KILL = "kill"  # end now


class RunKind(StrEnum):
    TRAIN = "train"
    NOTEBOOK = "notebook"
    SWEEP = "sweep"
    TASK = "task"


def is_resumable(state: RunState, kind: RunKind, saved: bool) -> bool:
    """Whether a run that is queued again goes on from what it has: a training needs a checkpoint, else it starts anew.

    saved: whether it has one. A notebook and a sweep go on with what their trainings have.
    """
    return state in RESUMABLE and (saved or kind is not RunKind.TRAIN)


class FailureKind(StrEnum):
    APPLICATION = "application"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    DIVERGED = "diverged"
    LOST = "lost"


class Event(BaseModel):
    """What all events carry. `attempt`, `seq` (from 1, gap-free) and `t` (Unix seconds) are stamped by the writer."""

    model_config = ConfigDict(extra="ignore", frozen=True, ser_json_inf_nan="strings", allow_inf_nan=True)

    v: int = VERSION
    attempt: int = 0
    seq: int = 0
    t: float = 0.0


class Phase(Event):
    """What the run does before and between its steps: scanning, loading, evaluating."""

    type: Literal["phase"] = "phase"
    name: str
    done: int | None = None
    total: int | None = None


class Started(Event):
    """Training begins or goes on. Rows of earlier attempts with step > resume_step are superseded."""

    type: Literal["started"] = "started"
    resume_step: int = 0
    total_steps: int
    steps_per_epoch: int
    epochs: int
    train_images: int
    val_images: int
    classes: int
    device: str
    precision: str
    threads: int


class Began(Event):
    """A run that is no training (a notebook, a sweep, a task) does its work from now on."""

    type: Literal["began"] = "began"


class Metrics(Event):
    """Figures at a step, by tag: loss/train, lr, throughput/images_per_second, grad_norm ..."""

    type: Literal["metrics"] = "metrics"
    step: int  # optimizer steps done, from 1
    epoch: float  # epochs done, fractional
    values: dict[str, float]


class EpochEnded(Event):
    """An epoch was validated: loss/val, metric/accuracy, metric/top5, metric/macro_f1 ...; `report` names its file."""

    type: Literal["epoch"] = "epoch"
    step: int
    epoch: int  # epochs done, from 1
    seconds: float
    values: dict[str, float]
    report: str | None = None
    best: bool = False  # the best so far by the monitored metric


class CheckpointSaved(Event):
    """A checkpoint is complete on disk."""

    type: Literal["checkpoint"] = "checkpoint"
    step: int
    epoch: int
    folder: str  # relative to the run's folder
    links: tuple[str, ...] = ()  # last, best, epoch-0003


class Notice(Event):
    """A sentence for the user."""

    type: Literal["notice"] = "notice"
    level: Literal["info", "warning", "error"] = "info"
    text: str


class Stopped(Event):
    """Ended on request after a checkpoint; can be resumed."""

    type: Literal["stopped"] = "stopped"
    step: int


class Failed(Event):
    """Ended by an error. `message` is a sentence; the traceback is in the log."""

    type: Literal["failed"] = "failed"
    step: int
    kind: FailureKind
    message: str


class Finished(Event):
    """Ended as planned. `values`: figures of the best epoch, and test/accuracy ... of its model if there is test/."""

    type: Literal["finished"] = "finished"
    step: int
    best_epoch: int
    values: dict[str, float]

    @property
    def test_values(self) -> dict[str, float | None]:
        """The figures on test/, for those that keep a run's latest values."""
        return {tag: value for tag, value in finite(self.values).items() if tag.startswith("test/")}


AnyEvent = Annotated[
    Phase | Started | Began | Metrics | EpochEnded | CheckpointSaved | Notice | Stopped | Failed | Finished,
    Field(discriminator="type"),
]
TERMINAL = (Stopped, Failed, Finished)
_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


class EventWriter:
    """Appends the events of one attempt. Every event is flushed to the system, so a kill -9 loses none.

    Terminal events and checkpoints are also synced to the disk. A torn last line of the same attempt (after a
    power cut) is cut off at opening. Not for two threads at once.
    """

    def __init__(self, folder: Path, attempt: int) -> None:
        self.attempt = attempt
        self.path = folder / events_name(attempt)
        existing, end = read_events(self.path)
        self.last: Event | None = existing[-1] if existing else None
        self._seq = self.last.seq if self.last else 0
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, 0, os.SEEK_END)
        self._file = os.fdopen(descriptor, "ab", buffering=0)

    def write(self, event: E) -> E:
        """Stamp, append and return the event. Raises OSError when the disk is full."""
        self._seq += 1
        stamped = event.model_copy(update={"attempt": self.attempt, "seq": self._seq, "t": time.time()})
        line = stamped.model_dump_json().encode() + b"\n"
        start = self._file.tell()
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(28, "No space left on device", str(self.path))
        except OSError:
            os.ftruncate(self._file.fileno(), start)  # no torn line in the middle
            self._seq -= 1
            raise
        self.last = stamped
        if isinstance(stamped, (*TERMINAL, CheckpointSaved)):
            os.fsync(self._file.fileno())
        return stamped

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_events(path: Path, offset: int = 0, *, limit: int | None = None) -> tuple[list[AnyEvent], int]:
    """Events from a byte offset on, and the offset behind the last whole line.

    `limit` bounds the bytes read in one call (at least one line is read). A missing file holds no events.
    Raises DamagedError when a whole line is no event.
    """
    try:
        with open_plain(path) as file:
            file.seek(offset)
            data = file.read(-1 if limit is None else limit)
            if limit is not None and data and b"\n" not in data:
                data += file.readline()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    try:
        return [_ADAPTER.validate_json(line) for line in data[:end].splitlines() if line], offset + end
    except ValueError as error:
        raise DamagedError(
            f"“{path}” is damaged: a line of it is no event. Move the file away to go on from the checkpoints; "
            "they are intact."
        ) from error


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values with NaN and infinities as None, for stores and views that have no such number."""
    return {tag: value if value - value == 0 else None for tag, value in values.items()}
