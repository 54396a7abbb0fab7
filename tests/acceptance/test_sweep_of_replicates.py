"""A sweep with replicates on real digits: kill -9 of everything, one run a seed, the winner by the mean of its runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev

import pytest
from kills import wait_with_kills

import imgcls_lab as lab
from imgcls_lab import TrainConfig, demo_data
from imgcls_lab.events import RunKind
from imgcls_lab.settings import Settings
from tests import own_home

RATES, SEEDS = [3e-4, 3e-3], 3


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with own_home.ended(monkeypatch) as settings:
        yield settings


@pytest.fixture
def digits(own: Settings) -> TrainConfig:
    return demo_data.prepare(own).config.with_changes(epochs=2, threads=1, seed=4)


def show(what: str, reached: str, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


def imgcls(*words: str) -> str:
    program = Path(sys.executable).with_name("imgcls-lab")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trainings() -> list[lab.Run]:
    return [run for run in lab.runs(limit=500) if run.view.kind is RunKind.TRAIN]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_points_with_three_seeds_survive_a_kill_of_everything(
    digits: TrainConfig, own: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "seeds.yaml"
    file.write_text(json.dumps({"base": digits.model_dump(mode="json"), "space": {"lr": RATES}, "metric": "loss"}))
    queued = json.loads(imgcls("sweep", str(file), "--replicates", str(SEEDS), "--json"))
    sweep = lab.Sweep(queued["run_id"])
    hits = wait_with_kills(sweep, own, [3])
    show("kills of everything that hit the sweep", str(hits), "1")
    assert hits == 1

    found = Counter((run.config.lr, run.config.seed) for run in trainings())
    show("runs, and those of a seed that there are twice", f"{found.total()}, {found.total() - len(found)}", "6, 0")
    assert found == Counter({(lr, seed): 1 for lr in RATES for seed in (4, 5, 6)})

    # from what the engine wrote, without anything of the sweep
    lowest = {
        (run.config.lr, run.config.seed): float(run.metrics(["loss/val"])["loss/val"].min()) for run in trainings()
    }
    by_point = {lr: [lowest[lr, seed] for seed in (4, 5, 6)] for lr in RATES}
    winner = min(by_point, key=lambda lr: fmean(by_point[lr]))
    shown = json.loads(imgcls("trials", sweep.id, "--json"))
    best = next(trial for trial in shown["trials"] if trial["number"] == shown["best"])
    show("the winner, and the lowest mean loss of the runs", f"{best['params']['lr']}, {winner}", "the same")
    assert best["params"]["lr"] == winner
    for trial in shown["trials"]:
        values = by_point[trial["params"]["lr"]]
        off = max(abs(trial["value"] - fmean(values)), abs(trial["deviation"] - stdev(values)))
        show(f"lr {trial['params']['lr']}: mean ± standard deviation off by", f"{off:.1e}", "1e-6 at most")
        assert off < 1e-6
    table = imgcls("trials", sweep.id, "--runs")
    assert (table.count("3 of 3"), table.count("seed 5"), table.count(" ± ")) == (2, 2, 2)

    known = {run.id for run in trainings()}
    single = lab.sweep(digits, {"lr": RATES}, metric="loss", name="one seed").wait(300)
    show("new runs of the same sweep without replicates", str(len({run.id for run in trainings()} - known)), "0")
    assert {run.id for run in trainings()} == known
    assert {trial.run_id for trial in single.view.trials} <= known
