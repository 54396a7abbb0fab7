"""Successive halving with a stub of a training: real daemon, real driver, real study. Who goes on, kills, holes."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import pytest

import imgcls_lab as lab
from imgcls_lab import Sweep
from imgcls_lab.api import context
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import EpochEnded, RunState, read_events
from imgcls_lab.run_layout import attempt_of
from tests.batch.conftest import Stubs
from tests.waiting import until

pytestmark = pytest.mark.timeout(900)

# the stub is best at 1e-3; the order of these by its accuracy: 1e-3, 2e-3, 3e-4, 1e-4, 1.2e-2, 2e-2, 4e-5, 5e-2, 1e-5
RATES = [1e-5, 4e-5, 1e-4, 3e-4, 1e-3, 2e-3, 1.2e-2, 2e-2, 5e-2]


@pytest.fixture
def one_slot(stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> Stubs:
    monkeypatch.setenv("IMGCLS_CPU_SLOTS", "1")
    stubs.base = stubs.base.with_changes(epochs=9)
    stubs.epochs_take(0.02)
    return stubs


def halving(stubs: Stubs, rates: Any = RATES, **more: Any) -> Sweep:
    return stubs.sweep(rates, **{"strategy": "halving", **more})


def epochs_by_run(stubs: Stubs) -> Counter[tuple[str, int]]:
    """How often each epoch of each run was trained, by their events."""
    found: Counter[tuple[str, int]] = Counter()
    for run in stubs.runs():
        for path in run.folder.iterdir():
            if attempt_of(path) and path.name.startswith("events-"):
                found.update((run.id, event.epoch) for event in read_events(path)[0] if isinstance(event, EpochEnded))
    return found


def trial_of(sweep: Sweep, lr: float) -> Any:
    return next(trial for trial in sweep.view.trials if trial.params["lr"] == lr)


def test_the_best_third_of_each_rung_goes_on_through_kills_and_no_epoch_is_trained_twice(one_slot: Stubs) -> None:
    sweep = halving(one_slot)
    assert [(rung.epochs, rung.trials) for rung in sweep.view.brackets[0].rungs] == [(1, 9), (3, 3), (9, 1)]
    one_slot.epochs_take(0.3)
    one_slot.start()
    until(lambda: any(trial.state == "waiting" and trial.run_id for trial in sweep.view.trials), 240)
    waiting = next(trial for trial in sweep.view.trials if trial.state == "waiting" and trial.run_id)
    assert "Waits at rung 1 for" in str(waiting.message)
    until(lambda: "Waits at rung 1 of the sweep" in str(lab.run(str(waiting.run_id)).view.message), 240)
    one_slot.kill()
    driver = sweep.run.refresh().view.attempts[-1].pid
    assert driver is not None
    os.kill(driver, signal.SIGKILL)
    one_slot.epochs_take(0.02)
    one_slot.start()
    until(lambda: sum((trial.rung or 0) > 1 for trial in sweep.view.trials) == 3, 240)
    sweep.wait(240)
    trained = epochs_by_run(one_slot)
    assert max(trained.values()) == 1
    assert len(trained) == 9 + 3 * 2 + 6 == sweep.view.epochs_budget == sweep.view.epochs_done
    assert sweep.best.config.lr == 1e-3
    attempts = [run.view.attempt for run in stubs_by_rate(one_slot, [1e-3, 2e-3, 3e-4, 1e-5])]
    assert all(found >= one_each for found, one_each in zip(attempts, [3, 2, 2, 1], strict=True))
    left = trial_of(sweep, 1e-4)
    assert (left.state, left.rung, left.hole) == ("pruned", 1, False)
    assert left.message == "Left at rung 1: rank 4 of 9."
    assert "Left at rung 1 of the sweep “it”: rank 4 of 9." in str(lab.run(left.run_id).view.message)
    assert trial_of(sweep, 2e-3).message == "Left at rung 2: rank 2 of 3."
    assert lab.run(left.run_id).state is RunState.STOPPED
    assert sweep.view.holes == 0
    sweep.fill().wait(240)  # nothing is missing: nothing is trained
    assert epochs_by_run(one_slot) == trained


def stubs_by_rate(stubs: Stubs, rates: list[float]) -> list[lab.Run]:
    by_rate = {run.config.lr: run for run in stubs.runs()}
    return [by_rate[rate] for rate in rates]


def test_more_trials_go_on_from_the_rungs_of_those_before(one_slot: Stubs) -> None:
    one_slot.start()
    space = {"low": 1e-5, "high": 1e-1, "log": True}
    first = halving(one_slot, space, budget=6).wait(240)
    before = epochs_by_run(one_slot)
    wider = first.extend(trials=18).wait(240)
    assert {trial.params["lr"] for trial in first.view.trials} < {trial.params["lr"] for trial in wider.view.trials}
    trained = epochs_by_run(one_slot)
    assert max(trained.values()) == 1
    assert before.keys() <= trained.keys()
    assert [sum((trial.rung or 0) >= rung for trial in wider.view.trials) for rung in (1, 2, 3)] == [18, 6, 2]
    with pytest.raises(ConfigError, match="give more"):
        wider.extend(trials=6)


def test_a_trial_that_fails_or_is_deleted_keeps_no_other_waiting_and_is_filled(one_slot: Stubs) -> None:
    one_slot.fails.write_text("0.002")
    one_slot.epochs_take(0.3)
    sweep = halving(one_slot, seed=5)  # with it 1e-3 is drawn second, and 2e-3 last
    one_slot.start()
    until(lambda: (1e-3, "waiting") in {(t.params["lr"], t.state) for t in sweep.view.trials if t.run_id}, 240)
    until(lambda: lab.run(trial_of(sweep, 1e-3).run_id).state is RunState.STOPPED, 240)
    lab.run(trial_of(sweep, 1e-3).run_id).delete()
    one_slot.epochs_take(0.02)
    sweep.wait(240)
    assert (trial_of(sweep, 2e-3).state, trial_of(sweep, 1e-3).state) == ("failed", "missing")
    assert sweep.view.holes == 2
    assert sweep.best.config.lr == 3e-4
    assert trial_of(sweep, 1e-5).message == "Left at rung 1: rank 7 of 7."

    one_slot.fails.unlink()
    before = epochs_by_run(one_slot)
    sweep.fill().wait(240)
    assert sweep.view.holes == 0
    assert sweep.best.config.lr == 1e-3
    assert trial_of(sweep, 2e-3).message == "Left at rung 2: rank 2 of 5."  # the two that were filled beside the three
    assert trial_of(sweep, 1e-4).message == "Left at rung 2: rank 2 of 3."
    assert {run.config.lr for run in stubs_of(epochs_by_run(one_slot) - before)} == {1e-3, 2e-3}


def stubs_of(trained: Counter[tuple[str, int]]) -> list[lab.Run]:
    return [lab.run(run_id) for run_id in {run_id for run_id, _ in trained}]


def test_a_stopped_sweep_goes_on_from_the_rungs_when_it_is_filled(one_slot: Stubs) -> None:
    one_slot.epochs_take(0.3)
    sweep = halving(one_slot)
    one_slot.start()
    until(lambda: sum(trial.state == "waiting" and bool(trial.run_id) for trial in sweep.view.trials) >= 2, 240)
    sweep.stop()
    until(lambda: sweep.state is RunState.STOPPED, 240)
    until(lambda: all(run.state in {RunState.STOPPED, RunState.CANCELLED} for run in one_slot.runs()), 240)
    standing = [trial for trial in sweep.view.trials if "Stands at rung 1" in str(trial.message)]
    assert len(standing) >= 2
    assert sweep.view.holes == len(sweep.view.trials)
    one_slot.epochs_take(0.02)
    sweep.fill().wait(240)
    assert sweep.view.holes == 0
    assert sweep.best.config.lr == 1e-3
    trained = epochs_by_run(one_slot)
    assert max(trained.values()) == 1
    assert len(trained) == 21


def test_other_sweeps_share_trials_that_wait_or_were_left_at_a_rung(one_slot: Stubs) -> None:
    one_slot.start()
    halving(one_slot).wait(240)
    ids = {run.id for run in one_slot.runs()}
    slower = halving(one_slot, budget=9, min_epochs=3, eta=2).wait(240)
    assert [rung.epochs for rung in slower.view.brackets[0].rungs] == [4, 9]
    assert {trial.run_id for trial in slower.view.trials} == ids
    grid = one_slot.sweep(RATES).wait(240)
    assert {trial.state for trial in grid.view.trials} == {"succeeded"}
    assert max(epochs_by_run(one_slot).values()) == 1
    assert len(epochs_by_run(one_slot)) == 9 * 9


def test_a_trial_that_a_user_resumes_trains_to_its_end(one_slot: Stubs) -> None:
    one_slot.start()
    sweep = halving(one_slot).wait(240)
    left = lab.run(trial_of(sweep, 1e-5).run_id)
    left.resume().wait(240)
    assert left.state is RunState.SUCCEEDED
    assert left.refresh().view.epoch == 9
    assert sweep.best.config.lr == 1e-3
    assert trial_of(sweep, 1e-5).state == "pruned"


def test_a_metric_that_no_trial_wrote_is_said(one_slot: Stubs) -> None:
    one_slot.start()
    sweep = halving(one_slot, [1e-3, 1e-2, 1e-1], metric="macro_f1")
    until(lambda: sweep.state is RunState.FAILED, 240)
    assert all("wrote no macro_f1" in str(trial.message) for trial in sweep.view.trials)
    assert "macro_f1" in str(sweep.run.refresh().view.message)


def test_hyperband_runs_its_brackets_on_several_slots(stubs: Stubs) -> None:
    stubs.base = stubs.base.with_changes(epochs=9)
    stubs.epochs_take(0.02)
    stubs.start()
    sweep = halving(stubs, {"low": 1e-5, "high": 1e-1, "log": True}, strategy="hyperband").wait(240)
    view = sweep.view
    assert [bracket.rungs[0].trials for bracket in view.brackets] == [9, 5, 3]
    counted = Counter(trial.bracket for trial in view.trials)
    assert [counted[number] for number in range(3)] == [9, 5, 3]
    trained = epochs_by_run(stubs)
    assert max(trained.values()) == 1
    assert len(trained) == view.epochs_budget == 21 + (5 * 3 + 6) + 27
    values = {trial.number: trial.value for trial in view.trials if trial.value is not None}
    assert view.best == max(values, key=lambda number: values[number] or 0)
    assert context.store().runs.get(sweep.id).state is RunState.SUCCEEDED
