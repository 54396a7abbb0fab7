"""A run's state, reduced from its events: the one place that says what an event means for a run.

Called by the store's ingest, by the view of a run's folder and by the forwarder of notebook runs. It reads no file and
knows no database; each caller keeps the points and checkpoints itself, behind `History`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.evaluation import LOWER_IS_BETTER
from imgcls_lab.events import (
    AnyEvent,
    Began,
    Changed,
    CheckpointSaved,
    DamagedLine,
    EpochEnded,
    Failed,
    FailureKind,
    Finished,
    Metrics,
    Notice,
    Phase,
    RunKind,
    RunState,
    Started,
    Stopped,
    finite,
)
from imgcls_lab.run_changes import with_obeyed


class Monitor(NamedTuple):
    """The metric that decides which epoch is the best."""

    metric: str  # as TrainConfig.monitor_metric
    tag: str
    higher_is_better: bool

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Monitor:
        """That of a saved config, which may be empty or of another version."""
        read = TrainConfig.model_construct(**config)
        return cls(read.monitor_metric, read.monitor_tag, read.higher_is_better)

    def is_better(self, value: float, than: float) -> bool:
        return value > than if self.higher_is_better else value < than


def is_rated(tag: str) -> bool:
    """Whether a tag is that of a metric of a validation, which is better where it is higher, or lower."""
    return tag.startswith("metric/") or tag == "loss/val"


def rated(tag: str) -> Monitor:
    """The metric of such a tag, and which of its values are better."""
    name = "loss" if tag == "loss/val" else tag.removeprefix("metric/")
    return Monitor(name, tag, name not in LOWER_IS_BETTER)


class Best(NamedTuple):
    """The best epoch so far, by the monitored metric."""

    value: float
    epoch: int
    step: int


class History(Protocol):
    """Where one run's points, checkpoints and reports are kept."""

    def add(self, event: Metrics | EpochEnded, values: Mapping[str, float | None]) -> None:
        """Keep the points of one event; None: not finite."""

    def take_back(self, event: Started) -> bool:
        """Drop all points beyond the step that an attempt resumes from; whether there were any."""

    def latest(self) -> dict[str, float | None]:
        """The value of each tag at its highest step."""

    def best(self, monitor: Monitor) -> Best | None:
        """The best epoch among the points; of equal values the earliest."""

    def checkpoint(self, event: CheckpointSaved) -> None: ...

    def report(self, event: EpochEnded) -> None: ...

    def monitor(self) -> Monitor | None:
        """That of the training which begins now inside a notebook; None: its config cannot be read."""


@dataclass(slots=True)
class AttemptState:
    """One attempt, as far as its events say.

    resume_step, trains_since: of its first `started` event; a notebook's attempt may have several of them.
    """

    number: int = 0
    entered: bool = False  # a line of it was read
    seq: int = 0  # of its last event
    state: RunState = RunState.STARTING
    resume_step: int | None = None
    trains_since: float | None = None
    failure: FailureKind | None = None
    message: str | None = None
    device: str | None = None
    first_event_at: float | None = None  # Unix seconds
    last_event_at: float | None = None

    @property
    def ended(self) -> bool:
        return self.state not in (RunState.STARTING, RunState.RUNNING)


@dataclass(slots=True)
class RunProgress:
    """What a run's events come to. `apply` takes them one by one, in the order in which they were written.

    An event that was applied already, one of an earlier attempt, and one behind the last event of its attempt change
    nothing. `message` is the last warning of an attempt that goes on; how an attempt ended is in the attempt.
    """

    history: History
    kind: RunKind
    monitor: Monitor
    attempts: list[AttemptState] = field(default_factory=list)
    step: int = 0
    epoch: float = 0.0
    total_steps: int | None = None
    epochs: int | None = None
    resumed_at_step: int | None = None  # None in the first attempt
    phase: str | None = None
    message: str | None = None
    seconds_left: float | None = None
    latest: dict[str, float | None] = field(default_factory=dict)
    best: Best | None = None
    best_values: dict[str, float] = field(default_factory=dict)  # of each metric of a validation, by its tag
    saved_step: int = 0  # of the newest checkpoint
    changes: list[dict[str, Any]] = field(default_factory=list)  # of its settings: see `schemas.RunChange`
    lr: float | None = None  # with which it trains

    @property
    def attempt(self) -> AttemptState:
        """The newest one."""
        return self.attempts[-1] if self.attempts else AttemptState()

    def apply(self, event: AnyEvent | DamagedLine) -> bool:
        """Take in one event or damaged line. False: it changes nothing."""
        now = self.attempt
        if event.attempt < now.number or (event.attempt == now.number and now.ended):
            return False
        if isinstance(event, DamagedLine):
            self._enter(event.attempt)
            self.message = event.sentence
            return True
        if event.attempt == now.number and event.seq <= now.seq:
            return False
        now = self._enter(event.attempt)
        now.seq, now.last_event_at = event.seq, event.t
        if now.first_event_at is None:
            now.first_event_at = event.t
        self._reduce(event, now)
        return True

    def watch(self, monitor: Monitor) -> None:
        """Another training of a notebook may watch another metric: its values say nothing of those before."""
        if monitor != self.monitor:
            self.monitor, self.best = monitor, None

    def _enter(self, number: int) -> AttemptState:
        """The attempt of this number, which begins if it is new."""
        now = self.attempt
        if number > now.number:
            now = AttemptState(number)
            self.attempts.append(now)
        if not now.entered:
            now.entered = True
            self.phase = self.message = self.seconds_left = None
        return now

    def _reduce(self, event: AnyEvent, now: AttemptState) -> None:
        match event:
            case Metrics():
                self._points(event, finite(event.values), now)
            case EpochEnded():
                self._epoch_ended(event, now)
            case CheckpointSaved():
                self.history.checkpoint(event)
                self.saved_step = event.step
            case Changed():
                self.epochs, self.total_steps = event.epochs, event.total_steps
                if event.field == "lr":
                    self.lr = event.new
                self.changes = with_obeyed(self.changes, event)
            case Phase():
                self.phase = event.name
                if self.kind in (RunKind.SWEEP, RunKind.TASK):  # a sweep's steps are its trials
                    self.step, self.total_steps = event.done or 0, event.total
                    self.seconds_left = event.seconds_left
            case Notice():
                if event.level != "info":
                    self.message = event.text
            case Started():
                self._started(event, now)
            case Began():
                now.state = RunState.RUNNING
                self.phase = self.message = None
            case Stopped() | Failed() | Finished():
                self._end(event, now)

    def _started(self, event: Started, now: AttemptState) -> None:
        if self.kind is RunKind.NOTEBOOK:
            self.watch(self.history.monitor() or self.monitor)
        if now.resume_step is None:
            now.resume_step, now.trains_since = event.resume_step, event.t
            if event.attempt > 1:
                self.resumed_at_step = event.resume_step
            if self.history.take_back(event):
                self.latest = self.history.latest()
                found = {tag: self.history.best(rated(tag)) for tag in self.best_values}
                self.best_values = {tag: best.value for tag, best in found.items() if best is not None}
                if self.best is not None and self.best.step > event.resume_step:
                    self.best = self.history.best(self.monitor)
            if event.best is not None and self.kind is RunKind.TRAIN:
                self._note_best(Best(event.best, event.best_epoch, event.best_step))
        now.state, now.device = RunState.RUNNING, event.device
        self.total_steps, self.epochs = event.total_steps, event.epochs
        self.step = event.resume_step
        # counted from the end: a notebook's trainings before this one may have had epochs of another length
        done = event.epochs * event.steps_per_epoch - (event.total_steps - event.resume_step)
        self.epoch = max(0, done) / max(1, event.steps_per_epoch)
        self.phase = self.message = None
        self.seconds_left = None

    def _points(self, event: Metrics | EpochEnded, values: Mapping[str, float | None], now: AttemptState) -> None:
        self.history.add(event, values)
        self.latest.update(values)
        self.step, self.epoch, self.phase = event.step, float(event.epoch), None
        if now.resume_step is None or now.trains_since is None or not self.total_steps:
            return
        done, seconds = event.step - now.resume_step, event.t - now.trains_since
        if done > 0 and seconds > 0:
            self.seconds_left = max(0.0, (self.total_steps - event.step) * seconds / done)

    def _epoch_ended(self, event: EpochEnded, now: AttemptState) -> None:
        self._points(event, finite({**event.values, "time/epoch": event.seconds}), now)
        for tag, value in finite(event.values).items():
            if is_rated(tag) and value is not None and self._is_best(tag, value):
                self.best_values[tag] = value
        value = finite(event.values).get(self.monitor.tag)
        if event.best and value is not None:
            self.best = Best(value, event.epoch, event.step)
        if event.report:
            self.history.report(event)

    def _note_best(self, best: Best) -> None:
        """The best so far as the training has it: a fork's may be its parent's, of which it has no points."""
        self.best = best
        if self._is_best(self.monitor.tag, best.value):
            self.best_values[self.monitor.tag] = best.value

    def _is_best(self, tag: str, value: float) -> bool:
        return tag not in self.best_values or rated(tag).is_better(value, self.best_values[tag])

    def _end(self, event: Stopped | Failed | Finished, now: AttemptState) -> None:
        self.phase = self.seconds_left = None
        if isinstance(event, Failed):
            now.state, now.failure, now.message = RunState.FAILED, event.kind, event.message
            return
        self.step = event.step
        now.state = RunState.STOPPED
        if isinstance(event, Finished):
            now.state = RunState.SUCCEEDED
            self.latest.update(event.test_values)


class Linked(Protocol):
    """A checkpoint as its keeper has it."""

    links: list[str]


def move_links(checkpoints: Iterable[Linked], new: Linked, links: Iterable[str]) -> None:
    """Give a new checkpoint its links (`last`, `best`): those before it lose them."""
    taken = set(links)
    for other in checkpoints:
        if taken & set(other.links):
            other.links = [link for link in other.links if link not in taken]
    new.links = sorted(taken)
