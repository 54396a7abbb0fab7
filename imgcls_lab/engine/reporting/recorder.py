"""What a run writes while it goes: events for the daemon and the views, event files for TensorBoard, reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from imgcls_lab import run_layout
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.evaluation.metrics import Counts
from imgcls_lab.engine.reporting import predictions
from imgcls_lab.engine.reporting.tensorboard_summaries import Summaries
from imgcls_lab.events import Event, EventWriter, Failed, Notice, Phase


class Recorder:
    """Writes all of an attempt's records. `on_event` hears each event after it is written."""

    def __init__(self, folder: Path, attempt: int, on_event: Callable[[Event], None] | None) -> None:
        self.folder = folder
        self.attempt = attempt
        self._events = EventWriter(folder, attempt)
        self._on_event = on_event
        self.board: Summaries | None = None  # TensorBoard's files; set when the run has a model
        self._phase_told = 0.0

    def emit(self, event: Event) -> None:
        stamped = self._events.write(event)
        if self.board:
            self.board.hear(event)
        if self._on_event:
            self._on_event(stamped)

    def notice(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        print(text, flush=True)  # the log tells the same story
        self.emit(Notice(level=level, text=text))

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        """Say what the run is at; progress inside a phase at most twice a second."""
        now = time.monotonic()
        if done is not None and done != total and now - self._phase_told < 0.5:
            return
        self._phase_told = now
        self.emit(Phase(name=name, done=done, total=total))

    def report(
        self,
        counts: Counts,
        images: ImageSet,
        classes: list[str],
        *,
        epoch: int,
        step: int,
        name: str = "",
        left_out: dict[str, str] | None = None,
    ) -> str:
        """Write an evaluation and its predictions, by default an epoch's; returns the report's name in the folder."""
        report = counts.report(classes, epoch=epoch, step=step, split=images.split, left_out=left_out)
        name = name or run_layout.report_name(epoch)
        path = self.folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        run_layout.write_atomic(path, report.model_dump_json())
        predictions.write(self.folder, path.stem, images, classes, counts)
        if self.board and images.split == "val":
            self.board.evaluated(counts, epoch=epoch, step=step)
        return name

    def close(self) -> None:
        if self.board:
            self.board.close()
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SilentRecorder(Recorder):
    """Of a process whose run another process records. last_words: a file for the event by which it failed."""

    def __init__(self, folder: Path, attempt: int, last_words: Path | None) -> None:
        self.folder = folder
        self.attempt = attempt
        self.board = None
        self._last_words = last_words

    def emit(self, event: Event) -> None:
        if self._last_words and isinstance(event, Failed):
            run_layout.write_atomic(self._last_words, event.model_dump_json())

    def notice(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        pass

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        pass

    def report(self, *_: object, **__: object) -> str:
        return ""

    def close(self) -> None:
        pass
