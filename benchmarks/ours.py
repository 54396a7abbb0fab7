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
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.distributed.process_group import ProcessGroup
from imgcls_lab.engine.reporting.recorder import FolderRecorder
from imgcls_lab.engine.training import attempt_context, loop
from imgcls_lab.engine.training.prepare import prepare
from imgcls_lab.engine.training.state import Attempt, Progress, TrainState
from imgcls_lab.engine.training.weights_hash import HashedSteps
from imgcls_lab.events import Event, Metrics
from imgcls_lab.planning.steps import epoch_batches


class Ours:
    """A run of the engine, prepared in `folder/NAME`; decoded images are kept in `folder/cache`."""

    def __init__(self, config: TrainConfig, folder: Path, name: str) -> None:
        self.folder = folder / name
        attempt_context.make_folder(self.folder)
        self.recorder = FolderRecorder(self.folder, 1, self._on_event)
        self._pauses = False
        locations = CacheLocations(folder / "scans", folder / "cache", folder / "compiled", 10**11)
        attempt = Attempt(
            config, self.recorder, threading.Event(), ProcessGroup(), locations, Progress(), HashedSteps()
        )
        self.prepared = seconds(lambda: self._prepare(attempt))

    def _prepare(self, attempt: Attempt) -> None:
        run = prepare(attempt, [])
        assert run is not None
        self.run: TrainState = run

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
        self.run.attempt.stop.clear()
        if now.batch == len(self.batches()):
            now.epoch, now.batch = now.epoch + 1, 0
        return took / (now.step - before)

    def _on_event(self, event: Event) -> None:
        if self._pauses and isinstance(event, Metrics):
            self.run.attempt.stop.set()

    def loading(self) -> float:
        """Seconds of an epoch's batches alone: pixels, augmentation and normalisation, no model."""
        run, epoch = self.run, self.run.progress.epoch
        batches = self.batches()

        def load() -> None:
            run.inputs.prepare_epoch(epoch)
            for batch, stored in zip(batches, run.inputs.batches(epoch, batches), strict=True):
                run.inputs.model_input(stored, epoch, batch)

        return seconds(load)

    def batches(self) -> list[Any]:
        run = self.run
        order = rng.epoch_order(run.config.seed, run.progress.epoch, len(run.data.train), None)
        return epoch_batches(order, run.config.batch_size, 1)

    def bare(self, steps: int) -> float:
        """Seconds of so many bare steps on one batch in memory, in the run's precision and memory layout."""
        run = self.run
        batch = np.arange(run.config.batch_size)
        values = run.inputs.model_input(next(run.inputs.batches(0, [batch])), 0, batch)
        labels = torch.from_numpy(run.data.train.labels[batch]).to(run.device)
        run.models.model.train()

        def work() -> None:
            for _ in range(steps):
                with run.compute.autocast():
                    loss = nn.functional.cross_entropy(run.inputs.forward(values).float(), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                run.optim.optimizer.step()
                run.optim.optimizer.zero_grad(set_to_none=True)
            if run.device.type == "cuda":
                torch.cuda.synchronize()

        return seconds(work)

    def close(self) -> None:
        self.recorder.close()
