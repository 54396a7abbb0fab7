"""Runs that train outside the executor, and the index made anew from the folders."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import update
from store_steps import checkpoint, claim, epoch, feed, finish, points, started, steps, write

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import NotFoundError
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.layout import CONFIG, OWNER, RUN_INFO, new_run_id, write_atomic
from imgcls_lab.protocol import Failed, FailureKind, Finished, RunState
from imgcls_lab.store import Store, folders, rebuild
from imgcls_lab.store.tables import RunCount
from imgcls_lab.wire import RunEdit


def external(store: Store, owner: ProcessIdentity | None, **info: object) -> str:
    run_id = new_run_id()
    folder = store.settings.run_dir(run_id)
    folder.mkdir(parents=True)
    write_atomic(folder / CONFIG, TrainConfig(root="/data/digits", model_flavour="tiny").model_dump_json())
    write_atomic(folder / RUN_INFO, json.dumps({"id": run_id, "kind": "train", "name": "by hand", **info}))
    if owner is not None:
        write_atomic(folder / OWNER, owner.to_json())
    return run_id


@pytest.fixture
def dead() -> ProcessIdentity:
    child = subprocess.Popen(["sleep", "60"])
    identity = ProcessIdentity.of(child.pid)
    child.kill()
    child.wait()
    return identity


def test_a_run_in_a_kernel_is_shown_while_it_lives_and_ends_with_its_events(store: Store):
    run_id = external(store, ProcessIdentity.current(), project="by hand")
    write(store, run_id, 1, started(), *points(1, 5))
    assert folders.adopt(store.database, store.settings, run_id)
    assert not folders.adopt(store.database, store.settings, run_id), "once"
    assert not folders.follow(store.database, store.settings, run_id)
    run = store.run(run_id)
    assert (run.state, run.external, run.step, run.name, run.project) == (
        RunState.RUNNING, True, 5, "by hand", "by hand",
    )  # fmt: skip
    assert run.attempts[0].pid == os.getpid()
    write(store, run_id, 1, *points(6, 9), Finished(step=9, best_epoch=1, values={}))
    assert folders.follow(store.database, store.settings, run_id)
    assert store.run(run_id).state is RunState.SUCCEEDED
    assert steps(store, run_id) == list(range(1, 10))


@pytest.mark.parametrize(("saved", "state"), [(True, RunState.STOPPED), (False, RunState.FAILED)])
def test_a_dead_kernel_leaves_a_run_that_can_be_resumed(store: Store, dead, saved: bool, state: RunState):
    run_id = external(store, dead)
    events = [started(), *points(1, 10)] + ([checkpoint(store, run_id, 1, 10, "last")] if saved else [])
    write(store, run_id, 1, *events)
    folders.adopt(store.database, store.settings, run_id)
    assert folders.follow(store.database, store.settings, run_id)
    run = store.run(run_id)
    assert (run.state, run.resumable) == (state, saved)
    assert "resume" in run.message
    assert store.resume(run_id).state is RunState.QUEUED
    assert claim(store).attempt == 2
    assert not store.run(run_id).external


def test_a_later_attempt_in_the_same_folder_reopens_the_run(store: Store, dead):
    run_id = external(store, dead)
    write(store, run_id, 1, started(), *points(1, 10), checkpoint(store, run_id, 1, 5, "last"))
    folders.adopt(store.database, store.settings, run_id)
    folders.follow(store.database, store.settings, run_id)
    assert not folders.begins_again(store.database, store.settings, run_id, 1)
    write_atomic(store.settings.run_dir(run_id) / OWNER, ProcessIdentity.current().to_json())
    write(store, run_id, 2, started(resume_step=5), *points(6, 8))
    assert folders.begins_again(store.database, store.settings, run_id, 1)
    assert not folders.follow(store.database, store.settings, run_id)
    run = store.run(run_id)
    assert (run.state, run.attempt, run.step) == (RunState.RUNNING, 2, 8)
    assert steps(store, run_id) == list(range(1, 9))


def test_a_folder_that_is_no_run_yet_is_left_alone(store: Store):
    run_id = new_run_id()
    store.settings.run_dir(run_id).mkdir(parents=True)
    with pytest.raises(OSError):
        folders.adopt(store.database, store.settings, run_id)
    with pytest.raises(NotFoundError):
        store.run(run_id)


def finished_runs(store: Store, submit) -> list[str]:
    ids = [submit(f"run {n}", notes="kept") for n in range(3)]
    for run_id in ids:
        claimed = claim(store)
        folder = store.settings.run_dir(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / CONFIG, json.dumps(claimed.run.config))
        write_atomic(folder / "launch-001.json", "{}")
        with store.read() as session:
            from imgcls_lab.store.registry import default_project
            from imgcls_lab.store.runs import write_run_info

            write_run_info(store.settings, claimed.run, default_project(session))
        saved = checkpoint(store, run_id, 1, 10, "last")
        feed(store, run_id, 1, started(), *points(1, 10), epoch(1, 0.5), saved, *points(11, 14))
        if run_id == ids[0]:
            finish(store, run_id, 1, RunState.LOST)
            claim(store)
            write_atomic(folder / "launch-002.json", "{}")
            feed(store, run_id, 2, started(resume_step=10), *points(11, 20))
            feed(store, run_id, 2, Finished(step=20, best_epoch=1, values={}))
            finish(store, run_id, 2, RunState.SUCCEEDED)
        else:
            feed(store, run_id, 1, Failed(step=14, kind=FailureKind.DIVERGED, message="Not finite."))
            finish(store, run_id, 1, RunState.FAILED, failure=FailureKind.DIVERGED, message="Not finite.")
    return ids


def essence(store: Store) -> list[tuple[object, ...]]:
    return [
        (r.id, r.name, r.state, r.attempt, r.step, r.best, r.latest, r.message, r.failure, r.notes, steps(store, r.id))
        for r in sorted(store.runs().items, key=lambda run: run.id)
    ]


def test_the_index_made_anew_from_the_folders_is_the_same(store: Store, submit):
    finished_runs(store, submit)
    before = essence(store), store.runs().counts
    with store.write() as session:
        session.execute(update(RunCount).values(count=7))
    assert ["numbers of runs" in sentence for sentence in store.check()] == [True]
    report = rebuild(store.settings)
    assert (report.runs, report.problems) == (3, [])
    assert (essence(store), store.runs().counts) == before
    assert store.check() == []


def test_a_run_indexed_anew_ended_when_its_folder_says(store: Store, submit):
    first, second, _ = finished_runs(store, submit)
    write_atomic(store.settings.run_dir(first) / "exit-002.json", json.dumps({"attempt": 2, "code": 0, "t": 2e9}))
    events = [json.loads(line) for line in (store.settings.run_dir(second) / "events-001.jsonl").open()]
    rebuild(store.settings)
    run = store.run(first)
    assert (run.ended_at, run.attempts[1].ended_at) == (2e9, 2e9)
    run = store.run(second)
    assert (run.ended_at, run.attempts[0].ended_at) == (events[-1]["t"], events[-1]["t"])
    assert (run.started_at, run.attempts[0].started_at) == (events[0]["t"], events[0]["t"])


def test_a_lost_database_comes_back_from_the_folders(home: Path, sqlite: Store):
    from imgcls_lab.wire import SubmitRequest

    def submit(name: str, **fields: object) -> str:
        return sqlite.submit(SubmitRequest(config={"root": "/data", "model_flavour": "t"}, name=name, **fields)).id

    finished_runs(sqlite, submit)
    before = essence(sqlite)
    file = sqlite.database.file
    sqlite.close()
    file.write_bytes(b"this is no database at all" * 1000)
    report = rebuild(sqlite.settings)
    assert report.runs == 3
    assert "could not be read" in report.problems[0]
    with Store.open(sqlite.settings) as store:
        assert essence(store) == before


def test_an_edit_reaches_the_folder(store: Store, submit):
    run_id = finished_runs(store, submit)[1]
    store.edit_run(run_id, RunEdit(name="new", notes="more"))
    rebuild(store.settings)
    assert (store.run(run_id).name, store.run(run_id).notes) == ("new", "more")


def test_a_deleted_run_does_not_come_back_by_a_scan(store: Store, dead):
    run_id = external(store, dead)
    folders.adopt(store.database, store.settings, run_id)
    folders.follow(store.database, store.settings, run_id)
    config = (store.settings.run_dir(run_id) / CONFIG).read_bytes()
    store.delete_run(run_id)
    store.settings.run_dir(run_id).mkdir()
    (store.settings.run_dir(run_id) / CONFIG).write_bytes(config)
    assert not folders.adopt(store.database, store.settings, run_id)


def test_check_names_what_is_wrong(store: Store, submit):
    ids = finished_runs(store, submit)
    import shutil

    shutil.rmtree(store.settings.run_dir(ids[0]))
    assert any("is missing" in sentence for sentence in store.check())


def test_folders_whose_names_are_no_ids_are_named_by_check_and_rebuild(home: Path, sqlite: Store):
    """A copy, a backup, an id that was typed: what is in them is in no list."""
    settings = sqlite.settings
    run_id = external(sqlite, None)
    (settings.runs_dir / run_id).rename(settings.runs_dir / "the good one")
    (settings.runs_dir / "copy").mkdir()
    (settings.runs_dir / ".trash").mkdir()
    (settings.runs_dir / new_run_id()).symlink_to(home)
    for told in (sqlite.check(), rebuild(settings).problems):
        named = [sentence for sentence in told if "is not indexed" in sentence]
        assert len(named) == 3
        assert any(
            "the good one" in sentence and "rename it to that" in sentence and run_id in sentence for sentence in named
        )
        assert any("/copy is not indexed: its name is no run's id" in sentence for sentence in named)
        assert any("it is a link" in sentence for sentence in named)


def test_the_log_is_read_from_both_ends_at_whole_characters(store: Store, submit):
    run_id = submit()
    folder = store.settings.run_dir(run_id)
    folder.mkdir(parents=True)
    assert store.log(run_id).text == ""
    (folder / "output.log").write_text("añ€😀" * 100)
    whole = store.log(run_id)
    assert (whole.text, whole.offset, whole.end) == ("añ€😀" * 100, 0, 1000)
    pieces, offset = "", 0
    for _ in range(2000):
        chunk = store.log(run_id, offset, 7)
        pieces, offset = pieces + chunk.text, chunk.end
        if offset == chunk.size:
            break
    assert pieces == "añ€😀" * 100
    for back in range(1, 12):
        assert "�" not in store.log(run_id, -back).text
