"""The page of a project, and its deletion with all that is in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from store_steps import claim, epoch, feed, finish, points, started

from imgcls_lab.errors import ConflictError, ForbiddenError, NotFoundError
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.schemas import ConfigEdit, ProjectEdit, RunEdit, SubmitRequest
from imgcls_lab.store import Store

Submit = Callable[..., str]
CONFIG = {"root": "/data/digits", "model_flavour": "tiny"}


def trained(store: Store, run_id: str, best: float) -> None:
    claim(store)
    feed(store, run_id, 1, started(), *points(1, 10), epoch(1, best))
    finish(store, run_id, 1, RunState.SUCCEEDED)


def test_a_page_has_states_the_best_runs_and_the_days(store: Store, submit: Submit) -> None:
    pets = store.projects.add(ProjectEdit(name="pets")).id
    low, high, queued, hidden = (submit(name, project_id=pets) for name in ("low", "high", "queued", "hidden"))
    submit("of another project")
    trained(store, low, 0.5)
    trained(store, high, 0.9)
    store.runs.edit(queued, RunEdit(priority=-1))  # it waits while the others train
    trained(store, hidden, 0.99)
    store.runs.edit(hidden, RunEdit(archived=True))
    saved = store.configs.add(ConfigEdit(name="small", config=CONFIG, project_id=pets))
    store.configs.add(ConfigEdit(name="elsewhere", config=CONFIG))

    page = store.project_pages.detail(pets)
    assert page.project.name == "pets"
    assert page.states == {RunState.SUCCEEDED: 2, RunState.QUEUED: 1}
    assert (page.archived, page.metric) == (1, "accuracy")
    assert [run.name for run in page.best] == ["high", "low"], "an archived run is in no list"
    assert [config.id for config in page.configs] == [saved.id]
    assert (len(page.activity), page.activity[-1].day, page.activity[-1].runs) == (42, date.today().isoformat(), 4)
    assert sum(day.runs for day in page.activity[:-1]) == 0
    with pytest.raises(NotFoundError):
        store.project_pages.detail(99)


def test_a_sweep_has_the_best_of_its_trials(store: Store, submit: Submit) -> None:
    sweep = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, name="rates")).id
    empty = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, name="new")).id
    trials = [submit(name, parent_id=sweep) for name in ("worse", "better")]
    for run_id in (sweep, empty):
        store.runs.set_desired_state(run_id, DesiredState.STOP)  # no executor takes them in place of the trials
    for run_id, accuracy in zip(trials, (0.5, 0.75), strict=True):
        trained(store, run_id, accuracy)
    shown = store.project_pages.detail(store.projects.find("default").id).sweeps
    best = {run.name: run.best for run in shown}
    assert (best["new"], best["rates"].metric, best["rates"].value) == (None, "accuracy", 0.75)


def test_where_the_loss_decides_the_lowest_is_the_best(store: Store, submit: Submit) -> None:
    from imgcls_lab.events import EpochEnded

    for name, loss in (("worse", 0.7), ("better", 0.2)):
        run_id = submit(name, config={"monitor_metric": "loss"})
        claim(store)
        ended = EpochEnded(step=10, epoch=1, seconds=1, values={"loss/val": loss}, best=True)
        feed(store, run_id, 1, started(), ended)
        finish(store, run_id, 1, RunState.SUCCEEDED)
    page = store.project_pages.detail(store.projects.find("default").id)
    assert (page.metric, [run.name for run in page.best]) == ("loss", ["better", "worse"])


def test_a_deletion_says_what_it_takes_and_then_takes_it(store: Store, submit: Submit) -> None:
    pets = store.projects.add(ProjectEdit(name="pets")).id
    run_id, other = submit("first", project_id=pets), submit("of another project")
    store.configs.add(ConfigEdit(name="small", config=CONFIG, project_id=pets))
    folder: Path = store.settings.run_dir(run_id)

    alive = store.project_pages.delete(pets)
    assert (alive.deleted, [(one.run, one.reason) for one in alive.refused]) == (False, [(run_id, "not_ended")])
    assert store.project_pages.detail(pets).states == {RunState.QUEUED: 1}

    trained(store, run_id, 0.5)
    told = store.project_pages.delete(pets, dry_run=True)
    assert (told.deleted, told.runs, told.configs, told.refused, told.dry_run) == (False, 1, 1, [], True)
    assert folder.is_dir()
    done = store.project_pages.delete(pets)
    assert (done.deleted, done.runs, done.freed > 0) == (True, 1, True)
    assert not folder.exists()
    assert [run.id for run in store.runs.list().items] == [other]
    assert (store.projects.named("pets"), store.configs.named("small")) == (None, None)
    with pytest.raises(ConflictError):
        store.project_pages.delete(store.projects.find("default").id, dry_run=True)


def test_only_the_owner_deletes_a_project(team: Callable[[str], Store]) -> None:
    ada, bob = team("ada"), team("bob")
    project = ada.projects.add(ProjectEdit(name="pets"))
    run = ada.runs.submit(SubmitRequest(config=CONFIG, project_id=project.id))
    ada.projects.add_member(project.id, "bob")
    for dry_run in (True, False):
        with pytest.raises(ForbiddenError):
            bob.project_pages.delete(project.id, dry_run=dry_run)
    assert ada.runs.get(run.id).name == run.name
    assert bob.project_pages.detail(project.id).project.may_manage is False
