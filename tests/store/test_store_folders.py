"""Runs that train outside the executor, and the index made anew from the folders."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import delete, event, update
from sqlmodel import col
from store_steps import checkpoint, claim, epoch, feed, finish, points, started, steps, write

from imgcls_lab import signing
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import NotFoundError, StoreError
from imgcls_lab.events import DesiredState, Failed, FailureKind, Finished, RunState
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_layout import CONFIG, OWNER, RUN_INFO, new_run_id, write_atomic
from imgcls_lab.schemas import ProjectEdit, RunEdit, SubmitRequest
from imgcls_lab.store import Store, folder_rows, rebuild, run_folders
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Attempt, Metric, Run, RunCount, metadata


def external(store: Store, owner: ProcessIdentity | None, **info: object) -> str:
    run_id = new_run_id()
    folder = store.settings.run_dir(run_id)
    folder.mkdir(parents=True)
    config = TrainConfig(root="/data/digits", model_flavour="tiny").model_dump_json().encode()
    write_atomic(folder / CONFIG, config)
    info = {"id": run_id, "kind": "train", "name": "by hand", **info}
    write_atomic(folder / RUN_INFO, json.dumps(signing.signed_info(store.settings.home_path, info, config)))
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
    assert run_folders.adopt(store.database, store.settings, run_id)
    assert not run_folders.adopt(store.database, store.settings, run_id), "once"
    assert not run_folders.follow(store.database, store.settings, run_id)
    run = store.runs.get(run_id)
    assert (run.state, run.external, run.step, run.name, run.project) == (
        RunState.RUNNING, True, 5, "by hand", "by hand",
    )  # fmt: skip
    assert run.attempts[0].pid == os.getpid()
    write(store, run_id, 1, *points(6, 9), Finished(step=9, best_epoch=1, values={}))
    assert run_folders.follow(store.database, store.settings, run_id)
    assert store.runs.get(run_id).state is RunState.SUCCEEDED
    assert steps(store, run_id) == list(range(1, 10))


@pytest.mark.parametrize(("saved", "state"), [(True, RunState.STOPPED), (False, RunState.FAILED)])
def test_a_dead_kernel_leaves_a_run_that_can_be_resumed(store: Store, dead, saved: bool, state: RunState):
    run_id = external(store, dead)
    events = [started(), *points(1, 10)] + ([checkpoint(store, run_id, 1, 10, "last")] if saved else [])
    write(store, run_id, 1, *events)
    run_folders.adopt(store.database, store.settings, run_id)
    assert run_folders.follow(store.database, store.settings, run_id)
    run = store.runs.get(run_id)
    assert (run.state, run.resumable) == (state, saved)
    assert "resume" in run.message
    assert store.runs.resume(run_id).state is RunState.QUEUED
    assert claim(store).attempt == 2
    assert not store.runs.get(run_id).external


def test_a_later_attempt_in_the_same_folder_reopens_the_run(store: Store, dead):
    run_id = external(store, dead)
    write(store, run_id, 1, started(), *points(1, 10), checkpoint(store, run_id, 1, 5, "last"))
    run_folders.adopt(store.database, store.settings, run_id)
    run_folders.follow(store.database, store.settings, run_id)
    assert not run_folders.reopen(store.database, store.settings, run_id, 1)
    write_atomic(store.settings.run_dir(run_id) / OWNER, ProcessIdentity.current().to_json())
    write(store, run_id, 2, started(resume_step=5), *points(6, 8))
    assert run_folders.reopen(store.database, store.settings, run_id, 1)
    assert not run_folders.follow(store.database, store.settings, run_id)
    run = store.runs.get(run_id)
    assert (run.state, run.attempt, run.step) == (RunState.RUNNING, 2, 8)
    assert steps(store, run_id) == list(range(1, 9))


def test_a_folder_that_is_no_run_yet_is_left_alone(store: Store):
    run_id = new_run_id()
    store.settings.run_dir(run_id).mkdir(parents=True)
    with pytest.raises(OSError):
        run_folders.adopt(store.database, store.settings, run_id)
    with pytest.raises(NotFoundError):
        store.runs.get(run_id)


def finished_runs(store: Store, submit) -> list[str]:
    ids = [submit(f"run {n}", notes="kept") for n in range(3)]
    for run_id in ids:
        claimed = claim(store)
        folder = store.settings.run_dir(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / CONFIG, json.dumps(claimed.run.config))
        write_atomic(folder / "launch-001.json", "{}")
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
        for r in sorted(store.runs.list().items, key=lambda run: run.id)
    ]


def test_the_index_made_anew_from_the_folders_is_the_same(store: Store, submit):
    finished_runs(store, submit)
    before = essence(store), store.runs.list().counts
    with store.database.write() as session:
        session.execute(update(RunCount).values(count=7))
    assert ["numbers of runs" in sentence for sentence in store.check()] == [True]
    report = rebuild(store.settings)
    assert (report.runs, report.problems) == (3, [])
    assert (essence(store), store.runs.list().counts) == before
    assert store.check() == []


def forget(store: Store, keep: bool) -> None:
    """As after the loss of the database; `keep` False: and as folders were before they told more than their events."""
    with store.database.write() as session:
        for table in reversed(metadata.sorted_tables):
            if table.name != "counters":
                session.execute(table.delete())
        session.info.clear()
    for path in store.settings.runs_dir.glob(f"*/{RUN_INFO}"):
        if not keep:
            info = json.loads(path.read_text())
            for key in ("row", "attempts", "after", "alerts", "signature"):
                info.pop(key, None)
            path.write_text(json.dumps(info))


def test_an_old_folder_is_judged_by_its_files_and_no_time_is_made_up(store: Store, submit):
    first, second, third = finished_runs(store, submit)
    for run_id, end in ((first, {"code": 0, "t": 2e9}), (second, {"signal": 9, "asked": "kill", "t": 1.9e9})):
        write_atomic(store.settings.run_dir(run_id) / f"exit-00{2 if run_id == first else 1}.json", json.dumps(end))
    write_atomic(store.settings.run_dir(first) / "exit-001.json", json.dumps({"signal": 9, "t": 1e9}))
    events = [json.loads(line) for line in (store.settings.run_dir(second) / "events-001.jsonl").open()]
    (store.settings.run_dir(third) / "events-001.jsonl").unlink()
    forget(store, keep=False)
    store.database.webhook_state = "pending"
    assert rebuild(store.settings, mine=True).problems == []
    run = store.runs.get(first)
    lost, last = run.attempts
    assert (run.state, run.ended_at, last.ended_at, last.exit_code) == (RunState.SUCCEEDED, 2e9, 2e9, 0)
    assert (lost.state, lost.ended_at, lost.exit_code) == (RunState.LOST, 1e9, -9)
    assert "SIGKILL" in lost.message
    run = store.runs.get(second)
    assert (run.started_at, run.attempts[0].started_at, run.ended_at) == (events[0]["t"], events[0]["t"], 1.9e9)
    assert store.runs.get(third).ended_at is None, "nothing says when"
    assert store.alerts.list() == [], "what is old is not told"


def test_what_the_database_still_has_stays_and_what_folders_know_besides_is_added(store: Store, submit):
    ids = finished_runs(store, submit)
    waiting = submit("waits", priority=3)
    before = essence(store), store.runs.get(ids[0]).attempts, store.runs.get(waiting)
    with store.database.write() as session:
        number = find_run(session, ids[0]).number
        session.execute(delete(Metric).where(col(Metric.run_number) == number))
        session.execute(delete(Run).where(col(Run.id) == ids[1]))
        session.info.clear()
    assert rebuild(store.settings).problems == []
    assert (essence(store), store.runs.get(ids[0]).attempts, store.runs.get(waiting)) == before


def test_points_that_only_the_database_has_stay(store: Store, submit):
    (run_id, *_) = finished_runs(store, submit)
    before = essence(store)
    path = store.settings.run_dir(run_id) / "events-001.jsonl"
    text = path.read_bytes()
    place = text.index(b'"metrics"')
    path.write_bytes(text[:place] + b"#" + text[place + 1 :])
    rebuild(store.settings)
    assert essence(store) == before


def test_an_older_copy_of_the_database_learns_what_happened_since(store: Store, submit):
    (run_id, *_) = finished_runs(store, submit)
    after = essence(store)
    with store.database.write() as session:  # as it was while its first attempt ran
        old = {"state": "running", "attempt": 1, "revision": 3, "ended_at": None}
        session.execute(update(Run).where(col(Run.id) == run_id).values(**old))
        session.execute(delete(Attempt).where(col(Attempt.run_id) == run_id, col(Attempt.number) == 2))
        session.info.clear()
    rebuild(store.settings)
    assert essence(store) == after


def test_a_change_is_in_the_folder_before_it_is_committed_and_goes_with_a_failed_commit(store: Store, submit):
    run_id = submit("waits")
    folder = store.settings.run_dir(run_id)

    def desired() -> str:
        return json.loads((folder / RUN_INFO).read_text())["row"]["desired_state"]

    class TornError(Exception):
        pass

    def tear(_: object) -> None:
        assert desired() == "stop"
        raise TornError

    event.listen(store.database.engine, "commit", tear)
    with pytest.raises(TornError):
        store.runs.set_desired_state(run_id, DesiredState.STOP)
    event.remove(store.database.engine, "commit", tear)
    assert (store.runs.get(run_id).state, desired()) == (RunState.QUEUED, "run")
    event.listen(store.database.engine, "commit", lambda _: (_ for _ in ()).throw(TornError))
    with pytest.raises(TornError):
        submit("never was")
    assert [path.name for path in store.settings.runs_dir.iterdir()] == [run_id]


def test_a_run_whose_folder_cannot_be_made_is_not_accepted(store: Store, submit, monkeypatch):
    monkeypatch.setattr(
        folder_rows, "write_atomic", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(StoreError, match="No space left"):
        submit()
    assert store.runs.list().items == []
    assert list(store.settings.runs_dir.iterdir()) == []


def test_a_delete_that_was_cut_off_is_finished_and_registries_outlive_a_new_database(store: Store, submit, monkeypatch):
    project = store.projects.add(ProjectEdit(name="birds", max_running=2))
    store.projects.add(ProjectEdit(name="gone"))
    store.projects.delete(next(p.id for p in store.projects.list() if p.name == "gone"))
    run_id, *_ = finished_runs(store, submit)
    monkeypatch.setattr("imgcls_lab.store.run_files.remove_folder", lambda *_: None)
    store.runs.delete(run_id)
    monkeypatch.undo()
    assert store.settings.run_dir(run_id).is_dir()
    forget(store, keep=True)
    store.projects.add(ProjectEdit(name="made before the rebuild"))
    assert rebuild(store.settings).problems == []
    assert not store.settings.run_dir(run_id).exists()
    assert run_id not in {run.id for run in store.runs.list().items}
    names = {item.name: item.max_running for item in store.projects.list()}
    assert names == {"birds": 2, "default": None, "made before the rebuild": None}
    assert project.name in names


def test_a_rebuild_that_is_cut_off_leaves_each_run_whole(store: Store, submit):
    finished_runs(store, submit)
    before = essence(store)
    forget(store, keep=True)

    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(store.settings, interrupt)
    assert [row for row in essence(store) if row not in before] == []
    seen: list[tuple[int, int]] = []
    rebuild(store.settings, lambda *now: seen.append(now))
    assert essence(store) == before
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_lost_database_comes_back_from_the_folders(home: Path, sqlite: Store):
    from imgcls_lab.schemas import SubmitRequest

    def submit(name: str, **fields: object) -> str:
        return sqlite.runs.submit(SubmitRequest(config={"root": "/data", "model_flavour": "t"}, name=name, **fields)).id

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
    store.runs.edit(run_id, RunEdit(name="new", notes="more"))
    rebuild(store.settings)
    assert (store.runs.get(run_id).name, store.runs.get(run_id).notes) == ("new", "more")


def test_a_deleted_run_does_not_come_back_by_a_scan(store: Store, dead):
    run_id = external(store, dead)
    run_folders.adopt(store.database, store.settings, run_id)
    run_folders.follow(store.database, store.settings, run_id)
    config = (store.settings.run_dir(run_id) / CONFIG).read_bytes()
    store.runs.delete(run_id)
    store.settings.run_dir(run_id).mkdir()
    (store.settings.run_dir(run_id) / CONFIG).write_bytes(config)
    assert not run_folders.adopt(store.database, store.settings, run_id)


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
        assert any("/copy" in sentence for sentence in named)
        assert any("it is a link" in sentence for sentence in named)


def test_the_log_is_read_from_both_ends_at_whole_characters(store: Store, submit):
    run_id = submit()
    folder = store.settings.run_dir(run_id)
    assert store.runs.log(run_id).text == ""
    (folder / "output.log").write_text("añ€😀" * 100)
    whole = store.runs.log(run_id)
    assert (whole.text, whole.offset, whole.end) == ("añ€😀" * 100, 0, 1000)
    pieces, offset = "", 0
    for _ in range(2000):
        chunk = store.runs.log(run_id, offset, 7)
        pieces, offset = pieces + chunk.text, chunk.end
        if offset == chunk.size:
            break
    assert pieces == "añ€😀" * 100
    for back in range(1, 12):
        assert "�" not in store.runs.log(run_id, -back).text


def submitted(store: Store) -> str:
    config = TrainConfig(root="/data/digits", model_flavour="tiny").model_dump(mode="json")
    return store.runs.submit(SubmitRequest(config=config)).id


@pytest.mark.parametrize(
    "damage",
    [{"format": "two"}, {"format": [1]}, {"format": 99}, {"gpus": 10**30}, {"created_at": "yesterday"}, {"row": [1]}],
    ids=str,
)
def test_a_damaged_record_of_one_run_hides_no_other(sqlite: Store, damage: dict[str, object]):
    whole, hurt = submitted(sqlite), submitted(sqlite)
    path = sqlite.settings.run_dir(hurt) / RUN_INFO
    info = json.loads(path.read_text())
    if "created_at" in damage:
        info["row"] |= damage
    else:
        info |= damage
    write_atomic(path, json.dumps(info))
    sqlite.close()
    (sqlite.settings.home_path / "imgcls.db").unlink()
    report = rebuild(sqlite.settings)
    with Store.open(sqlite.settings) as found:
        known = {run.id for run in found.runs.list().items}
    assert whole in known
    assert hurt in known or any(hurt in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("part", "value"),
    [("projects", [None, 1]), ("configs", {"a": 1}), ("projects", [{"id": 10**30, "name": "far", "created_at": 1.0}])],
    ids=["no entries", "no list", "a huge id"],
)
def test_a_damaged_registry_hides_no_run_and_is_kept(sqlite: Store, part: str, value: object):
    run_id = submitted(sqlite)
    sqlite.projects.add(ProjectEdit(name="kept"))
    path = sqlite.settings.home_path / folder_rows.REGISTRY
    registry = json.loads(path.read_text())
    write_atomic(path, json.dumps({**registry, part: value}))
    before = path.read_bytes()
    sqlite.close()
    (sqlite.settings.home_path / "imgcls.db").unlink()
    report = rebuild(sqlite.settings)
    with Store.open(sqlite.settings) as found:
        assert [run.id for run in found.runs.list().items] == [run_id]
    if report.problems:
        kept = list(sqlite.settings.backups_dir.glob("registry-*.json"))
        assert [file.read_bytes() for file in kept] == [before]
    else:
        assert part == "projects"
