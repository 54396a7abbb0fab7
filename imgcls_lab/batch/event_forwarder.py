"""Forwards the events of the trainings inside a notebook as the notebook run's own events; its page shows these.

`lab.train` in a batch notebook writes into `<run>/trainings/NN-DIGEST`, a run's folder of its own. Several trainings
follow each other on the run's axis of steps and epochs. Used by `notebook_runner.py`; reads folders, trains nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import (
    AnyEvent,
    CheckpointSaved,
    EpochEnded,
    Event,
    Failed,
    Finished,
    Metrics,
    Notice,
    Phase,
    RunKind,
    RunState,
    Started,
    finite,
    read_events,
)
from imgcls_lab.run_state import Best, Monitor, RunProgress

Step = Metrics | EpochEnded | CheckpointSaved
_RANKS: dict[type[Event], int] = {Metrics: 0, EpochEnded: 1, CheckpointSaved: 2}
_SHOWN = (run_layout.CHECKPOINTS, run_layout.TENSORBOARD, run_layout.PREDICTIONS)


def training_folders(folder: Path) -> list[Path]:
    """The trainings of a notebook run, in the order they began."""
    trainings = folder / run_layout.TRAININGS
    names = run_paths.names_in(folder, run_layout.TRAININGS)
    folders = [trainings / name for name in names if run_paths.is_folder(trainings, name)]
    return [path for path in folders if (path / run_layout.CONFIG).exists()]


class _Epochs:
    """What the reducer keeps here: the evaluated epochs, and how far the events go."""

    def __init__(self) -> None:
        self.evaluated: list[tuple[EpochEnded, Mapping[str, float | None]]] = []  # and its finite values
        self.reached = (-1, 0)  # step, and the last kind of event about it

    def add(self, event: Metrics | EpochEnded, values: Mapping[str, float | None]) -> None:
        self.reached = max(self.reached, (event.step, _RANKS[type(event)]))
        if isinstance(event, EpochEnded):
            self.evaluated.append((event, values))

    def take_back(self, event: Started) -> bool:
        before = self.reached
        self.reached = min(before, (event.resume_step, _RANKS[CheckpointSaved]))
        self.evaluated = [(epoch, values) for epoch, values in self.evaluated if epoch.step <= event.resume_step]
        return self.reached < before

    def latest(self) -> dict[str, float | None]:
        return {}

    def best(self, monitor: Monitor) -> Best | None:
        best: Best | None = None
        for epoch, values in self.evaluated:
            value = values.get(monitor.tag)
            if value is not None and (best is None or monitor.is_better(value, best.value)):
                best = Best(value, epoch.epoch, epoch.step)
        return best

    def checkpoint(self, event: CheckpointSaved) -> None:
        self.reached = max(self.reached, (event.step, _RANKS[CheckpointSaved]))

    def report(self, event: EpochEnded) -> None:
        """Evaluations are copied as files."""

    def monitor(self) -> Monitor | None:
        return None  # the forwarder says it, since it knows the training


class _Training:
    """One training inside, read on from look to look."""

    def __init__(self, folder: Path, first_step: int, first_epoch: int) -> None:
        self.folder = folder
        self.first_step, self.first_epoch = first_step, first_epoch  # those of the trainings before it
        self.held: list[Step] = []  # of an earlier attempt that was killed before it was passed on
        self.monitor = Monitor.of(_config(folder))
        self.progress = RunProgress(_Epochs(), RunKind.TRAIN, self.monitor)
        self.offsets: dict[str, int] = {}
        self.waits = False  # until this attempt of the notebook continues it

    @property
    def step(self) -> int:
        return self.progress.step

    @property
    def epochs(self) -> int:
        """Those that are done."""
        return int(self.progress.epoch)

    @property
    def under_way(self) -> bool:
        return bool(self.offsets) and not self.waits and not self.progress.attempt.ended

    @property
    def finished(self) -> bool:
        return self.progress.attempt.state is RunState.SUCCEEDED

    def read(self) -> list[AnyEvent]:
        """The events that its files have grown by."""
        news: list[AnyEvent] = []
        for path in run_layout.event_files(self.folder):
            events, self.offsets[path.name] = read_events(path, self.offsets.get(path.name, 0))
            news += [event for event in events if self.progress.apply(event)]
        self.waits = self.waits and not news
        return news


class EventForwarder:
    """Passes events on. `look` is called again and again by one thread; `say` writes an event of the run."""

    def __init__(self, folder: Path, say: Callable[[AnyEvent], AnyEvent]) -> None:
        self.folder = folder
        self.failure: Failed | None = None  # of a training of this attempt
        self._say_event = say
        self._trainings: list[_Training] = []
        self._epochs = _Epochs()
        self._run = RunProgress(self._epochs, RunKind.NOTEBOOK, Monitor.of(_config(folder)))
        self._catch_up()

    @property
    def training(self) -> bool:
        """Whether a training is under way."""
        return bool(self._trainings) and self._trainings[-1].under_way

    @property
    def step(self) -> int:
        """Steps done by all trainings."""
        return self._trainings[-1].first_step + self._trainings[-1].step if self._trainings else 0

    def finished(self) -> Finished:
        """The last event of a notebook that ran to its end."""
        best = self._run.best
        if best is None:
            return Finished(step=self.step, best_epoch=0, values={})
        values = next(epoch.values for epoch, _ in reversed(self._epochs.evaluated) if epoch.step == best.step)
        return Finished(step=self.step, best_epoch=best.epoch, values=values)

    def look(self) -> None:
        """Pass on what is new."""
        folders = training_folders(self.folder)  # listed first: the trainings before the last of them are over
        while True:
            for training in self._trainings:
                for event in training.read():
                    self._pass_on(training, event)
            if not self._find(folders):
                return

    # ── after an attempt that ended early ───────────────────────────────────────────────────────────────────
    def _catch_up(self) -> None:
        """Know what earlier attempts have passed on; what they could not is held until its place is known."""
        for path in run_layout.event_files(self.folder):
            for event in read_events(path)[0]:
                self._run.apply(event)
        passed, folders = self._epochs.reached, training_folders(self.folder)
        while self._find(folders):
            training = self._trainings[-1]
            steps: list[Step] = []
            for event in training.read():
                if isinstance(event, Started):
                    steps = [step for step in steps if step.step <= event.resume_step]
                elif isinstance(event, Step):
                    steps.append(event)
            training.held = [step for step in steps if (training.first_step + step.step, _RANKS[type(step)]) > passed]
            if training.finished:
                self._release(training)
            training.waits = True

    def _find(self, folders: list[Path]) -> bool:
        """Take up the next training, if there is one."""
        known = len(self._trainings)
        if known >= len(folders):
            return False
        before = self._trainings[-1] if self._trainings else None
        steps = before.first_step + before.step if before else 0
        epochs = before.first_epoch + before.epochs if before else 0
        self._trainings.append(_Training(folders[known], steps, epochs))
        return True

    def _release(self, training: _Training, up_to: int | None = None) -> None:
        for step in training.held:
            if up_to is None or step.step <= up_to:
                self._pass_on(training, step)
        training.held = []

    # ── event by event ──────────────────────────────────────────────────────────────────────────────────────
    def _say(self, event: AnyEvent, **changes: object) -> None:
        self._run.apply(self._say_event(event.model_copy(update=changes)))

    def _pass_on(self, training: _Training, event: AnyEvent) -> None:
        steps, epochs = training.first_step, training.first_epoch
        match event:
            case Started():
                self._show(training)
                self._run.watch(training.monitor)
                self._say(
                    event,
                    resume_step=steps + event.resume_step,
                    total_steps=steps + event.total_steps,
                    epochs=epochs + event.epochs,
                )
                self._release(training, event.resume_step)
            case Metrics():
                self._say(event, step=steps + event.step, epoch=epochs + event.epoch)
            case EpochEnded():
                best, report = self._is_best(training, event), self._report(training, event)
                self._say(event, step=steps + event.step, epoch=epochs + event.epoch, best=best, report=report)
            case CheckpointSaved():
                inside = f"{training.folder.relative_to(self.folder)}/{event.folder}"
                self._say(event, step=steps + event.step, epoch=epochs + event.epoch, folder=inside)
            case Phase() | Notice():
                self._say(event)
            case Failed():
                self.failure = event
            case _:
                pass

    def _show(self, training: _Training) -> None:
        """Let the run's folder show this training where a run's checkpoints, board and manifest are looked for."""
        inside = training.folder.relative_to(self.folder)
        for name in _SHOWN:
            link, temporary = self.folder / name, self.folder / f".{name}.new"
            if link.is_symlink() or not link.exists():
                temporary.unlink(missing_ok=True)
                temporary.symlink_to(inside / name)
                os.replace(temporary, link)
        for name in (run_layout.CONFIG, run_layout.MANIFEST):
            with contextlib.suppress(FileNotFoundError):
                run_layout.write_atomic(self.folder / name, run_paths.read_plain(training.folder, name))

    def _report(self, training: _Training, event: EpochEnded) -> str | None:
        """The evaluation of an epoch, under the run's own number of it."""
        if event.report is None:
            return None
        name = run_layout.report_name(training.first_epoch + event.epoch)
        (self.folder / run_layout.REPORTS).mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(OSError):
            run_layout.write_atomic(self.folder / name, run_paths.read_plain(training.folder, event.report))
        return name

    def _is_best(self, training: _Training, event: EpochEnded) -> bool:
        """Whether an epoch is the best of all trainings so far that watch the same metric."""
        self._run.watch(training.monitor)
        value = finite(event.values).get(training.monitor.tag)
        if value is None or not event.best:
            return False
        return self._run.best is None or training.monitor.is_better(value, self._run.best.value)


def _config(folder: Path) -> dict[str, Any]:
    """The config in a folder; empty where there is none, or none that can be read."""
    try:
        return TrainConfig.parse_saved(run_paths.read_plain(folder, run_layout.CONFIG)).model_dump(mode="json")
    except (OSError, ConfigError):
        return {}
