"""What a run pays for `verify` and for settings that can be changed while it trains: hashes of the weights, and before
each step a look whether something was asked for. On the small job, and on the steps of a ViT-B/16.

Figures are shares of CPU time, user and system of all threads, in one process: other load on the machine stretches the
seconds of both and leaves them as they are. The small job is whole trainings with clocks around its steps and around
what is kept for the proofs. Of the ViT a step and a hash are taken in turn; its loop is the engine's formula of which
steps are hashed. A run's first steps are hashed more often, so they are counted, too.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch

from benchmarks.frame import Line, reported
from imgcls_lab import demo_data
from imgcls_lab.engine import train
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.reporting.console_log import ConsoleLog
from imgcls_lab.engine.training import loop
from imgcls_lab.engine.training.changing import Changes
from imgcls_lab.engine.training.weights_hash import HASH_EVERY, HashedSteps, is_hashed, tensors_hash, weights_hash
from imgcls_lab.settings import Settings

TARGET = 2.0  # percent of a step
BEGINNING = 100  # steps


class Cpu:
    """CPU time of calls, of all threads of this process."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def clocked(self, function: Callable[..., object]) -> Callable[..., object]:
        def timed(*args: object, **kwargs: object) -> object:
            begin = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.process_time() - begin
                self.calls += 1

        return timed

    @property
    def each(self) -> float:
        return self.seconds / self.calls


@contextlib.contextmanager
def clocks(steps: Cpu, hashes: Cpu, looks: Cpu) -> Iterator[None]:
    """Around the steps of trainings, the hashes behind them, and the looks at what is asked for."""
    places = ((loop, "_step", steps), (HashedSteps, "before_step", hashes), (HashedSteps, "after_step", hashes))
    with contextlib.ExitStack() as patches:
        for owner, name, cpu in (*places, (Changes, "is_due", looks)):
            patches.enter_context(mock.patch.object(owner, name, cpu.clocked(getattr(owner, name))))
        yield


def measure(folder: Path, quick: bool) -> list[Line]:
    steps, hashes, looks, kept = Cpu(), Cpu(), Cpu(), Cpu()
    settings = Settings(home=str(folder / "home"), datasets_dir=str(folder / "data"))
    (folder / "data").mkdir()
    config = demo_data.prepare(settings, None).config.model_copy(update={"epochs": 3})
    with mock.patch.object(manifest, "_code", kept.clocked(getattr(manifest, "_code"))):  # noqa: B009
        for number in range(1 if quick else 2):
            with contextlib.redirect_stdout(io.StringIO()), clocks(steps, hashes, looks):
                train(config, folder / str(number), on_event=ConsoleLog())
    step, first, large = _large(2 if quick else 4)
    later, beginning = large / HASH_EVERY, (first + large * _hashed(BEGINNING)) / BEGINNING
    look = looks.each
    return [
        Line("small job: hashes and looks, share of the steps", TARGET, _percent(hashes, looks, steps), "%"),
        Line("ViT-B/16, 8 images: the same, share of the steps", TARGET, 100 * (later + look) / step, "%"),
        Line(
            f"ViT-B/16, 8 images: the same, share of the first {BEGINNING} steps",
            TARGET,
            100 * (beginning + look) / step,
            "%",
        ),
        reported("a hash of a ViT-B/16", large * 1e3, "ms of CPU"),
        reported("a step of a ViT-B/16 with 8 images and AdamW", step * 1e3, "ms of CPU"),
        reported("small job: a step", steps.each * 1e3, "ms of CPU"),
        reported("a look at what is asked for", look * 1e6, "µs of CPU"),
        reported("hashes of the code in the manifest, once a run", kept.each * 1e3, "ms of CPU"),
    ]


def _percent(hashes: Cpu, looks: Cpu, steps: Cpu) -> float:
    return 100 * (hashes.seconds + looks.seconds) / steps.seconds


def _hashed(steps: int) -> int:
    """How many of the first steps of a run are hashed."""
    return sum(map(is_hashed, range(1, steps + 1)))


def _large(rounds: int) -> tuple[float, float, float]:
    """CPU seconds of a step of a ViT-B/16 with 8 images and AdamW, of the hash before the first step, and of a hash
    behind a step: means, in turn."""
    from transformers import ViTConfig, ViTForImageClassification

    model = ViTForImageClassification(ViTConfig())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    images, labels = torch.rand(8, 3, 224, 224), torch.arange(8) % 2

    def step() -> None:
        model(pixel_values=images, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()  # the optimizer makes its state
    steps, first, behind = Cpu(), Cpu(), Cpu()
    for _round in range(rounds):
        steps.clocked(step)()
        first.clocked(tensors_hash)(model.state_dict())
        steps.clocked(step)()
        behind.clocked(weights_hash)(model)
    return steps.each, first.each, behind.each
