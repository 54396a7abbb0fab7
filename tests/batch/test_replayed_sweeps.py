"""The strategies against each other, on recorded losses of real trainings; and what a device passes for a sweep.

The whole of it, with five seeds and all strategies, is `python -m benchmarks search`.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from statistics import fmean

import pytest

from benchmarks.replayed_sweep import Curves, replay
from benchmarks.search import BUDGET, CURVES, HALVING, QUARTER, RANDOM, STRATEGIES

SEEDS = range(2)


def falling(epochs: int = 9) -> Curves:
    """Losses that fall to the distance from lr = 1e-3, so that each epoch orders the trials as the end does."""
    axes = {"lr": [10.0**power for power in range(-6, 1)], "batch_size": [16.0, 32.0]}
    points = itertools.product(*axes.values())
    return Curves(
        axes, {point: [abs(point[0] - 1e-3) + 1 / epoch for epoch in range(1, epochs + 1)] for point in points}
    )


def test_the_losses_that_are_kept_are_whole() -> None:
    curves = Curves.read(CURVES)
    assert len(curves.losses) == 17 * 3
    assert {len(each) for each in curves.losses.values()} == {9}
    near = curves.of({"lr": 1.1e-3, "batch_size": 32, "epochs": 9})
    assert near is curves.losses[1e-3, 32]
    assert curves.best == min(loss for each in curves.losses.values() for loss in each)


@pytest.mark.parametrize(
    ("request_of", "epochs"),
    [
        ({"strategy": "random", "trials": 4}, 4 * 9),
        ({"strategy": "halving", "trials": 9}, 9 + 3 * 2 + 6),
        ({"strategy": "hyperband", "trials": 17}, 21 + 21 + 27),
    ],
)
def test_a_sweep_passes_the_epochs_of_its_plan_and_none_twice(
    request_of: dict[str, object], epochs: int, tmp_path: Path
) -> None:
    seen = replay(falling(), tmp_path, **request_of)
    assert len(seen) == epochs
    assert seen == sorted(seen, reverse=True)


def test_a_pruner_ends_trials_between_two_epochs(tmp_path: Path) -> None:
    seen = replay(falling(), tmp_path, strategy="asha", trials=9)
    assert 9 + 8 <= len(seen) < 9 * 9


@pytest.mark.slow
def test_halving_is_at_a_quarter_of_the_epochs_where_random_search_ends(tmp_path: Path) -> None:
    curves = Curves.read(CURVES)
    after: dict[str, list[float]] = {RANDOM: [], HALVING: []}
    for name, seed in itertools.product(after, SEEDS):
        place = tmp_path / f"{name} {seed}"
        place.mkdir()
        seen = replay(curves, place, seed=seed, **STRATEGIES[name])
        after[name].append(seen[(QUARTER if name == HALVING else BUDGET) - 1] - curves.best)
    print(f"\nregret: {HALVING} after {QUARTER} epochs {after[HALVING]}, random after {BUDGET} {after[RANDOM]}")
    assert fmean(after[HALVING]) <= fmean(after[RANDOM]) + 0.01
