"""What a run takes on the disk, what a deletion would free and did; shared files are counted once they go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from store_steps import checkpoint, claim, epoch, feed, finish, points, started

from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.schemas import ActionRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild, run_sizes

Submit = Callable[..., str]
MODEL = 100_000


def trained(store: Store, run_id: str) -> Path:
    """A run that has ended, with a checkpoint of MODEL bytes."""
    claim(store)
    saved = checkpoint(store, run_id, 1, 10, "last", "best")
    model = store.settings.run_dir(run_id) / saved.folder / "model.safetensors"
    model.write_bytes(b"x" * MODEL)
    feed(store, run_id, 1, started(), *points(1, 10), epoch(1, 0.5), saved)
    finish(store, run_id, 1, RunState.SUCCEEDED)
    return model


def test_a_run_knows_its_size_after_a_checkpoint_and_after_a_rebuild(sqlite: Store) -> None:
    from imgcls_lab.schemas import SubmitRequest

    run_id = sqlite.runs.submit(SubmitRequest(config={"root": "/data"})).id
    assert sqlite.runs.get(run_id).size is None
    trained(sqlite, run_id)
    size = sqlite.runs.get(run_id).size or 0
    assert MODEL < size < MODEL + 20_000
    assert [run.id for run in sqlite.runs.list(where="size>100KB size<1MB", sort="size").items] == [run_id]
    settings: Settings = sqlite.settings
    sqlite.database.file.unlink()
    rebuild(settings)
    with Store.open(settings) as again:
        assert abs((again.runs.get(run_id).size or 0) - size) < 5000


def test_what_would_be_freed_is_said_before_and_what_was_freed_after(store: Store, submit: Submit) -> None:
    parent, child, waits = submit("parent"), submit("child"), submit("waits")
    model = trained(store, parent)
    store.runs.set_desired_state(child, DesiredState.STOP)
    inside = store.settings.run_dir(child) / "initial"
    inside.mkdir()
    os.link(model, inside / model.name)  # as a run that is continued from another one has its model
    runs = [parent, waits, "nobody", parent]
    alone = store.runs.delete_many(runs, dry_run=True)
    assert (alone.deleted, [(one.run, one.reason) for one in alone.refused], alone.dry_run) == (
        [parent], [(waits, "not_ended"), ("nobody", "")], True
    )  # fmt: skip
    assert alone.shared == MODEL
    assert 0 < alone.freed < 20_000
    together = store.runs.delete_many([parent, child], dry_run=True)
    assert together.shared == 0
    assert MODEL + alone.freed < together.freed
    assert store.runs.list().total == 3, "so far nothing was deleted"
    before = run_sizes.of_folder(store.settings.run_dir(parent), {})
    first = store.runs.delete_many(runs)
    assert (first.deleted, first.shared) == ([parent], MODEL)
    assert abs(first.freed + first.shared - before) < 1000  # its record now says that it is deleted
    assert not store.settings.run_dir(parent).exists()
    assert model.name in os.listdir(inside)
    last = store.runs.delete(child)
    assert last.freed > MODEL
    assert [run.name for run in store.runs.list().items] == ["waits"]


def test_a_refused_deletion_leaves_no_record_of_a_deletion(store: Store, submit: Submit) -> None:
    run_id = submit()
    assert store.runs.delete_many([run_id]).deleted == []
    assert [event.action for event in store.events.list(run=run_id)] == ["launched"]


def test_many_runs_are_stopped_and_resumed_at_once(store: Store, submit: Submit) -> None:
    first, second = submit(), submit()
    stopped = store.runs.act_many(ActionRequest(action="stop", runs=[second, "nobody", first]))
    assert [(run.id, run.state) for run in stopped.changed] == [
        (second, RunState.CANCELLED), (first, RunState.CANCELLED)
    ]  # fmt: skip
    assert [one.run for one in stopped.refused] == ["nobody"]
    resumed = store.runs.act_many(ActionRequest(action="resume", runs=[first]))
    assert [run.state for run in resumed.changed] == [RunState.QUEUED]
    again = store.runs.act_many(ActionRequest(action="resume", runs=[first, second]))
    assert ([run.id for run in again.changed], [one.run for one in again.refused]) == ([second], [first])
