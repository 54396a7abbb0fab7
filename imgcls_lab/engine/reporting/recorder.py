"""What a run writes while it trains: events for the daemon and the views, reports and predictions of its evaluations.

Made by `run.train`, one an attempt. Who wants to know what happens, as TensorBoard's files, subscribes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from imgcls_lab import run_layout
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator
from imgcls_lab.engine.reporting.predictions import PredictionWriter, TrainLosses
from imgcls_lab.events import Event, EventWriter, Failed, Notice, Phase
from imgcls_lab.schemas import Answered, Calibration

Level = Literal["info", "warning", "error"]
_PHASE_INTERVAL = 0.5  # seconds between two events on the progress of one phase


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a run.

    left_out: unreadable images with the reason; probs: float16 (images, classes), the probabilities of all classes
    where they are to be kept, in the place of those of an earlier evaluation of the split.
    """

    metrics: MetricAccumulator
    images: ImageSet
    classes: list[str]
    epoch: int
    step: int
    left_out: dict[str, str]
    probs: npt.NDArray[np.float16] | None = None


class Observer(Protocol):
    """Gets every event and evaluation of a run after it is written. Raises OSError when the disk is full."""

    def on_event(self, event: Event, /) -> None: ...

    def on_evaluation(self, evaluation: Evaluation, /) -> None: ...

    def close(self) -> None: ...


class Recorder(ABC):
    """Where an attempt at a run reports what happens. folder: the run's."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.folder = folder
        self.attempt = attempt

    @abstractmethod
    def subscribe(self, observer: Observer) -> None:
        """From now on the observer gets what happens; it is closed with this recorder."""

    @abstractmethod
    def emit(self, event: Event) -> None:
        """Write an event."""

    @abstractmethod
    def notice(self, text: str, level: Level = "info") -> None:
        """Report a sentence to the user."""

    @abstractmethod
    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        """Report what the run does now; progress inside a phase at most twice a second."""

    @abstractmethod
    def report(
        self,
        evaluation: Evaluation,
        name: str | None = None,
        *,
        calibration: Calibration | None = None,
        answered: Answered | None = None,
    ) -> str | None:
        """Write an evaluation and its predictions, by default an epoch's.

        calibration, answered: of the model, as in EpochReport. Returns the report's name in the folder; None where
        another rank writes it.
        """

    @abstractmethod
    def keep_train(self, losses: TrainLosses, classes: list[str]) -> None:
        """Write what an epoch computed of the training images."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FolderRecorder(Recorder):
    """Writes into the run's folder. `on_event` gets each event after it is written."""

    def __init__(self, folder: Path, attempt: int, on_event: Callable[[Event], None] | None) -> None:
        super().__init__(folder, attempt)
        self._events = EventWriter(folder, attempt)
        self._on_event = on_event
        self._observers: list[Observer] = []
        self._predictions = PredictionWriter(folder)
        self._last_phase = 0.0  # monotonic time

    def subscribe(self, observer: Observer) -> None:
        self._observers.append(observer)

    def emit(self, event: Event) -> None:
        stamped = self._events.write(event)
        for observer in self._observers:
            observer.on_event(event)
        if self._on_event:
            self._on_event(stamped)

    def notice(self, text: str, level: Level = "info") -> None:
        print(text, flush=True)  # for the log
        self.emit(Notice(level=level, text=text))

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        now = time.monotonic()
        if done is not None and done != total and now - self._last_phase < _PHASE_INTERVAL:
            return
        self._last_phase = now
        self.emit(Phase(name=name, done=done, total=total))

    def report(
        self,
        evaluation: Evaluation,
        name: str | None = None,
        *,
        calibration: Calibration | None = None,
        answered: Answered | None = None,
    ) -> str:
        report = evaluation.metrics.report(
            evaluation.classes,
            epoch=evaluation.epoch,
            step=evaluation.step,
            split=evaluation.images.split,
            left_out=evaluation.left_out,
        ).model_copy(update={"calibration": calibration, "answered": answered})
        name = name or run_layout.report_name(evaluation.epoch)
        path = self.folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        run_layout.write_atomic(path, report.model_dump_json())
        self._predictions.write(path.stem, evaluation.images, evaluation.classes, evaluation.metrics)
        if evaluation.probs is not None:
            self._predictions.write_probs(evaluation.images.split, evaluation.probs)
        for observer in self._observers:
            observer.on_evaluation(evaluation)
        return name

    def keep_train(self, losses: TrainLosses, classes: list[str]) -> None:
        self._predictions.write_train(losses, classes)

    def close(self) -> None:
        for observer in self._observers:
            observer.close()
        self._events.close()


class SilentRecorder(Recorder):
    """Of a process whose run another process records. failure_file: gets the event by which this process failed."""

    def __init__(self, folder: Path, attempt: int, failure_file: Path | None) -> None:
        super().__init__(folder, attempt)
        self._failure_file = failure_file

    def subscribe(self, observer: Observer) -> None:
        pass

    def emit(self, event: Event) -> None:
        if self._failure_file and isinstance(event, Failed):
            run_layout.write_atomic(self._failure_file, event.model_dump_json())

    def notice(self, text: str, level: Level = "info") -> None:
        pass

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        pass

    def report(self, *_: object, **__: object) -> str | None:
        return None

    def keep_train(self, losses: TrainLosses, classes: list[str]) -> None:
        pass

    def close(self) -> None:
        pass
