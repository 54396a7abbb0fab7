"""The events a run emits, and their JSON-lines form: the only language between the engine and the rest.

The engine writes events with `EventWriter`; everybody else reads them with `read_events`. Each attempt has one
append-only file. A torn last line does not count yet. Each line has its CRC-32; a changed line is skipped and reported.
Non-finite numbers travel as the strings NaN, Infinity and -Infinity.
"""

from __future__ import annotations

import logging
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Annotated, BinaryIO, Literal, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import BEST, CHECKPOINTS, LAST, REPORTS, TRAININGS, attempt_of, events_name
from imgcls_lab.run_paths import check_relative, open_plain, open_to_write

log = logging.getLogger(__name__)

VERSION = 1
LONGEST_LINE = 2**22  # bytes: no event comes near, and nothing longer is kept in memory
_SUM, _SUM_LENGTH = b',"sum":"', 18  # `,"sum":"0123abcd"}` ends a line: of the bytes before it
E = TypeVar("E", bound="Event")


class RunState(StrEnum):
    """The state of a run. `store/states.py` says who may change it."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"  # after a checkpoint
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # killed, or cancelled before it started
    LOST = "lost"  # its process died without a report; the daemon queues it again or marks it as failed


LIVE = frozenset({RunState.STARTING, RunState.RUNNING, RunState.STOPPING})  # an attempt of it holds a process
ENDED = frozenset({RunState.STOPPED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
ACTIVE = frozenset(RunState) - ENDED  # it continues without a user's action: it is queued, live or lost
RESUMABLE = frozenset({RunState.STOPPED, RunState.FAILED, RunState.CANCELLED})


class DesiredState(StrEnum):
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
    """Whether a run that is queued again resumes. A training needs a checkpoint, otherwise it starts again.

    saved: whether it has a checkpoint. A notebook and a sweep resume with the checkpoints of their trainings.
    """
    return state in RESUMABLE and (saved or kind is not RunKind.TRAIN)


class FailureKind(StrEnum):
    APPLICATION = "application"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    DIVERGED = "diverged"
    LOST = "lost"


def _checkpoint(path: str) -> str:
    """The path of a checkpoint; of one of a training inside a notebook's run it begins with that training's folder."""
    parts = check_relative(path).split("/")
    inside = parts[2:] if parts[0] == TRAININGS else parts
    if len(inside) != 2 or inside[0] != CHECKPOINTS:
        raise ValueError("is no path of a checkpoint in the run's folder")
    return path


def _report(path: str) -> str:
    parts = check_relative(path).split("/")
    if len(parts) != 2 or parts[0] != REPORTS:
        raise ValueError("is no path of a report in the run's folder")
    return path


# Paths that events name are relative to the run's folder and of a known form: others make the event a damaged line.
CheckpointPath = Annotated[str, AfterValidator(_checkpoint)]
ReportPath = Annotated[str, AfterValidator(_report)]
LinkName = Annotated[str, StringConstraints(pattern=rf"^({LAST}|{BEST}|epoch-\d{{1,9}})$")]


class Event(BaseModel):
    """The fields of all events. The writer sets `attempt`, `seq` (from 1, gap-free) and `t` (Unix seconds)."""

    model_config = ConfigDict(extra="ignore", frozen=True, ser_json_inf_nan="strings", allow_inf_nan=True)

    v: int = VERSION
    attempt: int = 0
    seq: int = 0
    t: float = 0.0


class Phase(Event):
    """What the run does before and between its steps: scanning, loading, evaluating.

    seconds_left: of the whole run, as far as a task can tell.
    """

    type: Literal["phase"] = "phase"
    name: str
    done: int | None = None
    total: int | None = None
    seconds_left: float | None = None


class Started(Event):
    """Training begins or goes on. The first one of an attempt takes back all points before it with step > resume_step.

    A later one of the same attempt is the next training of a notebook and takes nothing back. best: the best value so
    far of the monitored metric, with its epoch and step; of a fork that has not surpassed its parent the parent's.
    """

    type: Literal["started"] = "started"
    resume_step: int = 0
    best: float | None = None
    best_epoch: int = 0
    best_step: int = 0
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
    """A run without a training of its own (a notebook, a sweep, a task) starts its work."""

    type: Literal["began"] = "began"


class Metrics(Event):
    """Metrics at a step, by tag: loss/train, lr, throughput/images_per_second, grad_norm ..."""

    type: Literal["metrics"] = "metrics"
    step: int  # optimizer steps done, from 1
    epoch: float  # epochs done, fractional
    values: dict[str, float]


class WeightsHashed(Event):
    """A hash of the weights that are trained, behind a step; with step 0 of all weights before the first.

    Two runs that agree in it have the same weights, to the last bit.
    """

    type: Literal["weights"] = "weights"
    step: int
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class EpochEnded(Event):
    """An epoch was validated: loss/val, metric/accuracy, metric/top5, metric/macro_f1 ...; `report` names its file."""

    type: Literal["epoch"] = "epoch"
    step: int
    epoch: int  # epochs done, from 1
    seconds: float
    values: dict[str, float]
    report: ReportPath | None = None
    best: bool = False  # the best so far by the monitored metric


class CheckpointSaved(Event):
    """A checkpoint is complete on disk."""

    type: Literal["checkpoint"] = "checkpoint"
    step: int
    epoch: int
    folder: CheckpointPath
    links: Annotated[tuple[LinkName, ...], Field(max_length=16)] = ()  # last, best, epoch-0003


class Changed(Event):
    """A setting was changed while the run trains: all steps after `step` have it. `number`: of what was asked for.

    An attempt that goes on from an earlier checkpoint changes it at the same step again, and says so again. epochs,
    total_steps: of the run from then on.
    """

    type: Literal["changed"] = "changed"
    number: int
    step: int  # optimizer steps done
    epoch: float  # epochs done, fractional
    field: str
    old: int | float | None
    new: int | float | None
    epochs: int
    total_steps: int


class Notice(Event):
    """A sentence for the user."""

    type: Literal["notice"] = "notice"
    level: Literal["info", "warning", "error"] = "info"
    text: str


class Stopped(Event):
    """The run ended on request, after a checkpoint. It can be resumed."""

    type: Literal["stopped"] = "stopped"
    step: int


class Failed(Event):
    """The run ended with an error. `message` is a sentence; the traceback is in the log."""

    type: Literal["failed"] = "failed"
    step: int
    kind: FailureKind
    message: str


class Finished(Event):
    """The run ended as planned. `values`: metrics of the best epoch, and test/accuracy ... if there is a test/."""

    type: Literal["finished"] = "finished"
    step: int
    best_epoch: int
    values: dict[str, float]

    @property
    def test_values(self) -> dict[str, float | None]:
        """The metrics on test/, for callers that keep a run's latest values."""
        return {tag: value for tag, value in finite(self.values).items() if tag.startswith("test/")}


AnyEvent = Annotated[
    Phase
    | Started
    | Began
    | Metrics
    | WeightsHashed
    | EpochEnded
    | CheckpointSaved
    | Changed
    | Notice
    | Stopped
    | Failed
    | Finished,
    Field(discriminator="type"),
]
TERMINAL = (Stopped, Failed, Finished)
_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


class EventWriter:
    """Appends the events of one attempt. Every event is flushed to the system, so a kill -9 loses none.

    Terminal events, checkpoints and changes are also synced to the disk. A torn last line of the same attempt (after a
    power cut) is cut off at opening. Not for two threads at once.
    """

    def __init__(self, folder: Path, attempt: int) -> None:
        self.attempt = attempt
        self.path = folder / events_name(attempt)
        existing, end = read_events(self.path)
        self.last: Event | None = existing[-1] if existing else None
        self._seq = self.last.seq if self.last else 0
        descriptor = open_to_write(folder, self.path.name, os.O_WRONLY)  # a link would have another file cut off
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, 0, os.SEEK_END)
        self._file = os.fdopen(descriptor, "ab", buffering=0)

    def write(self, event: E) -> E:
        """Stamp, append and return the event. Raises OSError when the disk is full."""
        self._seq += 1
        stamped = event.model_copy(update={"attempt": self.attempt, "seq": self._seq, "t": time.time()})
        line = _summed(stamped.model_dump_json().encode())
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
        if isinstance(stamped, (*TERMINAL, CheckpointSaved, Changed)):
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


class DamagedLine(NamedTuple):
    """A line that is no event any more and was left out."""

    attempt: int
    file: str  # name of the file
    offset: int  # byte at which the line begins
    position: int  # how many events of the same scan stand before it

    @property
    def sentence(self) -> str:
        return left_out(self.file, 1)


def left_out(name: str, count: int) -> str:
    """The sentence on damaged lines of a file."""
    what = counted(count, "line is damaged and is", "lines are damaged and are")
    return f"{name}: {what} left out; what the others say is here."


class Scan(NamedTuple):
    """Events in their order, the offset behind the last whole line, and the lines that were left out."""

    events: list[AnyEvent]
    end: int
    damaged: list[DamagedLine]

    def in_order(self) -> Sequence[AnyEvent | DamagedLine]:
        """Events and damaged lines, as they stand in the file."""
        if not self.damaged:
            return self.events
        found: list[AnyEvent | DamagedLine] = list(self.events)
        for line in reversed(self.damaged):
            found.insert(line.position, line)
        return found


def read_events(path: Path, offset: int = 0, *, limit: int | None = None) -> tuple[list[AnyEvent], int]:
    """Events from a byte offset on, and the offset behind the last whole line.

    `limit` ends the reading with the line that reaches so many bytes. A missing file holds no events. A line that is no
    event of this attempt, or not what was written, is left out, and said once in the log: the others stay readable.
    """
    found = scan_events(path, offset, limit=limit)
    return found.events, found.end


def scan_events(path: Path, offset: int = 0, *, limit: int | None = None) -> Scan:
    """As `read_events`, for those who count what was left out."""
    found = Scan([], offset, [])
    attempt = attempt_of(path)
    end = offset
    try:
        with open_plain(path.parent, path.name) as file:
            for line, after in _lines(file, offset):
                event = read_line(line, attempt) if line else None
                if event is not None:
                    found.events.append(event)
                elif line != b"":
                    found.damaged.append(DamagedLine(attempt or 0, path.name, end, len(found.events)))
                    _say_damaged(path, end)
                end = after
                if limit is not None and end - offset >= limit:
                    break
    except FileNotFoundError:
        pass
    return found._replace(end=end)


def _lines(file: BinaryIO, offset: int) -> Iterator[tuple[bytes | None, int]]:
    """Whole lines without their ends, and the offsets behind them.

    A line that is too long to be any comes in empty pieces, so that a reader who comes back goes on behind them, and
    its end as None.
    """
    file.seek(offset)
    inside = False
    while (line := file.readline(LONGEST_LINE)).endswith(b"\n") or len(line) == LONGEST_LINE:
        offset += len(line)
        whole = line.endswith(b"\n")
        yield (None if inside else line[:-1]) if whole else b"", offset
        inside = not whole


def read_line(line: bytes | None, attempt: int | None = None) -> AnyEvent | None:
    """The event of one line, of this attempt where one is given; None where it is damaged."""
    if line is None:
        return None
    text, ending = line[:-_SUM_LENGTH], line[-_SUM_LENGTH:]
    if ending.startswith(_SUM) and _summed(text + b"}") != line + b"\n":
        return None
    try:
        event = _ADAPTER.validate_json(line)
    except ValueError:
        return None
    return event if attempt in (None, event.attempt) else None


def _summed(text: bytes) -> bytes:
    """The line of an event's JSON text."""
    return b'%b%b%08x"}\n' % (text[:-1], _SUM, zlib.crc32(text[:-1]))


@lru_cache(maxsize=4096)
def _say_damaged(path: Path, start: int) -> None:
    """Once, however often the file is read."""
    log.warning("%s: the line at byte %d is no event any more and is left out; the others are read.", path, start)


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values with NaN and infinities as None, for stores and views that have no such number."""
    return {tag: value if value - value == 0 else None for tag, value in values.items()}
