"""A fork without changes is its parent's own continuation, to the bit; kill -9 of forks and of what deletes parents."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.events import RunState
from tests.acceptance.test_engine_resume import curve, train_with_kills
from tests.engine.conftest import same_files
from tests.engine.forking import fork_from
from tests.engine.test_resume import stop_after

Make = Callable[..., TrainConfig]
EPOCHS, STEPS = 4, 16  # of four batches of 16 images in two, an epoch
EVERYTHING = {"ema_decay": 0.9, "mixup": 0.2, "gradient_accumulation_steps": 2, "epochs": EPOCHS, "keep_last": 100}


@pytest.fixture(scope="module")
def config(make_config: Make, tiny_vit: Path) -> Make:
    """A net with dropout, a moving average, mixed images and gradients of two batches."""

    def make(**changes: Any) -> TrainConfig:
        given = {"model_flavour": str(tiny_vit), "load_pretrained": True, "cache": "off", **EVERYTHING, **changes}
        return make_config(**given)

    return make


@pytest.fixture(scope="module", params=[0, 2], ids=["0 workers", "2 workers"])
def parent(request: pytest.FixtureRequest, config: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped after each step of two epochs: it has a checkpoint at each, and at the ends of epochs."""
    folder = tmp_path_factory.mktemp("forks") / "parent"
    given = config(num_workers=request.param)
    train(given, folder.with_name("whole"))
    for step in range(1, 10):
        stop, on_event = stop_after(step)
        assert train(given, folder, stop=stop, on_event=on_event).state is RunState.STOPPED
    assert train(given, folder).state is RunState.SUCCEEDED
    return folder


def is_same_end(one: Path, other: Path) -> bool:
    names = ("model.safetensors", "training_state.safetensors")
    return all(same_files(one / "checkpoints/last", other / "checkpoints/last", name) for name in names)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_forks_without_changes_are_bit_equal_to_their_parent_s_continuation(
    config: Make, parent: Path, tmp_path: Path
) -> None:
    """Ten of each parent."""
    whole, given = parent.with_name("whole"), config(num_workers=0)
    kept = [path.name for path in checkpoint.saved(parent / "checkpoints") if not path.name.endswith(f"{STEPS:08d}")]
    equal = 0
    for number, name in enumerate(random.Random(20).sample(kept, 10)):
        child = tmp_path / str(number)
        fork = fork_from(parent, child, name, config(), config())
        train(given, child)
        after = {step: values for step, values in curve(whole).items() if step > fork.step}
        equal += is_same_end(whole, child) and curve(child) == after
        shutil.rmtree(child)
    print(f"\nForks that end bit-equal, at random epochs and steps: {equal} of 10 (target: 10)")
    assert equal == 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fork_that_is_killed_ten_times_ends_bit_equal(config: Make, parent: Path, tmp_path: Path) -> None:
    kills = 10
    given = config(num_workers=0, checkpoint_every_minutes=0.001)
    fork = fork_from(parent, tmp_path / "fork", f"a003-s{3:08d}", config(), config())
    moments = sorted(random.Random(kills).choices(range(fork.step + 1, STEPS), k=kills))
    hits = train_with_kills(given, tmp_path / "fork", moments)
    same = is_same_end(parent.with_name("whole"), tmp_path / "fork")
    print(f"\n{hits} kills of {kills} hit a fork: bit-equal: {same} (target: True)")
    assert hits >= kills // 2
    assert same


def test_an_extension_of_a_constant_rate_is_a_long_run(config: Make, tmp_path: Path) -> None:
    short = config(epochs=5, schedule="constant", num_workers=0)
    long = short.with_changes(epochs=10)
    train(long, tmp_path / "long")
    train(short, tmp_path / "short")
    fork_from(tmp_path / "short", tmp_path / "extended", "last", short, long)
    train(long, tmp_path / "extended")
    same = is_same_end(tmp_path / "long", tmp_path / "extended")
    print(f"\nAn extension from 5 to 10 epochs is bit-equal to a run of 10: {same} (target: True)")
    assert same
