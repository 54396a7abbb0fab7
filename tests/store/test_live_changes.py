"""Changes of a run that trains, in the store: numbered, checked, once, and found again by a rebuild."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select
from store_steps import claim, feed, finish, points, started

from imgcls_lab.errors import ConfigError, ConflictError, ImgclsError, InputError
from imgcls_lab.events import Changed, DesiredState, RunKind, RunState
from imgcls_lab.run_changes import MAX_RUN_CHANGES
from imgcls_lab.schemas import ChangeRequest, RunChange, SubmitRequest
from imgcls_lab.store import Store, rebuild
from imgcls_lab.store.tables import Run

CONFIG = {"root": "/data/digits", "model_flavour": "tiny", "epochs": 3, "lr": 1e-3}


@pytest.fixture
def run(store: Store) -> str:
    return training(store)


def training(store: Store) -> str:
    """A run that has trained 12 of 30 steps, 10 an epoch."""
    run_id = store.runs.submit(SubmitRequest(config=CONFIG, name="digits")).id
    claim(store)
    feed(store, run_id, 1, started(total=30), *points(1, 12))
    return run_id


def change(store: Store, run_id: str, **request: Any) -> list[RunChange]:
    return store.runs.change(run_id, ChangeRequest(**request)).changes


def obeyed(number: int, step: int, field: str, old: float, new: float, **facts: Any) -> Changed:
    about = {"epoch": step / 10, "epochs": 3, "total_steps": 30, **facts}
    return Changed(number=number, step=step, field=field, old=old, new=new, **about)


def test_changes_are_numbered_and_add_up(store: Store, run: str) -> None:
    change(store, run, lr_factor=0.5)
    found = change(store, run, lr_factor=0.5, fields={"epochs": 5})
    assert [(each.number, each.field, each.old, each.new, each.step) for each in found] == [
        (1, "lr", 1e-3, 5e-4, None),
        (2, "lr", 5e-4, 2.5e-4, None),
        (3, "epochs", 3, 5, None),
    ]
    assert found[0].asked_by
    assert store.runs.get(run).config["lr"] == 1e-3  # as it was submitted


def test_what_is_as_asked_for_is_no_change_and_the_same_request_counts_once(store: Store, run: str) -> None:
    assert change(store, run, fields={"epochs": 3}) == []
    for _ in range(3):
        found = change(store, run, lr_factor=0.1, key="the same key")
    assert len(found) == 1


def test_what_was_obeyed_is_known_by_its_event(store: Store, run: str) -> None:
    change(store, run, lr_factor=0.5)
    change(store, run, fields={"epochs": 2})
    feed(store, run, 1, obeyed(1, 12, "lr", 1e-3, 5e-4))
    feed(store, run, 1, obeyed(2, 13, "epochs", 3, 2, epochs=2, total_steps=20))
    detail = store.runs.get(run)
    assert [(each.step, each.epoch) for each in detail.changes] == [(12, 1.2), (13, 1.3)]
    assert all(each.obeyed_at for each in detail.changes)
    assert (detail.epochs, detail.total_steps, detail.changes[0].asked_by != "") == (2, 20, True)


def test_the_table_of_runs_shows_and_finds_the_rate_with_which_a_run_trains(store: Store, run: str) -> None:
    change(store, run, lr_factor=0.5)
    assert store.runs.get(run).lr == 1e-3  # it has not obeyed yet
    feed(store, run, 1, obeyed(1, 12, "lr", 1e-3, 5e-4), obeyed(2, 12, "epochs", 3, 2, epochs=2, total_steps=20))
    found = store.runs.get(run)
    assert (found.lr, found.config["lr"]) == (5e-4, 1e-3)
    assert [each.id for each in store.runs.list(where="lr<0.0006").items] == [run]
    assert store.runs.list(where="lr>0.0006").items == []


def test_runs_are_compared_by_the_settings_that_they_trained_with_in_the_end(store: Store, run: str) -> None:
    other = store.runs.submit(SubmitRequest(config=CONFIG, name="as it was")).id
    assert [field.name for field in store.runs.compare([other, run]).differs if field.part == "config"] == []
    change(store, run, lr_factor=0.5)
    feed(store, run, 1, obeyed(1, 12, "lr", 1e-3, 5e-4))
    found = {field.name: field.values for field in store.runs.compare([other, run]).differs if field.part == "config"}
    assert found == {"lr": [1e-3, 5e-4]}


def test_a_rebuild_finds_what_was_obeyed_and_what_waits(sqlite: Store) -> None:
    store, run = sqlite, training(sqlite)
    change(store, run, lr_factor=0.5)
    change(store, run, fields={"early_stopping_patience": 2})
    feed(store, run, 1, obeyed(1, 12, "lr", 1e-3, 5e-4))
    finish(store, run, 1, RunState.STOPPED)
    before = store.runs.get(run).changes
    assert [each.step for each in before] == [12, None]
    store.close()
    assert store.database.file is not None
    store.database.file.unlink()
    rebuild(store.settings)
    with Store.open(store.settings) as anew:
        found = anew.runs.get(run)
        assert [(each.number, each.field, each.new, each.step) for each in found.changes] == [
            (each.number, each.field, each.new, each.step) for each in before
        ]
        assert found.repetition == ""


def test_a_changed_result_repeats_no_other_run(store: Store, run: str) -> None:
    before = store.runs.get(run).repetition
    change(store, run, fields={"save_every_epochs": 1, "log_every": 5})
    assert store.runs.get(run).repetition == before != ""
    change(store, run, lr_factor=2)
    assert store.runs.get(run).repetition == ""


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        ({}, InputError, "Say what to change"),
        ({"lr_factor": 0.1, "fields": {"lr": 1}}, InputError, "not both"),
        ({"fields": {"batch_size": 8}}, ConfigError, "fork"),
        ({"fields": {"nothing": 8}}, ConfigError, "nothing"),
        ({"fields": {"epochs": 1}}, ConfigError, "give 2 or more"),
        ({"fields": {"epochs": 0}}, ConfigError, "epochs"),
        ({"fields": {"epochs": "many"}}, ConfigError, "epochs"),
        ({"fields": {"early_stopping_patience": -1}}, ConfigError, "early_stopping_patience"),
        ({"lr_factor": 1e9}, ConfigError, "lr"),
    ],
)
def test_what_cannot_be_changed_is_said(
    store: Store, run: str, request_: dict[str, Any], error: type[ImgclsError], said: str
) -> None:
    with pytest.raises(error, match=said):
        store.runs.change(run, ChangeRequest(**request_))
    assert store.runs.get(run).changes == []


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.STOPPED, RunState.FAILED])
def test_a_run_that_has_ended_takes_no_change(store: Store, run: str, state: RunState) -> None:
    finish(store, run, 1, state)
    with pytest.raises(ConflictError, match="fork it") as refused:
        change(store, run, lr_factor=0.5)
    assert refused.value.reason == "ended"


def test_a_run_that_waits_takes_changes_and_one_that_is_stopping_does_not(store: Store, run: str) -> None:
    waiting = store.runs.submit(SubmitRequest(config=CONFIG)).id
    assert len(change(store, waiting, fields={"epochs": 1})) == 1
    store.runs.set_desired_state(waiting, DesiredState.STOP)
    with pytest.raises(ConflictError, match="cancelled"):
        change(store, waiting, lr_factor=2)


def test_a_notebook_takes_no_change(store: Store) -> None:
    notebook = store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload={"path": "a.ipynb"})).id
    with pytest.raises(ConflictError) as refused:
        change(store, notebook, lr_factor=0.5)
    assert refused.value.reason == "no_training"


def test_a_trial_keeps_the_settings_that_its_sweep_compares(store: Store) -> None:
    with Store.open(store.settings, way="sweep") as sweep:
        request = SubmitRequest(config=CONFIG, idempotency_key="trial:abcdefgh")
        trial = sweep.runs.submit(request).id
    assert len(change(store, trial, fields={"save_every_epochs": 1})) == 1
    with pytest.raises(ConfigError, match="trial of a sweep"):
        change(store, trial, lr_factor=0.5)


def test_a_resume_with_other_settings_counts_more_than_an_earlier_change(store: Store, run: str) -> None:
    change(store, run, fields={"save_every_epochs": 1})
    feed(store, run, 1, obeyed(1, 12, "save_every_epochs", 0, 1))
    finish(store, run, 1, RunState.STOPPED)
    store.runs.resume(run, {"save_every_epochs": 3})
    found = store.runs.get(run)
    assert [(each.number, each.new) for each in found.changes] == [(1, 1), (2, 3)]
    assert found.config["save_every_epochs"] == 3


def test_a_request_that_would_pass_the_limit_is_refused_whole(store: Store, run: str) -> None:
    for factor in (0.5, 0.5):
        change(store, run, lr_factor=factor)
    with store.database.write() as session:
        row = session.exec(select(Run).where(Run.id == run)).one()
        row.changes = [{**row.changes[0], "number": number} for number in range(1, MAX_RUN_CHANGES)]
    with pytest.raises(ConflictError) as refused:  # the engine reads no longer list, and would obey none of it
        change(store, run, fields={"epochs": 7, "log_every": 3})
    assert refused.value.reason == "too_many"
    assert len(change(store, run, fields={"epochs": 7})) == MAX_RUN_CHANGES
