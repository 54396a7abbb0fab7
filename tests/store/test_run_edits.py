"""Editing one run and many: tags, archive, project; what is refused is named, and what was done can be undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from imgcls_lab.errors import ConflictError, InputError, NotFoundError
from imgcls_lab.events import DesiredState
from imgcls_lab.schemas import ProjectEdit, RunEdit, RunEdits, RunsEdit, SubmitRequest
from imgcls_lab.schemas.limits import MAX_CHANGED, MAX_TAG, MAX_TAGS
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild

Submit = Callable[..., str]


def ended(store: Store, run_id: str) -> str:
    store.runs.set_desired_state(run_id, DesiredState.STOP)
    return run_id


def test_tags_are_set_at_the_submit_and_changed_later(store: Store, submit: Submit) -> None:
    run_id = submit(tags=["a", "b", "A"])
    assert store.runs.get(run_id).tags == ["a", "b"]
    added = store.runs.edit(run_id, RunEdit(add_tags=["c", "B"], remove_tags=["A"]))
    assert (added.tags, added.undo) == (["b", "c"], RunEdit(tags=["a", "b"]))
    assert store.runs.edit(run_id, added.undo).tags == ["a", "b"]
    same = store.runs.edit(run_id, RunEdit(add_tags=["a"]))
    assert (same.undo, same.revision) == (RunEdit(), store.runs.get(run_id).revision)
    more = [f"t{number}" for number in range(MAX_TAGS)]
    with pytest.raises(InputError) as refused:
        store.runs.edit(run_id, RunEdit(add_tags=more))
    assert refused.value.reason == "many_tags"


@pytest.mark.parametrize("tag", ["", "two words", "-x", 'a"b', "x" * (MAX_TAG + 1), "a,b", "a\n"])
def test_a_tag_is_a_plain_word(tag: str) -> None:
    with pytest.raises(ValidationError):
        RunEdit(add_tags=[tag])
    with pytest.raises(ValidationError):
        SubmitRequest(config={"root": "/data"}, tags=[tag])


def test_a_run_is_archived_once_it_has_ended_and_comes_back_when_it_is_resumed(store: Store, submit: Submit) -> None:
    run_id = submit()
    with pytest.raises(ConflictError) as refused:
        store.runs.edit(run_id, RunEdit(archived=True))
    assert refused.value.reason == "not_ended"
    ended(store, run_id)
    assert store.runs.edit(run_id, RunEdit(archived=True)).undo == RunEdit(archived=False)
    assert (store.runs.list().total, store.runs.list(where="archived=true").total) == (0, 1)
    store.runs.resume(run_id)
    assert not store.runs.get(run_id).archived
    assert store.runs.list().total == 1


def test_many_runs_are_edited_at_once_and_those_that_cannot_be_are_named(store: Store, submit: Submit) -> None:
    birds = store.projects.add(ProjectEdit(name="birds")).id
    first, second = ended(store, submit(tags=["a"])), ended(store, submit(project_id=birds))
    waits = submit()
    project = store.runs.get(first).project_id
    runs = [first, waits, "nobody", second, first]
    reply = store.runs.edit_many(
        RunEdits(edits=[RunsEdit(runs=runs, edit=RunEdit(archived=True, add_tags=["x"], project_id=birds))])
    )
    assert [run.id for run in reply.changed] == [first, second]
    assert {(run.project, run.archived, *run.tags) for run in reply.changed} == {
        ("birds", True, "a", "x"), ("birds", True, "x")
    }  # fmt: skip
    assert [(one.run, one.reason) for one in reply.refused] == [(waits, "not_ended"), ("nobody", "")]
    assert store.runs.get(waits).tags == [], "what is refused is not changed in part"
    undone = store.runs.edit_many(RunEdits(edits=reply.undo))
    assert undone.refused == []
    assert [(run.id, run.project_id, run.archived, run.tags) for run in map(store.runs.get, (first, second))] == [
        (first, project, False, ["a"]), (second, birds, False, [])
    ]  # fmt: skip
    again = store.runs.edit_many(RunEdits(edits=undone.undo))
    assert {run.id: (run.archived, run.project_id) for run in again.changed} == {
        first: (True, birds), second: (True, birds)
    }  # fmt: skip


def test_a_run_that_is_edited_twice_in_one_request_is_undone_whole(store: Store, submit: Submit) -> None:
    run_id = submit("before")
    edits = [RunsEdit(runs=[run_id], edit=RunEdit(name=name)) for name in ("between", "after", "between")]
    reply = store.runs.edit_many(RunEdits(edits=edits))
    assert [run.name for run in reply.changed] == ["between"]
    store.runs.edit_many(RunEdits(edits=reply.undo))
    assert store.runs.get(run_id).name == "before"


def test_one_request_changes_so_many_runs_and_no_more(store: Store) -> None:
    part = RunsEdit(runs=["x"] * (MAX_CHANGED // 2 + 1), edit=RunEdit(notes="y"))
    with pytest.raises(InputError, match="1,000"):
        store.runs.edit_many(RunEdits(edits=[part, part]))
    with pytest.raises(ValidationError):
        RunsEdit(runs=["x"] * (MAX_CHANGED + 1), edit=RunEdit())


def test_tags_and_archive_come_back_with_a_rebuild(home: Path) -> None:
    """SQLite, whose file can be deleted."""
    settings = Settings(home=str(home))
    with Store.open(settings, migrate=True) as store:
        run_id = ended(store, store.runs.submit(SubmitRequest(config={"root": "/data"}, tags=["a"])).id)
        store.runs.edit(run_id, RunEdit(add_tags=["b"], archived=True))
        before = store.runs.get(run_id)
        file = store.database.file
    file.unlink()
    rebuild(settings)
    with Store.open(settings) as store:
        after = store.runs.get(run_id)
        assert (after.tags, after.archived, after.name) == (["a", "b"], True, before.name)
        store.runs.delete(run_id)
        with pytest.raises(NotFoundError):
            store.runs.edit(run_id, RunEdit(tags=[]))
