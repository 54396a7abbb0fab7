"""Kill -9 at random steps and resume: the same weights and the same curve, to the bit. Whole checkpoints or none."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.events import Metrics, RunState, read_events
from tests.engine.conftest import same_files
from tests.engine.test_resume import start

Make = Callable[..., TrainConfig]
EPOCHS, STEPS = 4, 16  # of four batches of 16 images in two, an epoch
EVERYTHING = {
    "ema_decay": 0.9,
    "mixup": 0.2,
    "gradient_accumulation_steps": 2,
    "epochs": EPOCHS,
    "checkpoint_every_minutes": 0.001,
}


@pytest.fixture(scope="module")
def config(make_config: Make, tiny_vit: Path) -> Callable[..., TrainConfig]:
    """A net with dropout, so that torch's generator matters, and everything else that could go out of step."""

    def make(**changes: Any) -> TrainConfig:
        given = {"model_flavour": str(tiny_vit), "load_pretrained": True, **EVERYTHING, **changes}
        return make_config(**given)

    return make


def curve(folder: Path) -> dict[int, tuple[float, ...]]:
    """Loss, rate and gradient norm of each step, of the last attempt that reached it."""
    points: dict[int, tuple[float, ...]] = {}
    for path in sorted(folder.glob("events-*.jsonl")):
        for event in read_events(path)[0]:
            if isinstance(event, Metrics):
                points[event.step] = tuple(event.values[tag] for tag in ("loss/train", "lr", "grad_norm"))
    return points


def steps_done(folder: Path) -> int:
    return max(curve(folder), default=0)


def train_with_kills(config: TrainConfig, folder: Path, kills: list[int]) -> int:
    """Kill the trainer -9 as soon as it has written each of these steps, then let it end; how many kills hit it."""
    hits = 0
    for number, step in enumerate([*kills, None], 1):
        process = start(folder, config, number)
        try:
            while process.poll() is None and (step is None or steps_done(folder) < step):
                time.sleep(0.002)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                hits += 1
        finally:
            process.wait(60)
        if process.returncode == 0:
            break
    return hits


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "kills", [2, pytest.param(25, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])], ids=["some", "fifty in all"]
)
def test_killed_at_random_steps_a_run_ends_bit_equal(config: Make, tmp_path: Path, workers: int, kills: int) -> None:
    total = STEPS if kills < 10 else 4 * STEPS
    given = config(num_workers=workers, cache="off", epochs=EPOCHS * total // STEPS)
    whole = train(given.with_changes(num_workers=0), tmp_path / "whole")
    assert whole.state is RunState.SUCCEEDED
    moments = sorted(random.Random(kills + workers).choices(range(1, whole.step), k=kills))
    hits = train_with_kills(given, tmp_path / "killed", moments)
    same = [
        same_files(tmp_path / "whole" / "checkpoints/last", tmp_path / "killed" / "checkpoints/last", name)
        for name in ("model.safetensors", "training_state.safetensors")
    ]
    curves = curve(tmp_path / "whole") == curve(tmp_path / "killed")
    print(f"\n{workers} workers, {hits} kills of {kills} hit: weights and state bit-equal: {all(same)} (target: True)")
    print(f"curves equal: {curves} (target: True)")
    assert hits >= kills // 2
    assert all(same)
    assert curves


# Each line on its standard input asks for a writer. They are forked: the imports take longer than what is tested.
WRITERS = """
import os, pathlib, sys, torch
from imgcls_lab.engine.checkpointing import checkpoint
folder = pathlib.Path(sys.argv[1])

def write():
    state = {"weights": [torch.randn(64, 256) for _ in range(16)]}
    first = 1 + max((int(path.name.split("-s")[1]) for path in checkpoint.saved(folder)), default=0)
    checkpoint.sweep(folder)
    for step in range(first, first + 1000):  # it ends some time where nobody is left to kill it
        name = f"a001-s{step:08d}"
        checkpoint.save(folder, name, lambda target: (target / "model.safetensors").write_bytes(b"x" * 200_000), state)
        checkpoint.link(folder, "last", name)
        checkpoint.prune(folder, 2)
        if step == first:
            print(os.getpid(), flush=True)

for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        write()
        os._exit(1)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


@pytest.mark.parametrize(
    "kills", [10, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])], ids=["some", "five hundred"]
)
def test_killed_while_it_writes_a_checkpoint_none_is_unloadable(tmp_path: Path, kills: int) -> None:
    chance = random.Random(kills)
    unloadable = interrupted = 0
    with subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for _ in range(kills):
            writers.stdin.write("one more\n")
            writers.stdin.flush()
            writer = int(writers.stdout.readline())  # one is written; now into the middle of another
            time.sleep(chance.uniform(0, 0.03))
            os.kill(writer, signal.SIGKILL)
            assert writers.stdout.readline() == "gone\n"
            interrupted += any(path.name.startswith(".") for path in tmp_path.iterdir())
            for folder in [*checkpoint.saved(tmp_path), tmp_path / "last"]:
                try:
                    assert checkpoint.damage(folder) is None
                    checkpoint.load_state(folder)
                except Exception as error:
                    print(f"{folder.name}: {error!r}")
                    unloadable += 1
        writers.stdin.close()
    print(f"\n{kills} kills while checkpoints are written: {unloadable} unloadable (target: 0)")
    print(f"{interrupted} of them left a half-written one, under its temporary name (target: most)")
    assert unloadable == 0
    assert interrupted > kills / 2
