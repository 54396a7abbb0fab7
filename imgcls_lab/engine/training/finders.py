"""Finders: a learning rate to begin with, and the batch sizes that fit this machine.

Called as `lab.find_lr`, `lab.find_batch_size` and by the command line. They train a trial model for some seconds and
write nothing.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine import hardware
from imgcls_lab.engine.data.corrections import correct_listing
from imgcls_lab.engine.data.image_set import ImageSet, Reader
from imgcls_lab.engine.data.scan_index import index_path
from imgcls_lab.engine.data.split import list_split
from imgcls_lab.engine.model import freezing
from imgcls_lab.engine.model.classifier import build, read_flavour, with_dropout_rates
from imgcls_lab.engine.model.memory_format import pick_memory_format
from imgcls_lab.engine.model.precision import pick_precision
from imgcls_lab.engine.optim.clip_grad import clipped, gradient_norm
from imgcls_lab.engine.optim.losses import Target, make_loss
from imgcls_lab.engine.optim.optimizers import make_optimizer, set_learning_rate
from imgcls_lab.engine.rng import epoch_order
from imgcls_lab.engine.training import attempt_context, plugins
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import DataError
from imgcls_lab.imagefolder import FolderSummary, inspect_folder
from imgcls_lab.settings import Settings

SMOOTHING = 0.9  # of the losses
DIVERGED = 4.0  # times the best smoothed loss
SKIPPED = 5  # points at either end, where the smoothed curve says little
NEARLY_FASTEST = 0.95  # of the best throughput
LONGEST_STEP = 20.0  # seconds
LARGEST = 4096

OnStep = Callable[[int, int], None]  # done, of how many


@dataclass(frozen=True)
class LrFinding:
    """lrs: the rates tried, rising; losses: the smoothed loss at each; suggestion: None where the loss never fell."""

    lrs: list[float]
    losses: list[float]
    suggestion: float | None
    diverged: bool


@dataclass(frozen=True)
class BatchTrial:
    """A batch size that fits: its speed, and the most memory the process (on a GPU: the device) held."""

    batch_size: int
    images_per_second: float
    memory: int  # bytes


@dataclass(frozen=True)
class BatchFinding:
    """suggestion: the smallest size that is nearly as fast as the fastest; ended: why no larger one was tried."""

    trials: list[BatchTrial]
    suggestion: int
    largest: int
    ended: str


class Trial:
    """A model that trains as the config says, on any batches."""

    def __init__(self, config: TrainConfig, classes: list[str]) -> None:
        self.config = config
        self.device = hardware.pick_device(config)
        torch.set_num_threads(hardware.pick_threads(config))
        flavour = read_flavour(config.model_flavour, config.revision, config.image_size)
        self.spec: EvalSpec = flavour.spec
        model = build(with_dropout_rates(flavour, config), classes, config.load_pretrained, config.seed, lambda _: None)
        self.precision = pick_precision(config, self.device, model, self.spec.shape).name
        torch.manual_seed(config.seed)
        self.memory_format = pick_memory_format(config, model)
        self.model: nn.Module = model.to(self.device).to(memory_format=self.memory_format)
        freezing.prepare_model(self.model, config)
        freezing.begin_epoch(self.model, config, config.unfreeze_epoch or 0)
        self.optimizer = make_optimizer(self.model, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.loss = make_loss(config.with_changes(mixup=0.0, cutmix=0.0), len(classes))

    def step(self, batches: list[tuple[torch.Tensor, torch.Tensor]], rate: float) -> float:
        """One optimizer step over batches of images (n, 3, height, width) and labels (n,). Returns the mean loss."""
        set_learning_rate(self.optimizer, rate)
        total = 0.0
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        for images, labels in batches:
            values = images.contiguous(memory_format=self.memory_format)
            with torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32", cache_enabled=False):
                logits = self.model(pixel_values=values).logits
            loss = self.loss(logits, Target(labels)) / len(batches)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        self.scaler.unscale_(self.optimizer)
        with clipped(self.model, self.optimizer, gradient_norm(self.optimizer), self.config):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return total


def find_lr(
    config: TrainConfig,
    overlay: Overlay | None = None,
    *,
    lowest: float = 1e-7,
    highest: float = 1.0,
    steps: int = 100,
    on_step: OnStep | None = None,
) -> LrFinding:
    """Smith's range test (2017): the rate grows from step to step until the loss diverges.

    The suggestion is the rate at which the smoothed loss falls most steeply over log(rate); take it, or up to three
    times it, as `lr`. overlay: the corrections that the config means. Raises ImgclsError as a training would.
    """
    with open_trial(config) as (trial, summary):
        batches = _batches(config, trial, _training_images(trial, summary, overlay))
        lrs: list[float] = []
        losses: list[float] = []
        running, diverged = 0.0, False
        for number in range(steps):
            rate = lowest * (highest / lowest) ** (number / max(1, steps - 1))
            loss = trial.step([next(batches) for _ in range(config.gradient_accumulation_steps)], rate)
            running = SMOOTHING * running + (1 - SMOOTHING) * loss
            smooth = running / (1 - SMOOTHING ** (number + 1))
            diverged = not math.isfinite(smooth) or smooth > DIVERGED * min(losses, default=math.inf)
            if diverged:
                break
            lrs.append(rate)
            losses.append(smooth)
            if on_step:
                on_step(number + 1, steps)
    return LrFinding(lrs, losses, steepest(lrs, losses), diverged)


def steepest(lrs: list[float], losses: list[float]) -> float | None:
    """The rate at which the loss falls most steeply over log(rate); None if it falls nowhere."""
    if len(lrs) < 2 * SKIPPED + 2:
        return None
    slopes = np.gradient(np.asarray(losses), np.log(np.asarray(lrs)))[SKIPPED:-SKIPPED]
    place = int(slopes.argmin())
    return lrs[SKIPPED + place] if slopes[place] < 0 else None


def find_batch_size(
    config: TrainConfig, overlay: Overlay | None = None, *, largest: int | None = None, on_step: OnStep | None = None
) -> BatchFinding:
    """Double the batch until memory, the images or `largest` end it; measures the speed of each size.

    Raises ImgclsError as a training would; OutOfMemoryError if not even two images fit.
    """
    with open_trial(config) as (trial, summary):
        images = len(_training_images(trial, summary, overlay))
        limit = min(largest or LARGEST, images)
        trials: list[BatchTrial] = []
        size, ended = 2, "limit"
        while size <= max(2, limit):
            try:
                found = _measure(trial, size, len(summary.classes))
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not trials or not _is_out_of_memory(error):
                    raise
                ended = "memory"
                break
            trials.append(found)
            if on_step:
                on_step(size, limit)
            if size / found.images_per_second > LONGEST_STEP:
                ended = "time"
                break
            if trial.device.type == "cpu" and _grows_past_memory(trials):
                ended = "memory"
                break
            size *= 2
    fastest = max(item.images_per_second for item in trials)
    suggestion = next(item.batch_size for item in trials if item.images_per_second >= NEARLY_FASTEST * fastest)
    return BatchFinding(trials, suggestion, trials[-1].batch_size, ended)


def _measure(trial: Trial, size: int, classes: int) -> BatchTrial:
    """Speed of a step on random images, the better of two after one to warm up."""
    images = torch.rand(size, 3, *trial.spec.shape, device=trial.device)
    labels = torch.arange(size, device=trial.device) % classes
    best = math.inf
    for number in range(3):
        began = time.perf_counter()
        trial.step([(images, labels)], 0.0)
        if number:
            best = min(best, time.perf_counter() - began)
    return BatchTrial(size, size / best, peak_memory(trial.device))


def peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _grows_past_memory(trials: list[BatchTrial]) -> bool:
    """Whether the next size, which grows by twice what this one did, may not fit."""
    if len(trials) < 2:
        return False
    return 2 * (trials[-1].memory - trials[-2].memory) > 0.8 * hardware.free_memory()


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@contextmanager
def open_trial(config: TrainConfig) -> Iterator[tuple[Trial, FolderSummary]]:
    """A trial over the config's data set; afterwards threads and random state are as they were.

    An error inside becomes an ImgclsError with a sentence.
    """
    summary = inspect_folder(Path(os.path.expanduser(config.root)).absolute())
    if summary.problem:
        raise DataError(summary.problem)
    with plugins.loaded(config.plugins), attempt_context.isolated_torch():
        try:
            yield Trial(config, summary.classes), summary
        except Exception as error:
            raise attempt_context.as_imgcls_error(error) or error from error


def _training_images(trial: Trial, summary: FolderSummary, overlay: Overlay | None) -> ImageSet:
    """The images of train/, corrected."""
    paths, labels = list_split(summary, "train", summary.classes)
    images = ImageSet(summary.root, "train", Reader(trial.spec, exact=False), paths, labels)
    return correct_listing(images, overlay, summary.classes, index_path(Settings().scans_dir, summary.root))


def _batches(config: TrainConfig, trial: Trial, images: ImageSet) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of training images in the run's order, over and over; unreadable files are left out."""
    epoch = 0
    pixels: list[torch.Tensor] = []
    chosen: list[int] = []
    while True:
        readable = 0
        for index in epoch_order(config.seed, epoch, len(images)):
            try:
                pixels.append(images.reader.read(str(images.root / images.path(index)))[0])
            except DataError:
                continue
            readable += 1
            chosen.append(int(images.labels[index]))
            if len(pixels) == config.batch_size:
                yield normalise(torch.stack(pixels).to(trial.device), trial.spec), torch.tensor(chosen).to(trial.device)
                pixels, chosen = [], []
        if readable < 2:
            raise DataError(f"No two images of train/ under “{images.root}” can be read.")
        epoch += 1
