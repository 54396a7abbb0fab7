"""What the trainings inside a notebook write, passed on as the notebook run's own events, so that its page shows them.

`lab.train` in a batch notebook writes into `<run>/trainings/NN-DIGEST`, a run's folder of its own. Several trainings
follow each other on the run's axis of steps and epochs. Used by `notebook.py`; reads folders, trains nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import (
    TERMINAL,
    AnyEvent,
    CheckpointSaved,
    EpochEnded,
    Event,
    Failed,
    Finished,
    Metrics,
    Notice,
    Phase,
    Started,
    read_events,
)

Step = Metrics | EpochEnded | CheckpointSaved
_RANKS: dict[type[Event], int] = {Metrics: 0, EpochEnded: 1, CheckpointSaved: 2}
_SHOWN = (run_layout.CHECKPOINTS, run_layout.TENSORBOARD, run_layout.PREDICTIONS)


def training_folders(folder: Path) -> list[Path]:
    """The trainings of a notebook run, in the order they began."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(path for path in (folder / run_layout.TRAININGS).iterdir() if (path / run_layout.CONFIG).exists())
    return []


@dataclass
class _Training:
    """One training inside, read on from look to look."""

    folder: Path
    first_step: int  # steps and epochs of the trainings before it
    first_epoch: int
    offsets: dict[str, int] = field(default_factory=dict)
    held: list[Step] = field(default_factory=list)  # of an earlier attempt that was killed before it was passed on
    step: int = 0
    epochs: int = 0  # done
    over: bool = False
    finished: Finished | None = None

    def read(self) -> list[AnyEvent]:
        """What its files have grown by."""
        news: list[AnyEvent] = []
        for path in sorted(self.folder.glob("events-*.jsonl")):
            events, self.offsets[path.name] = read_events(path, self.offsets.get(path.name, 0))
            news += events
        for event in news:
            self._note(event)
        return news

    def _note(self, event: AnyEvent) -> None:
        if isinstance(event, Started):
            self.step, self.over, self.finished = event.resume_step, False, None
            self.epochs = event.resume_step // max(1, event.steps_per_epoch)
        elif isinstance(event, Step):
            self.step = event.step
            self.epochs = event.epoch if isinstance(event, EpochEnded) else self.epochs
        elif isinstance(event, Phase):
            self.over = False
        elif isinstance(event, TERMINAL):
            self.over = True
            self.finished = event if isinstance(event, Finished) else None


class Relay:
    """Passes on. `look` is called again and again by one thread; `say` writes an event of the run."""

    def __init__(self, folder: Path, say: Callable[[Event], None]) -> None:
        self.folder = folder
        self.failure: Failed | None = None  # of a training of this attempt
        self._say = say
        self._trainings: list[_Training] = []
        self._best: float | None = None
        self._best_epoch = 0
        self._best_values: dict[str, float] = {}
        self._catch_up()

    @property
    def training(self) -> bool:
        """Whether a training is under way."""
        return bool(self._trainings) and bool(self._trainings[-1].offsets) and not self._trainings[-1].over

    @property
    def step(self) -> int:
        """Steps done by all trainings."""
        return self._trainings[-1].first_step + self._trainings[-1].step if self._trainings else 0

    def finished(self) -> Finished:
        """The last event of a notebook that ran to its end."""
        return Finished(step=self.step, best_epoch=self._best_epoch, values=self._best_values)

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
        passed, folders = _passed(self.folder), training_folders(self.folder)
        while self._find(folders):
            training = self._trainings[-1]
            steps: list[Step] = []
            for event in training.read():
                if isinstance(event, Started):
                    steps = [step for step in steps if step.step <= event.resume_step]
                elif isinstance(event, Step):
                    steps.append(event)
            for step in steps:
                if (training.first_step + step.step, _RANKS[type(step)]) > passed:
                    training.held.append(step)
                elif isinstance(step, EpochEnded):
                    self._is_best(training, step)
            if training.finished is not None:
                self._release(training)
            training.over = True  # until this attempt continues it

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
    def _pass_on(self, training: _Training, event: AnyEvent) -> None:
        steps, epochs = training.first_step, training.first_epoch
        match event:
            case Started():
                self._show(training)
                self._release(training, event.resume_step)
                self._say(
                    event.model_copy(
                        update={
                            "resume_step": steps + event.resume_step,
                            "total_steps": steps + event.total_steps,
                            "epochs": epochs + event.epochs,
                        }
                    )
                )
            case Metrics():
                self._say(event.model_copy(update={"step": steps + event.step, "epoch": epochs + event.epoch}))
            case EpochEnded():
                best = self._is_best(training, event)
                self._say(
                    event.model_copy(
                        update={
                            "step": steps + event.step,
                            "epoch": epochs + event.epoch,
                            "best": best,
                            "report": self._report(training, event),
                        }
                    )
                )
            case CheckpointSaved():
                inside = training.folder.relative_to(self.folder)
                self._say(
                    event.model_copy(
                        update={
                            "step": steps + event.step,
                            "epoch": epochs + event.epoch,
                            "folder": f"{inside}/{event.folder}",
                        }
                    )
                )
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
                run_layout.write_atomic(self.folder / name, run_layout.read_plain(training.folder / name))

    def _report(self, training: _Training, event: EpochEnded) -> str | None:
        """The evaluation of an epoch, under the run's own number of it."""
        if event.report is None:
            return None
        name = run_layout.report_name(training.first_epoch + event.epoch)
        (self.folder / run_layout.REPORTS).mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(OSError):
            run_layout.write_atomic(self.folder / name, run_layout.read_plain(training.folder / event.report))
        return name

    def _is_best(self, training: _Training, event: EpochEnded) -> bool:
        """Whether an epoch is the best of all trainings so far."""
        try:
            config = TrainConfig.parse_saved(run_layout.read_plain(training.folder / run_layout.CONFIG))
        except (OSError, ConfigError):
            return event.best
        value = event.values.get(config.monitor_tag)
        if value is None or not event.best:
            return False
        better = self._best is None or (value > self._best if config.higher_is_better else value < self._best)
        if better:
            self._best, self._best_values = value, event.values
            self._best_epoch = training.first_epoch + event.epoch
        return better


def _passed(folder: Path) -> tuple[int, int]:
    """How far the run's own events go: the step, and the last kind of event about it."""
    last = (-1, 0)
    for path in sorted(folder.glob("events-*.jsonl")):
        for event in read_events(path)[0]:
            if isinstance(event, Started) and (event.resume_step, 2) < last:
                last = (event.resume_step, 2)
            elif isinstance(event, Step):
                last = max(last, (event.step, _RANKS[type(event)]))
    return last
