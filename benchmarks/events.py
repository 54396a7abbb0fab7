"""What a run's own records cost it, on the small job: an event at every step, TensorBoard and the log included, the
loss of each training image, and the hashes of the weights; the last also on the steps of a ViT-B/16.

The shares are taken inside real trainings: time spent in `FolderRecorder.emit` for the steps' events, in keeping
and writing the losses of the images, and behind each step, where some hash the weights, against the time of the steps.
The same trainings without events, in turn, are reported beside it; the noise of two trainings is larger.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch

from benchmarks.frame import Line, reported
from benchmarks.timing import best
from imgcls_lab import demo_data
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.reporting.console_log import ConsoleLog
from imgcls_lab.engine.reporting.recorder import FolderRecorder
from imgcls_lab.engine.training.train_losses import EpochLosses
from imgcls_lab.engine.training.weights_hash import HASH_EVERY, HashedSteps, weights_hash
from imgcls_lab.events import EpochEnded, Event, Metrics, read_events
from imgcls_lab.run_layout import events_name
from imgcls_lab.settings import Settings


@contextlib.contextmanager
def watched(taken: list[float], kept: list[float], hashed: list[float]) -> Iterator[None]:
    """With clocks while the block lasts. taken: seconds for each event of a step; kept: for losses of images.

    hashed: behind each step.
    """
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
        after = _clocked(HashedSteps.after_step, hashed)
        patches.enter_context(mock.patch.object(HashedSteps, "after_step", after))
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
    hashed: list[float] = []
    epochs: dict[str, list[float]] = {"every step": [], "at the end of an epoch": []}
    steps: list[float] = []
    for number in range(rounds):
        with watched(taken, kept, hashed):
            target = folder / f"reported-{number}"
            epochs["every step"].append(_train(config, target))
            steps += _steps(target)
        epochs["at the end of an epoch"].append(_train(silent, folder / f"silent-{number}"))
    step, event, losses = sorted(steps)[len(steps) // 2], sum(taken) / len(taken), sum(kept) / len(taken)
    large, large_hash = _large(3 if quick else 5)
    return [
        Line("an event at every step, share of a step", 2, 100 * event / step, "%"),
        Line("losses of each training image, kept and written, share of a step", 2, 100 * losses / step, "%"),
        Line("hashes of the weights, share of a step", 2, 100 * sum(hashed) / len(hashed) / step, "%"),
        Line(
            "hashes of the weights of a ViT-B/16, share of a step of 8 images",
            2,
            100 * large_hash / HASH_EVERY / large,
            "%",
        ),
        reported("a hash of a ViT-B/16, best", large_hash * 1e3, "ms"),
        reported("a step of a ViT-B/16 with 8 images, best", large * 1e3, "ms"),
        reported("an event, on average", event * 1e6, "µs"),
        reported("losses of the images of a step, with their part of the file, on average", losses * 1e6, "µs"),
        reported("a step, median", step * 1e3, "ms"),
        *(reported(f"an epoch with events {when}, best", best(found), "s") for when, found in epochs.items()),
    ]


def _large(rounds: int) -> tuple[float, float]:
    """Seconds of a step of a ViT-B/16 with 8 images and AdamW, and of a hash of its weights: the best, in turn."""
    from transformers import ViTConfig, ViTForImageClassification

    model = ViTForImageClassification(ViTConfig())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    images, labels = torch.rand(8, 3, 224, 224), torch.arange(8) % 2
    steps, hashes = [], []
    for _round in range(rounds):
        begin = time.perf_counter()
        model(pixel_values=images, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        done = time.perf_counter()
        weights_hash(model)
        steps.append(done - begin)
        hashes.append(time.perf_counter() - done)
    return best(steps), best(hashes)


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
