"""What a run's own records cost it: an event at every step, TensorBoard and the log included, on the small job.

The share is taken inside real trainings: time spent in `FolderRecorder.emit` for the steps' events against the time of
the steps. The same trainings without events, in turn, are reported beside it; the noise of two trainings is larger.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from benchmarks.frame import Line, reported
from benchmarks.timing import best
from imgcls_lab import demo_data
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.reporting.console_log import ConsoleLog
from imgcls_lab.engine.reporting.recorder import FolderRecorder
from imgcls_lab.events import EpochEnded, Event, Metrics, read_events
from imgcls_lab.run_layout import events_name
from imgcls_lab.settings import Settings


@contextlib.contextmanager
def watched(taken: list[float]) -> Iterator[None]:
    """`FolderRecorder.emit` with a clock while the block lasts: seconds for each event of a step."""
    emit = FolderRecorder.emit

    def timed(recorder: FolderRecorder, event: Event) -> None:
        begin = time.perf_counter()
        emit(recorder, event)
        if isinstance(event, Metrics):
            taken.append(time.perf_counter() - begin)

    with mock.patch.object(FolderRecorder, "emit", timed):
        yield


def measure(folder: Path, quick: bool) -> list[Line]:
    rounds = 2 if quick else 5
    settings = Settings(home=str(folder / "home"), datasets_dir=str(folder / "data"))
    (folder / "data").mkdir()
    config = demo_data.prepare(settings, None).config.model_copy(update={"log_every": 1, "epochs": 6})
    silent = config.model_copy(update={"log_every": 10**9})
    taken: list[float] = []
    epochs: dict[str, list[float]] = {"every step": [], "at the end of an epoch": []}
    steps: list[float] = []
    for number in range(rounds):
        with watched(taken):
            target = folder / f"reported-{number}"
            epochs["every step"].append(_train(config, target))
            steps += _steps(target)
        epochs["at the end of an epoch"].append(_train(silent, folder / f"silent-{number}"))
    step, event = sorted(steps)[len(steps) // 2], sum(taken) / len(taken)
    return [
        Line("an event at every step, share of a step", 2, 100 * event / step, "%"),
        reported("an event, on average", event * 1e6, "µs"),
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
