"""Sweeps whose trials are several runs, a seed each: real daemon, real driver, real study; the trainings are a stub."""

from __future__ import annotations

import json
import os
import signal
from statistics import fmean, stdev
from typing import Any

import pytest

import imgcls_lab as lab
from imgcls_lab import Sweep, TrainConfig
from imgcls_lab.batch.optuna_study import Study
from imgcls_lab.batch.parameters import declared
from imgcls_lab.batch.replicates import deviation_of, first_seed, mean_curve, values_of_runs
from imgcls_lab.batch.sweep_spec import check_space, make_request
from imgcls_lab.errors import ConfigError, ImgclsError, InputError
from imgcls_lab.events import ACTIVE, RunState
from tests.batch.conftest import Stubs
from tests.waiting import until

STEADY, LUCKY = 1e-3, 3e-3  # 0.75 for each seed; about 0.73 with two seeds, far above with one


def request(space: dict[str, Any] | None = None, **more: Any) -> Any:
    return make_request(**{"base": {"root": "r"}, "space": space or {"lr": [1e-3, 1e-2]}, "replicates": 3, **more})


def each_lr(sweep: Sweep) -> dict[float, list[int]]:
    """The seeds of the runs there are, by learning rate."""
    found: dict[float, list[int]] = {}
    for run in lab.runs(where=f"sweep={sweep.id}", limit=500):
        found.setdefault(run.config.lr, []).append(run.config.seed)
    return {lr: sorted(seeds) for lr, seeds in found.items()}


# ── arithmetic ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_mean_is_of_the_epochs_that_all_runs_have_reached() -> None:
    assert mean_curve([[(1, 0.2), (2, 0.4)], [(1, 0.4), (2, 0.8), (3, 1.0)]]) == [
        (1, pytest.approx(0.3)),
        (2, pytest.approx(0.6)),
    ]
    assert mean_curve([[(1, 0.2)], []]) == []
    assert mean_curve([]) == []
    assert mean_curve([[(2, 0.5), (1, 0.25)]]) == [(1, 0.25), (2, 0.5)]


def test_the_deviation_is_that_of_a_sample_and_one_value_has_none() -> None:
    assert deviation_of([1.0, 2.0, 3.0]) == 1.0
    assert deviation_of([1.0]) is None


# ── refused ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("space", "more", "field", "sentence"),
    [
        (None, {"replicates": 0}, "replicates", "at least 1"),
        (None, {"replicates": 1000}, "replicates", "at most 100"),
        (None, {"replicates": 2.5}, "replicates", "whole number"),
        (None, {"replicates": True}, "replicates", "whole number"),
        ({"seed": [1, 2]}, {}, "seed", "take the seed out of the space, or leave out replicates"),
        ({"lr": (1e-5, 1e-2)}, {"strategy": "asha"}, "replicates", "Take grid, random or tpe without a pruner"),
        ({"lr": (1e-5, 1e-2)}, {"strategy": "random", "pruner": "median"}, "replicates", "without a pruner"),
        (
            {"lr": (1e-5, 1e-2)},
            {"strategy": "halving", "base": {"root": "r", "epochs": 9}},
            "replicates",
            "Take grid, random or tpe",
        ),
        (None, {"base": {"root": "r", "seed": 2**32 - 2}}, "replicates", "take a smaller seed"),
        (
            {"lr": (1e-5, 1e-2)},
            {"strategy": "random", "trials": 200, "replicates": 100},
            "replicates",
            "200 trials with 100 replicates each are 20,000 runs, and 10,000 are the most",
        ),
    ],
)
def test_replicates_that_cannot_be_are_one_sentence_that_says_what_can(
    space: Any, more: dict[str, Any], field: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        check_space(request(space, **more))
    assert [problem.field for problem in caught.value.problems] == [field]


def test_a_search_without_a_number_of_trials_may_have_replicates() -> None:
    check_space(request({"lr": {"low": 1, "high": 10**6, "whole": True}}, strategy="random"))
    check_space(request({"lr": (1e-5, 1e-2)}, strategy="tpe", epochs=30))


@pytest.mark.parametrize(("seed", "first"), [(7, 7), ("7", 7), (None, 0)])
def test_the_first_seed_is_that_of_the_base_as_the_config_reads_it(seed: Any, first: int) -> None:
    base = {"root": "r"} if seed is None else {"root": "r", "seed": seed}
    wanted = request(base=base)
    found = [{**wanted.base, **each} for each in values_of_runs(wanted, {"lr": 0.1}, first_seed(wanted, None))]
    assert [TrainConfig.parse(values).seed for values in found] == [first, first + 1, first + 2]


def test_replicates_of_a_notebook_need_its_seed() -> None:
    class Source:
        name = "train.ipynb"

        def __init__(self, code: str) -> None:
            self.parameters = declared(code, self.name)[0]

    wanted = request(notebook="/train.ipynb", base={})
    assert first_seed(wanted, Source("seed = 7")) == 7  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"has no parameter `seed` with a whole number.*Write `seed = 0`"):
        first_seed(wanted, Source("lr = 0.1"))  # type: ignore[arg-type]


# ── sweeps ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_best_trial_is_the_best_mean_and_not_that_of_the_luckiest_seed(stubs: Stubs) -> None:
    stubs.luck.write_text(json.dumps({f"{LUCKY}:1": 0.2, f"{LUCKY}:0": -0.2, f"{LUCKY}:2": -0.1}))
    sweep = stubs.sweep([STEADY, LUCKY], replicates=3)
    stubs.start()
    sweep.wait(120)
    steady, lucky = sweep.view.trials
    assert each_lr(sweep) == {STEADY: [0, 1, 2], LUCKY: [0, 1, 2]}
    singles = {run.value: (trial.params["lr"], run.seed) for trial in (steady, lucky) for run in trial.replicates}
    assert singles[max(filter(None, singles))] == (LUCKY, 1)  # the best single run is of the other trial
    assert sweep.view.best == steady.number
    assert sweep.best.config.lr == STEADY
    values = [run.value for run in lucky.replicates if run.value is not None]
    assert lucky.value == pytest.approx(fmean(values))
    assert lucky.deviation == pytest.approx(stdev(values))
    assert lucky.run_id == lucky.replicates[1].run_id  # its run is the best of them
    assert lab.run(lucky.run_id).name == f"it: lr={LUCKY} seed=1"
    assert [point.epoch for point in lucky.curve] == [1, 2]
    told = [trial.value for trial in Study(stubs.settings.run_dir(sweep.id), sweep.request).trials()]
    assert told == [steady.value, lucky.value]  # a search is told the means

    frame = sweep.results()
    assert list(frame.columns) == ["lr", "state", "accuracy", "accuracy sd", "replicates", "epochs", "seconds", "run"]
    assert frame["accuracy"].idxmax() == steady.number
    assert frame["accuracy sd"].tolist() == [0.0, pytest.approx(stdev(values))]
    unfolded = sweep.results(each_run=True)
    assert unfolded.index.names == ["trial", "seed"]
    assert unfolded.groupby("trial")["accuracy"].mean().tolist() == pytest.approx(frame["accuracy"].tolist())
    assert "75.0 ± 0.0 %" in repr(sweep)


def test_replicates_survive_kills_and_there_is_one_run_a_seed_two_at_a_time(stubs: Stubs) -> None:
    stubs.epochs_take(0.4)
    sweep = stubs.sweep([1e-4, 1e-3], replicates=3, parallel=2)
    stubs.start()
    until(lambda: any(run.value is not None for trial in sweep.view.trials for run in trial.replicates))
    assert sweep.view.best is None  # a trial has no value before all of its runs have theirs
    assert any(trial.state in {"running", "queued"} for trial in sweep.view.trials)
    stubs.kill()
    driver = sweep.run.refresh().view.attempts[-1].pid
    assert driver is not None
    os.kill(driver, signal.SIGKILL)
    stubs.start()
    most = 0

    def is_over() -> bool:
        nonlocal most
        most = max(most, sum(run.state in ACTIVE for run in stubs.runs()))
        return sweep.state is RunState.SUCCEEDED

    until(is_over, 120)
    assert most == 2  # of one trial and of the next: a run takes a place, not a trial
    assert sweep.run.view.attempt == 2
    assert {trial.state for trial in sweep.view.trials} == {"succeeded"}
    assert each_lr(sweep) == {1e-4: [0, 1, 2], 1e-3: [0, 1, 2]}


def test_a_trial_without_one_of_its_runs_is_a_hole_and_fill_runs_this_one_alone(stubs: Stubs) -> None:
    stubs.fails.write_text("0.001:1")
    sweep = stubs.sweep([1e-4, 1e-3], replicates=3)
    stubs.start()
    sweep.wait(120)
    worse, better = sweep.view.trials
    assert (better.state, better.hole, better.value, better.deviation) == ("failed", True, None, None)
    assert better.message == "The stub failed as it was told."
    assert [run.state for run in better.replicates] == ["succeeded", "failed", "succeeded"]
    assert sweep.view.best == worse.number  # only whole trials are compared
    assert sweep.results()["replicates"].tolist() == [3, 2]
    deleted = lab.run(worse.replicates[2].run_id or "")
    deleted.delete()
    assert [trial.state for trial in sweep.view.trials] == ["missing", "failed"]
    assert sweep.view.holes == 2

    stubs.fails.unlink()
    before = {run.id: run.view.attempt for run in stubs.runs()}
    sweep.fill().wait(120)
    assert [trial.state for trial in sweep.view.trials] == ["succeeded", "succeeded"]
    assert sweep.best.config.lr == 1e-3
    after = {run.id: run.view.attempt for run in stubs.runs()}
    changed = sorted(
        (lab.run(run).config.lr, lab.run(run).config.seed) for run in after if before.get(run) != after[run]
    )
    assert changed == [(1e-4, 2), (1e-3, 1)]


def test_a_stopped_sweep_stops_all_runs_and_fill_goes_on_with_them(stubs: Stubs) -> None:
    stubs.epochs_take(0.4)
    stubs.base = stubs.base.with_changes(epochs=15)
    stubs.start()
    sweep = stubs.sweep([1e-3], replicates=2)
    until(lambda: sum(run.view.step > 1 for run in stubs.runs()) == 2)
    sweep.stop()
    until(lambda: sweep.state is RunState.STOPPED)
    until(lambda: all(run.state is RunState.STOPPED for run in stubs.runs()))
    assert (sweep.view.trials[0].state, sweep.view.holes) == ("stopped", 1)
    stubs.epochs_take(0.01)
    sweep.fill().wait(120)
    assert sweep.view.trials[0].state == "succeeded"
    assert [run.view.attempt for run in stubs.runs()] == [2, 2]


def test_more_replicates_begin_with_the_runs_there_are(stubs: Stubs) -> None:
    stubs.start()
    single = stubs.sweep([1e-3]).wait(120)
    first = single.view.trials[0].run_id
    three = single.extend(replicates=3).wait(120)
    assert three.view.trials[0].replicates[0].run_id == first
    assert len(stubs.runs()) == 3
    with pytest.raises(ConfigError, match="has 3 replicates of each trial; give more"):
        three.extend(replicates=2)
    with pytest.raises(ConfigError, match="fill it"):
        three.extend(replicates=3)
    with pytest.raises(ImgclsError, match="at most 100"):
        three.extend(replicates=101)
