"""What a run's own records cost it, on the small job: an event at every step, TensorBoard and the log included, and the
loss of each training image.

The shares are taken inside real trainings: time spent in `FolderRecorder.emit` for the steps' events, and in keeping
and writing the losses of the images, against the time of the steps. The same trainings without events, in turn, are
reported beside it; the noise of two trainings is larger.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from benchmarks.frame import Line, reported
from benchmarks.timing import best
from imgcls_lab import demo_data
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.reporting.console_log import ConsoleLog
from imgcls_lab.engine.reporting.recorder import FolderRecorder
from imgcls_lab.engine.training.train_losses import EpochLosses
from imgcls_lab.events import EpochEnded, Event, Metrics, read_events
from imgcls_lab.run_layout import events_name
from imgcls_lab.settings import Settings


@contextlib.contextmanager
def watched(taken: list[float], kept: list[float]) -> Iterator[None]:
    """With clocks while the block lasts. taken: seconds for each event of a step; kept: for losses of images."""
    emit = FolderRecorder.emit

    def timed(recorder: FolderRecorder, event: Event) -> None:
        begin = time.perf_counter()
        emit(recorder, event)
        if isinstance(event, Metrics):
            taken.append(time.perf_counter() - begin)

    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(FolderRecorder, "emit", timed))
        for owner, name in ((EpochLosses, "add"), (EpochLosses, "by_image"), (FolderRecorder, "keep_train")):
            patches.enter_context(mock.patch.object(owner, name, _clocked(getattr(owner, name), kept)))
        yield


def _clocked(function: Callable[..., object], taken: list[float]) -> Callable[..., object]:
    def timed(*args: object, **kwargs: object) -> object:
        begin = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            taken.append(time.perf_counter() - begin)

    return timed


def measure(folder: Path, quick: bool) -> list[Line]:
    rounds = 2 if quick else 5
    settings = Settings(home=str(folder / "home"), datasets_dir=str(folder / "data"))
    (folder / "data").mkdir()
    config = demo_data.prepare(settings, None).config.model_copy(update={"log_every": 1, "epochs": 6})
    silent = config.model_copy(update={"log_every": 10**9})
    taken: list[float] = []
    kept: list[float] = []
    epochs: dict[str, list[float]] = {"every step": [], "at the end of an epoch": []}
    steps: list[float] = []
    for number in range(rounds):
        with watched(taken, kept):
            target = folder / f"reported-{number}"
            epochs["every step"].append(_train(config, target))
            steps += _steps(target)
        epochs["at the end of an epoch"].append(_train(silent, folder / f"silent-{number}"))
    step, event, losses = sorted(steps)[len(steps) // 2], sum(taken) / len(taken), sum(kept) / len(taken)
    return [
        Line("an event at every step, share of a step", 2, 100 * event / step, "%"),
        Line("losses of each training image, kept and written, share of a step", 2, 100 * losses / step, "%"),
        reported("an event, on average", event * 1e6, "µs"),
        reported("losses of the images of a step, with their part of the file, on average", losses * 1e6, "µs"),
        reported("a step, median", step * 1e3, "ms"),
        *(reported(f"an epoch with events {when}, best", best(found), "s") for when, found in epochs.items()),
    ]


def _train(config: TrainConfig, folder: Path) -> float:
    """Seconds of the quickest epoch."""
    with contextlib.redirect_stdout(io.StringIO()):
        train(config, folder, on_event=ConsoleLog())
    events, _ = read_events(folder / events_name(1))
    return min(event.seconds for event in events if isinstance(event, EpochEnded))


def _steps(folder: Path) -> list[float]:
    """Seconds between steps that follow each other within an epoch."""
    events, _ = read_events(folder / events_name(1))
    pairs = itertools.pairwise(events)
    return [b.t - a.t for a, b in pairs if isinstance(a, Metrics) and isinstance(b, Metrics)]
