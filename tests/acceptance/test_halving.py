"""Halving on real digits, one slot: no epoch trained twice, the winner of training all, kill -9 of everything.

The quick one has three trials and one kill of everything; five seeds of 27 trials with three kills are slow. These
train the head on a frozen backbone, with rates at which its curves are smooth, so that there is a winner. Where all
weights of this tiny net are trained, or the rate is so high that losses go up and down, the best trials differ by less
than their losses do from epoch to epoch, and who is the best in the end is chance, whatever search looks for it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kills import wait_with_kills

import imgcls_lab as lab
from imgcls_lab import Sweep, TrainConfig, demo_data
from imgcls_lab.events import (
    CheckpointSaved,
    EpochEnded,
    RunKind,
    Started,
    read_events,
)
from imgcls_lab.run_layout import event_files
from imgcls_lab.settings import Settings
from tests import own_home

SPACE: dict[str, Any] = {
    "lr": {"low": 1e-5, "high": 1e-2, "log": True},
    "weight_decay": {"low": 1e-4, "high": 1.0, "log": True},
    "batch_size": [16, 32, 64],
}
SEEDS = range(5)


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with own_home.ended(monkeypatch, cpu_slots=1) as settings:
        yield settings


@pytest.fixture
def digits(own: Settings) -> TrainConfig:
    return demo_data.prepare(own).config.with_changes(epochs=9, threads=1)


def show(what: str, reached: str, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


def trainings() -> list[lab.Run]:
    return [run for run in lab.runs(limit=500) if run.view.kind is RunKind.TRAIN]


def epochs_of(run: lab.Run) -> tuple[int, int]:
    """The epochs that a run has trained, and how many of those again whose checkpoint was there already."""
    trained, again, saved = 0, 0, 0
    for path in event_files(run.folder):
        done = 0
        for event in read_events(path)[0]:
            match event:
                case Started(resume_step=step, steps_per_epoch=steps):
                    done = step // steps
                    again += max(0, saved - done)
                case EpochEnded():
                    trained += 1
                case CheckpointSaved(epoch=epoch):
                    saved = max(saved, epoch)
    return trained, again


def halved(config: TrainConfig, own: Settings, *, trials: int, seed: int, kills: list[int]) -> tuple[Sweep, int]:
    """A sweep by halving that has ended, and the epochs that it trained: by its events none of them twice."""
    before = {run.id for run in trainings()}
    sweep = lab.sweep(
        config, SPACE, strategy="halving", budget=trials, seed=seed, metric="loss", name=f"halving {seed}"
    )
    hits = wait_with_kills(sweep, own, kills)
    assert hits == len(kills)
    found = [epochs_of(run) for run in trainings() if run.id not in before]
    trained, again = sum(epochs for epochs, _ in found), sum(twice for _, twice in found)
    show(f"seed {seed}: epochs trained twice, with {hits} kills of everything", str(again), "0")
    assert again == 0
    # an epoch that a kill cut off between its last event and its checkpoint is in the events twice
    assert sweep.view.epochs_budget <= trained <= (sweep.view.epochs_budget or 0) + hits
    assert len(found) == trials
    return sweep, trained


def trained_to_the_end(config: TrainConfig, *, trials: int, seed: int) -> Sweep:
    """The same trials, all to their end: those that were left go on from their rungs."""
    known = {run.id for run in trainings()}
    sweep = lab.sweep(config, SPACE, strategy="random", budget=trials, seed=seed, metric="loss", name=f"all {seed}")
    sweep.wait(2400)
    assert {trial.run_id for trial in sweep.view.trials} <= known
    return sweep


def regrets(sweep: Sweep, whole: Sweep, trained: int) -> str:
    """By how much the loss is above that of the best trial: halving's, and that of the best of those trials that random
    search has trained to their end after as many epochs."""
    losses = [trial.value for trial in sorted(whole.view.trials, key=lambda trial: trial.number)]
    to_the_end = [trial.value for trial in sweep.view.trials if trial.state == "succeeded"]
    halved, by_then, best = (
        min(loss for loss in some if loss is not None) for some in (to_the_end, losses[: trained // 9], losses)
    )
    return f"{halved - best:.4f}, {by_then - best:.4f}"


@pytest.mark.timeout(900)
def test_three_trials_on_one_slot_survive_a_kill_of_everything(digits: TrainConfig, own: Settings) -> None:
    sweep, trained = halved(digits.with_changes(epochs=3), own, trials=3, seed=0, kills=[2])
    show("epochs of 3 trials", f"{trained} instead of {3 * 3}", "3 * 1 + 1 * 2, and 1 that the kill cut")
    assert Counter(trial.state for trial in sweep.view.trials) == {"pruned": 2, "succeeded": 1}


@pytest.mark.slow
@pytest.mark.timeout(6000)
def test_27_trials_of_five_seeds_find_the_winner_of_training_all(digits: TrainConfig, own: Settings) -> None:
    digits = digits.with_changes(freeze_backbone=True, augmentation="none", image_size=16)
    same, share = 0, []
    for seed in SEEDS:
        moments = sorted(random.Random(seed).sample(range(5, 55), 3))
        sweep, trained = halved(digits, own, trials=27, seed=seed, kills=moments)
        whole = trained_to_the_end(digits, trials=27, seed=seed)
        share.append(trained / (27 * 9))
        winner, best = sweep.best, whole.best
        same += winner.id == best.id
        show(f"seed {seed}: the winner, and that of training all", f"{winner.id}, {best.id}", "the same")
        show(
            f"seed {seed}: regret, and that of random search after as many epochs",
            regrets(sweep, whole, trained),
            "less",
        )
        assert sum(epochs_of(run)[1] for run in trainings()) == 0
    show("seeds with the winner of training all to the end", f"{same} of {len(share)}", "4 of 5")
    show("epochs, as a share of training all", ", ".join(f"{part:.0%}" for part in share), "a third at most")
    assert same >= 4
    assert max(share) <= 1 / 3
