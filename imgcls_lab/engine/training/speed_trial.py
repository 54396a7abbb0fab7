"""A speed trial: the steps of a config, for some seconds, on images made of noise. Called by the process of a task.

Reading images is not measured: after the first epoch they come from the cache. It writes no file.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.training.finders import open_trial, peak_memory
from imgcls_lab.events import Metrics
from imgcls_lab.speed_trial import SECONDS

WARM_UP = 2  # steps that are not counted: libraries choose their kernels in them
MOST = 200  # steps
LEAST = 3  # steps, however long they take

OnStep = Callable[[int, float], None]  # steps done; fraction of the trial that is over


def measure(config: TrainConfig, on_step: OnStep, stopped: Callable[[], bool]) -> Metrics | None:
    """Speed and memory as a run reports them; None if it was stopped. Raises ImgclsError as a training would."""
    with open_trial(config) as (trial, summary):
        size = min(config.batch_size, max(2, summary.images("train")))
        images = torch.rand(size, 3, *trial.spec.shape, device=trial.device)
        labels = torch.arange(size, device=trial.device) % len(summary.classes)
        began = since = time.perf_counter()
        done = 0
        while done < WARM_UP + LEAST or (done < MOST and time.perf_counter() - began < SECONDS):
            if stopped():
                return None
            if done == WARM_UP:
                since = time.perf_counter()
            trial.step([(images, labels)], 0.0)  # its loss is read, so that the device has come this far
            done += 1
            over = max((time.perf_counter() - began) / SECONDS, done / MOST)
            on_step(done, min(1.0, over))
        seconds = time.perf_counter() - since
        values = {
            "throughput/images_per_second": (done - WARM_UP) * size / seconds,
            "device/memory_gb": peak_memory(trial.device) / 1e9,
        }
    return Metrics(step=done, epoch=0.0, values=values)
