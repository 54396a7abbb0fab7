"""The engine as a benchmark drives it: a prepared run whose epochs, steps and loader can be timed one by one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.timing import seconds
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import rng
from imgcls_lab.engine.data.cache_locations import Shared
from imgcls_lab.engine.distributed import process_group
from imgcls_lab.engine.reporting.recorder import Recorder
from imgcls_lab.engine.training import attempt_context, loop
from imgcls_lab.engine.training.prepare import prepare
from imgcls_lab.engine.training.state import Progress, Training
from imgcls_lab.events import Event, Metrics
from imgcls_lab.planning.steps import epoch_batches


class Ours:
    """A run of the engine, prepared in `folder/NAME`; decoded images are kept in `folder/cache`."""

    def __init__(self, config: TrainConfig, folder: Path, name: str) -> None:
        self.folder = folder / name
        attempt_context.make_folder(self.folder)
        self.recorder = Recorder(self.folder, 1, self._hear)
        self._pauses = False
        shared = Shared(folder / "scans", folder / "cache", 10**11)
        self.prepared = seconds(lambda: self._prepare(config, shared))

    def _prepare(self, config: TrainConfig, shared: Shared) -> None:
        run = prepare(
            config, self.folder, self.recorder, threading.Event(), Progress(),
            shared=shared, kept=[], ranks=process_group.Ranks(),
        )  # fmt: skip
        assert run is not None
        self.run: Training = run

    def epoch(self) -> float:
        """Seconds of one training epoch, as the loop runs it: events and all, without validation and checkpoint."""
        self.run.progress.batch = 0  # `steps` may have left it amid an epoch
        took = seconds(lambda: loop._train_epoch(self.run))
        self.run.progress.epoch, self.run.progress.batch = self.run.progress.epoch + 1, 0
        return took

    def steps(self) -> float:
        """Seconds of a training step, from a few in a row: those up to the next point of the log, with it."""
        now = self.run.progress
        before = now.step
        self._pauses = True
        took = seconds(lambda: loop._train_epoch(self.run))
        self._pauses = False
        self.run.stop.clear()
        if now.batch == len(self.batches()):
            now.epoch, now.batch = now.epoch + 1, 0
        return took / (now.step - before)

    def _hear(self, event: Event) -> None:
        if self._pauses and isinstance(event, Metrics):
            self.run.stop.set()

    def loading(self) -> float:
        """Seconds of an epoch's batches alone: pixels, augmentation and normalisation, no model."""
        run = self.run
        batches = self.batches()

        def load() -> None:
            run.feed.begin(run.progress.epoch)
            for batch, kept in zip(batches, run.feed.batches(batches), strict=True):
                run.feed.values(kept, run.progress.epoch, batch)

        return seconds(load)

    def batches(self) -> list[Any]:
        run = self.run
        order = rng.epoch_order(run.config.seed, run.progress.epoch, len(run.train), None)
        return epoch_batches(order, run.config.batch_size, 1)

    def bare(self, steps: int) -> float:
        """Seconds of so many bare steps on one batch in memory, in the run's precision and memory layout."""
        run = self.run
        batch = np.arange(run.config.batch_size)
        values = run.feed.values(next(run.feed.batches([batch])), 0, batch)
        labels = torch.from_numpy(run.train.labels[batch]).to(run.device)
        run.model.train()

        def work() -> None:
            for _ in range(steps):
                with run.autocast():
                    loss = nn.functional.cross_entropy(run.feed.net(values).float(), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                run.optimizer.step()
                run.optimizer.zero_grad(set_to_none=True)
            if run.device.type == "cuda":
                torch.cuda.synchronize()

        return seconds(work)

    def close(self) -> None:
        self.recorder.close()
