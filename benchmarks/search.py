"""How many epochs the strategies of a sweep take to a good trial: regret against epochs, heads for the demo's digits.

A grid of trials is trained to the end once, and their losses by epoch are kept (`results/search-curves.json`). Then
every strategy searches the same space on one device, with seeds that decide what it draws, and the recorded losses are
what it sees (`replayed_sweep`). Where the file is there, nothing is trained; remove it to train them anew.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import multiprocessing
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import frame
from benchmarks.frame import Line, reported
from benchmarks.replayed_sweep import TAG, Curves, replay
from imgcls_lab import cpu, demo_data
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.events import EpochEnded, Event
from imgcls_lab.settings import Settings

CURVES = frame.RESULTS / "search-curves.json"
REGRETS = frame.RESULTS / "search-regrets.json"
EPOCHS = 9  # of a trial
BUDGET = 27 * EPOCHS  # epochs of a sweep
QUARTER = BUDGET // 4
AXES: dict[str, list[float]] = {
    "lr": [float(f"{10 ** (power / 4):.4g}") for power in range(-20, -3)],  # 1e-5 to 1e-1, four in each power of ten
    "batch_size": [32, 64, 128],
}
RANDOM, HALVING = "random", "halving, 27 trials"
STRATEGIES: dict[str, dict[str, Any]] = {
    RANDOM: {"strategy": "random", "epochs": BUDGET},
    "tpe": {"strategy": "tpe", "epochs": BUDGET},
    "asha": {"strategy": "asha", "epochs": BUDGET},
    HALVING: {"strategy": "halving", "trials": 27},
    "hyperband, 60 trials": {"strategy": "hyperband", "trials": 60},
}
SEEDS, QUICK_SEEDS = 5, 2


def measure(folder: Path, quick: bool) -> list[Line]:
    if not CURVES.exists():
        _record(folder)
    curves = Curves.read(CURVES)
    names = [RANDOM, HALVING] if quick else [*STRATEGIES]
    found = search(curves, folder, names, QUICK_SEEDS if quick else SEEDS)
    if not quick:
        means = {name: [float(f"{fmean(each):.4g}") for each in zip(*of, strict=True)] for name, of in found.items()}
        REGRETS.write_text(json.dumps({"seeds": SEEDS, "means": means}) + "\n")
    return lines(found)


def lines(found: dict[str, list[list[float]]]) -> list[Line]:
    """found: by strategy and seed the regret after each epoch."""
    after = {name: [fmean(each) for each in zip(*of, strict=True)] for name, of in found.items()}
    at_end, seeds = after[RANDOM][BUDGET - 1], len(found[RANDOM])
    pairs = zip(found[HALVING], found[RANDOM], strict=True)
    as_good = sum(ours[QUARTER - 1] <= theirs[BUDGET - 1] for ours, theirs in pairs)
    rows = [
        Line(
            f"{HALVING}, after {QUARTER} epochs (target: what {RANDOM} has after {BUDGET})",
            at_end, after[HALVING][QUARTER - 1], "", note=f"mean of {seeds} seeds",
        ),
        reported("seeds in which it is as good then", as_good, f"of {seeds}"),
    ]  # fmt: skip
    return rows + [
        reported(f"{name}, after {place} epochs", curve[place - 1], "")
        for name, curve in after.items()
        for place in (QUARTER, BUDGET)
    ]


def search(curves: Curves, folder: Path, names: Sequence[str], seeds: int) -> dict[str, list[list[float]]]:
    """By strategy and seed, after each epoch: how far the best loss that the sweep has seen is above the best of all.

    Its checkpoint is kept, whatever becomes of its trial. A sweep that is over keeps what it has.
    """
    wanted = [(name, seed) for name in names for seed in range(seeds)]
    with _processes() as pool:
        asked = [pool.submit(_search_once, curves, folder, name, seed) for name, seed in wanted]
        each = dict(zip(wanted, [one.result() for one in asked], strict=True))
    return {name: [each[name, seed] for seed in range(seeds)] for name in names}


def _search_once(curves: Curves, folder: Path, name: str, seed: int) -> list[float]:
    with tempfile.TemporaryDirectory(dir=folder, prefix="sweep-") as place:
        with contextlib.redirect_stdout(io.StringIO()):
            seen = replay(curves, Path(place), seed=seed, **STRATEGIES[name])
    whole = [*seen, *[seen[-1]] * BUDGET][:BUDGET]
    return [loss - curves.best for loss in whole]


def _processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(cpu.cores(), mp_context=multiprocessing.get_context("spawn"))


# ── the trainings ───────────────────────────────────────────────────────────────────────────────────────────────
def _record(folder: Path) -> None:
    """Train every trial of the grid to its end, and keep its losses."""
    (folder / "data").mkdir()
    settings = Settings(home=str(folder / "home"), datasets_dir=str(folder / "data"))
    fixed: dict[str, Any] = {"epochs": EPOCHS, "freeze_backbone": True, "augmentation": "none", "image_size": 16}
    frugal: dict[str, Any] = {"threads": 1, "num_workers": 0, "log_every": 1000, "tensorboard_evaluation": False}
    config = demo_data.prepare(settings, None).config.with_changes(**frugal, **fixed)
    shutil.rmtree(Path(config.root) / "test")  # no search looks at it
    points = [dict(zip(AXES, point, strict=True)) for point in itertools.product(*AXES.values())]
    with _processes() as pool:
        asked = [pool.submit(_train, config, folder, point) for point in points]
        losses = [one.result() for one in asked]
    content = {
        "what": "loss on val/ after each epoch, heads on the frozen backbone of the demo's digits",
        "config": fixed,
        "hardware": frame.hardware(),
        "axes": AXES,
        "losses": [[float(f"{loss:.6g}") for loss in each] for each in losses],
    }
    CURVES.write_text(json.dumps(content) + "\n")


def _train(config: TrainConfig, folder: Path, point: dict[str, float]) -> list[float]:
    """The loss of one trial after each epoch."""
    seen: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, EpochEnded):
            seen.append(event.values[TAG])

    place = Path(tempfile.mkdtemp(dir=folder, prefix="trial-"))
    locations = CacheLocations(folder / "scans", folder / "cache", folder / "compiled", 10**10)
    values: dict[str, Any] = {**point, "batch_size": int(point["batch_size"])}
    with contextlib.redirect_stdout(io.StringIO()):
        train(config.with_changes(**values), place / "run", on_event=note, cache_locations=locations)
    shutil.rmtree(place)
    return seen
