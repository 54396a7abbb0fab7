"""Settings changed at random steps with kill -9 between: weights and curves as those of the same changes alone.

`verify` computes all steps of both again, with the changes at their steps.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import run_changes
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.proofs.verify import verify
from imgcls_lab.schemas import VerifyRequest
from tests.acceptance.test_engine_resume import steps_done
from tests.acceptance.test_forks import is_same_end
from tests.engine.test_resume import start
from tests.engine.test_run_changes import ask, at_steps, curve

Make = Callable[..., TrainConfig]
STEPS = 4  # of four batches of 16 images in two, an epoch
Asked = tuple[int, str, float | None]  # after which step, field, value


@pytest.fixture(scope="module")
def config(make_config: Make, tiny_vit: Path) -> Make:
    """A net with dropout, a moving average, mixed images and gradients of two batches."""

    def make(**changes: Any) -> TrainConfig:
        everything = {"ema_decay": 0.9, "mixup": 0.2, "gradient_accumulation_steps": 2, "cache": "off"}
        given = {"model_flavour": str(tiny_vit), "load_pretrained": True, **everything, **changes}
        return make_config(**given, checkpoint_every_minutes=0.001)

    return make


def at_random(number: int, epochs: int, draw: random.Random) -> list[Asked]:
    """Changes at random steps of a run of so many epochs, none of which ends it before."""

    def one() -> tuple[str, float | None]:
        field = draw.choice(run_changes.FIELDS)
        values: dict[str, list[float | None]] = {
            "lr": [draw.uniform(1e-4, 1e-2)],
            "epochs": [epochs, epochs + 1, epochs + 2],
            "early_stopping_patience": [None, 10 * epochs],
            "save_every_epochs": [None, 1, 2],
            "log_every": [1, 2, 3],
        }
        return field, draw.choice(values[field])

    return [(step, *one()) for step in sorted(draw.choices(range(1, STEPS * epochs - 1), k=number))]


def train_with_changes_and_kills(config: TrainConfig, folder: Path, wanted: list[Asked], kills: list[int]) -> int:
    """Ask for each change when its step is written, and kill -9 the trainer at others; how many kills hit it."""
    left, hits = list(wanted), 0
    for attempt, kill_at in enumerate([*kills, None], 1):
        process = start(folder, config, attempt)
        try:
            while process.poll() is None:
                done = steps_done(folder)
                while left and left[0][0] <= done:
                    ask(folder, *left.pop(0)[1:])
                if kill_at is not None and done >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    hits += 1
                    break
                time.sleep(0.002)
        finally:
            process.wait(60)
        if process.returncode == 0:
            break
    return hits


@pytest.mark.parametrize(
    ("changes", "kills", "epochs"),
    [(6, 2, 4), pytest.param(100, 20, 30, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
    ids=["some", "a hundred"],
)
def test_changes_and_kills_end_as_the_same_changes_without_kills(
    config: Make, tmp_path: Path, changes: int, kills: int, epochs: int
) -> None:
    draw = random.Random(changes)
    given = config(epochs=epochs)
    moments = sorted(draw.choices(range(1, STEPS * epochs - 1), k=kills))
    folder = tmp_path / "killed"
    hits = train_with_changes_and_kills(given, folder, at_random(changes, epochs, draw), moments)
    obeyed = run_changes.obeyed_in(folder)
    whole = at_steps(given, tmp_path / "whole", obeyed)
    same, equal_curves = is_same_end(folder, whole), curve(folder) == curve(whole)
    print(
        f"\n{len(obeyed)} of {changes} changes obeyed, {hits} kills of {kills} hit: weights and optimizer bit-equal: "
        f"{same}, curves equal: {equal_curves} (target: True, True)"
    )
    assert [change.number for change in obeyed] == [*range(1, len(obeyed) + 1)]
    assert len(obeyed) >= 0.9 * changes
    assert hits >= kills // 2
    assert same
    assert equal_curves
    for run in (folder, whole):
        found = verify(run, VerifyRequest(steps=STEPS * (epochs + 2)))
        print(f"verify {run.name}: {found.sentence} (target: bit-identical)")
        assert found.identical, found.sentence
        assert found.last_step == max(curve(run))
