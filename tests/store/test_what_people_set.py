"""What people set by hand outlives the database: of runs that came from elsewhere, of views, of alerts put away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from store_steps import claim, finish
from test_store_folders import forget

from imgcls_lab.events import RunKind, RunState
from imgcls_lab.run_layout import EDITS, RUN_INFO, TRIALS
from imgcls_lab.schemas import ListView, ProjectEdit, RunEdit, SavedViewEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild

CONFIG = {"root": "/data/digits", "model_flavour": "tiny"}


@pytest.fixture
def imported(tmp_path: Path, sqlite: Store) -> str:
    """A run that came with the file of a project of another home."""
    with Store.open(Settings(home=str(tmp_path / "other")), migrate=True) as other:
        project = other.projects.add(ProjectEdit(name="pets")).id
        run = other.runs.submit(SubmitRequest(config=CONFIG, name="there", project_id=project, tags=["old"])).id
        claim(other)
        (other.settings.run_dir(run) / "config.json").write_text(json.dumps(CONFIG))
        finish(other, run, 1, RunState.SUCCEEDED)
        other.project_exports.write(project, tmp_path / "pets.tar")
    assert sqlite.project_imports.read(tmp_path / "pets.tar").runs == [run]
    return run


def test_what_is_set_of_a_run_from_elsewhere_outlives_the_database(sqlite: Store, imported: str) -> None:
    folder = sqlite.settings.run_dir(imported)
    came = (folder / RUN_INFO).read_bytes()
    assert not (folder / EDITS).exists(), "a folder from elsewhere stays as it came until somebody changes the run"
    birds = sqlite.projects.add(ProjectEdit(name="birds")).id
    edit = RunEdit(name="here", notes="mine", tags=["new", "seen"], archived=True, project_id=birds)
    sqlite.runs.edit(imported, edit)
    before = sqlite.runs.get(imported)
    forget(sqlite, keep=True)
    assert rebuild(sqlite.settings).problems == []
    after = sqlite.runs.get(imported)
    for part in ("name", "notes", "tags", "archived", "project", "view_only", "config"):
        assert getattr(after, part) == getattr(before, part), part
    assert (after.name, after.archived, after.project, after.view_only) == ("here", True, "birds", True)
    assert (folder / RUN_INFO).read_bytes() == came
    sqlite.runs.edit(imported, RunEdit(archived=False))  # and what is taken back
    forget(sqlite, keep=True)
    rebuild(sqlite.settings)
    assert not sqlite.runs.get(imported).archived


def test_it_goes_along_with_the_next_export(sqlite: Store, imported: str, tmp_path: Path) -> None:
    sqlite.runs.edit(imported, RunEdit(name="here", notes="mine", tags=["new"]))
    sqlite.project_exports.write(sqlite.projects.find("pets").id, tmp_path / "again.tar")
    with Store.open(Settings(home=str(tmp_path / "third")), migrate=True) as third:
        third.project_imports.read(tmp_path / "again.tar")
        run = third.runs.get(imported)
        assert (run.name, run.notes, run.tags) == ("here", "mine", ["new"])
        assert not (third.settings.run_dir(imported) / EDITS).exists()


def test_no_folder_says_of_itself_what_people_set(sqlite: Store, imported: str, tmp_path: Path) -> None:
    sqlite.runs.edit(imported, RunEdit(name="here", archived=True))
    folder, other = sqlite.settings.run_dir(imported), f"{imported[:-1]}{'0' if imported[-1] != '0' else '1'}"
    shutil.copytree(folder, sqlite.settings.run_dir(other))  # signed, but for another run
    info = json.loads((folder / RUN_INFO).read_text())
    (sqlite.settings.run_dir(other) / RUN_INFO).write_text(json.dumps({**info, "id": other}))
    edits = json.loads((folder / EDITS).read_text())
    (folder / EDITS).write_text(json.dumps({**edits, "name": "somebody else's word"}))
    forget(sqlite, keep=True)
    rebuild(sqlite.settings)
    for run_id in (imported, other):
        run = sqlite.runs.get(run_id)
        assert (run.name, run.archived) == ("there", False), run_id


def test_a_link_in_the_place_of_what_people_set_is_replaced(sqlite: Store, imported: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (sqlite.settings.run_dir(imported) / EDITS).symlink_to(secret)
    sqlite.runs.edit(imported, RunEdit(name="here"))
    assert (sqlite.runs.get(imported).name, secret.read_text()) == ("here", "{}")


def test_views_and_alerts_that_were_put_away_outlive_the_database(store: Store, submit: Callable[..., str]) -> None:
    run = submit("fails")
    claim(store)
    finish(store, run, 1, RunState.SUCCEEDED)
    (alert,) = store.alerts.list()
    store.alerts.dismiss([alert.id])
    store.views.save(SavedViewEdit(name="good", view=ListView(where="best>0.7")))
    dropped = store.views.save(SavedViewEdit(name="dropped", view=ListView(where="lr>1")))
    store.views.delete(dropped.id)
    before = [view.model_dump(exclude={"id"}) for view in store.views.list()]
    forget(store, keep=True)
    store.projects.add(ProjectEdit(name="the file is written before the rebuild"))
    assert rebuild(store.settings).problems == []
    assert [view.model_dump(exclude={"id"}) for view in store.views.list()] == before
    assert [(one.id, one.dismissed) for one in store.alerts.list()] == [(alert.id, True)]
    store.alerts.restore([alert.id])
    assert rebuild(store.settings).problems == []
    assert [one.dismissed for one in store.alerts.list()] == [False], "what the database says stays"
    assert [view.name for view in store.views.list()] == ["good"]


def test_trials_of_an_earlier_version_get_their_sweep_as_parent(store: Store, submit: Callable[..., str]) -> None:
    request = {"base": CONFIG, "space": {"lr": {"values": [0.1, 0.2]}}}
    sweep = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, payload={"request": request}, name="sweep")).id
    noted = submit("by its note", notes=f"A trial of the sweep {sweep}.")
    recorded, other = submit("by the record"), submit("no trial", notes="A trial of the sweep nobody.")
    trials = [{"number": 0, "run_id": recorded}, {"number": 1, "run_id": None}, {"number": 2, "run_id": "../x"}]
    (store.settings.run_dir(sweep) / TRIALS).write_text(json.dumps({"trials": trials}))
    rebuild(store.settings)
    assert [store.runs.get(run).parent_id for run in (noted, recorded, other)] == [sweep, sweep, None]
    forget(store, keep=True)
    rebuild(store.settings)
    assert [store.runs.get(run).parent_id for run in (noted, recorded, other)] == [sweep, sweep, None]
