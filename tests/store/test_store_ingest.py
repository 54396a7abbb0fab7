"""From events to rows: exactly once, fenced, and right again after a resume."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from store_steps import checkpoint, claim, epoch, feed, finish, points, started, steps, write

from imgcls_lab import events
from imgcls_lab.events import EpochEnded, Failed, FailureKind, Finished, Metrics, RunState, Stopped
from imgcls_lab.run_layout import events_name
from imgcls_lab.schemas import Cursor
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.tables import Attempt


@pytest.fixture
def run_id(store: Store, submit) -> str:
    run_id = submit()
    assert claim(store).run.id == run_id
    return run_id


def test_points_progress_and_best_arrive(store: Store, run_id: str):
    feed(store, run_id, 1, started(), *points(1, 10), epoch(1, 0.5), *points(11, 20), epoch(2, 0.4, best=False))
    run = store.runs.get(run_id)
    assert (run.state, run.step, run.epoch, run.total_steps) == (RunState.RUNNING, 20, 2.0, 100)
    assert (run.best.value, run.best.epoch, run.best.metric) == (0.5, 1, "accuracy")
    assert run.latest["metric/accuracy"] == 0.4
    assert run.series_names == ["loss/train", "lr", "metric/accuracy", "time/epoch"]
    assert steps(store, run_id) == list(range(1, 21))


def test_figures_on_test_are_a_runs_latest_and_no_point_of_a_curve(store: Store, run_id: str):
    values = {"metric/accuracy": 0.5, "test/accuracy": 0.4}
    feed(store, run_id, 1, started(), *points(1, 10), epoch(1, 0.5), Finished(step=10, best_epoch=1, values=values))
    run = store.runs.get(run_id)
    assert (run.latest["test/accuracy"], run.latest["metric/accuracy"]) == (0.4, 0.5)
    assert "test/accuracy" not in run.series_names


def test_time_left_follows_the_pace_of_the_attempt(store: Store, run_id: str):
    path = store.settings.run_dir(run_id) / events_name(1)
    write(store, run_id, 1, started(), *points(1, 50))
    lines = path.read_text().splitlines()
    import json

    stamped = [json.dumps({**json.loads(line), "t": 1000.0 + n}) for n, line in enumerate(lines)]
    path.write_text("\n".join(stamped) + "\n")
    ingest(store.database, store.settings, run_id, 1)
    assert store.runs.get(run_id).seconds_left == pytest.approx(50.0)


def test_reading_the_same_events_again_adds_nothing(store: Store, run_id: str):
    feed(store, run_id, 1, started(), *points(1, 30))
    for _ in range(3):
        assert ingest(store.database, store.settings, run_id, 1)
    assert steps(store, run_id) == list(range(1, 31))


def test_many_readers_at_once_store_each_point_once(store: Store, run_id: str):
    write(store, run_id, 1, started(), *points(1, 200))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ingest(store.database, store.settings, run_id, 1), range(16)))
    assert steps(store, run_id) == list(range(1, 201))


def test_a_reader_without_the_guard_would_store_points_twice(store: Store, run_id: str):
    """Seeded defect: the offset is not compared. The primary key is what still catches it."""
    from sqlalchemy import update
    from sqlalchemy.exc import IntegrityError

    feed(store, run_id, 1, started(), *points(1, 5))
    with store.database.write() as session:
        session.execute(update(Attempt).values(events_offset=0, seq=0))
    with pytest.raises(IntegrityError):
        ingest(store.database, store.settings, run_id, 1)
    assert steps(store, run_id) == list(range(1, 6))


def test_a_torn_last_line_is_not_there_yet(store: Store, run_id: str):
    write(store, run_id, 1, started(), *points(1, 3))
    path = store.settings.run_dir(run_id) / events_name(1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    ingest(store.database, store.settings, run_id, 1)
    assert steps(store, run_id) == [1, 2]
    path.write_bytes(whole)
    ingest(store.database, store.settings, run_id, 1)
    assert steps(store, run_id) == [1, 2, 3]


def test_a_damaged_line_costs_that_line_alone(store: Store, run_id: str):
    write(store, run_id, 1, started(), *points(1, 5))
    path = store.settings.run_dir(run_id) / events_name(1)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\x00" * 30 + b"\n"
    path.write_bytes(b"".join(lines))
    ingest(store.database, store.settings, run_id, 1)
    assert steps(store, run_id) == [1, 2, 4, 5]
    assert "1 line is damaged" in store.runs.get(run_id).message


def test_a_sequence_number_that_was_changed_hides_no_event_after_it(store: Store, run_id: str):
    write(store, run_id, 1, started(), *points(1, 5))
    path = store.settings.run_dir(run_id) / events_name(1)
    path.write_bytes(path.read_bytes().replace(b'"seq":3', b'"seq":9', 1))
    ingest(store.database, store.settings, run_id, 1)
    write(store, run_id, 1, *points(6, 8))
    ingest(store.database, store.settings, run_id, 1)
    assert steps(store, run_id) == [1, 3, 4, 5, 6, 7, 8]


def test_the_check_finds_a_byte_that_was_flipped_after_it_was_read(store: Store, run_id: str):
    feed(store, run_id, 1, started(), *points(1, 5))
    assert not [problem for problem in store.check() if "damaged" in problem]
    path = store.settings.run_dir(run_id) / events_name(1)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    (problem,) = [problem for problem in store.check() if "damaged" in problem]
    assert str(path) in problem
    assert store.runs.get(run_id).name in problem
    assert steps(store, run_id) == [1, 2, 3, 4, 5]


def test_what_is_not_finite_is_null(store: Store, run_id: str):
    feed(store, run_id, 1, started(), *points(1, 1, math.nan), *points(2, 2, math.inf), *points(3, 3, 0.5))
    series = store.metrics.series([run_id], ["loss/train"]).series[0]
    assert series.value == [None, None, 0.5]


def test_a_resume_takes_back_what_lies_behind_its_checkpoint(store: Store, run_id: str):
    feed(
        store, run_id, 1, started(), *points(1, 10), epoch(1, 0.5), checkpoint(store, run_id, 1, 10, "last", "best"),
        *points(11, 20), epoch(2, 0.9), *points(21, 24),
    )  # fmt: skip
    cursor = store.metrics.points_since({run_id: Cursor()}).cursors
    assert store.runs.get(run_id).best.value == 0.9
    assert finish(store, run_id, 1, RunState.LOST) is RunState.QUEUED
    claim(store)
    feed(store, run_id, 2, started(resume_step=10))
    run = store.runs.get(run_id)
    assert steps(store, run_id) == list(range(1, 11))
    assert (run.best.value, run.latest["metric/accuracy"], run.step, run.resumed_at_step) == (0.5, 0.5, 10, 10)
    batch = store.metrics.points_since(cursor)
    assert batch.superseded == {run_id: 10}
    feed(store, run_id, 2, *points(11, 30))
    assert steps(store, run_id) == list(range(1, 31))
    again = store.metrics.points_since(batch.cursors)
    assert again.superseded == {run_id: 10}, "said until the reader has a point of the new attempt"
    feed(store, run_id, 2, *points(31, 31))
    assert store.metrics.points_since(again.cursors).superseded == {}
    assert next(s for s in again.series if s.tag == "loss/train").step == list(range(11, 31))


def test_all_curves_share_the_runs_training_time_without_its_pauses(
    store: Store, run_id: str, monkeypatch: pytest.MonkeyPatch
):
    stamps = iter([1000.0, *range(1010, 1110, 10), 1101.0, 1110.0, 1120.0, 9000.0, *range(9005, 9025, 5), 9026.0])
    monkeypatch.setattr(events.time, "time", lambda: next(stamps))
    before = [started(), *points(1, 10), epoch(1, 0.5), *points(11, 12)]  # 11 and 12 are walked again
    write(store, run_id, 1, *before)
    write(
        store, run_id, 2, started(resume_step=10), *points(11, 14), EpochEnded(step=14, epoch=2, seconds=1, values={})
    )
    monkeypatch.undo()
    ingest(store.database, store.settings, run_id, 1)
    reader = store.metrics.points_since({run_id: Cursor()})
    times = {series.tag: series.time for series in reader.series}
    assert times["loss/train"] == [*range(10, 110, 10), 110, 120]
    assert times["metric/accuracy"] == [101]  # not 0: one zero for all
    assert finish(store, run_id, 1, RunState.STOPPED)
    store.runs.resume(run_id)
    claim(store)
    ingest(store.database, store.settings, run_id, 2)
    whole = {series.tag: series.time for series in store.metrics.series([run_id]).series}
    assert whole["loss/train"] == [*range(10, 110, 10), 106, 111, 116, 121]
    assert whole["time/epoch"] == [101, 127]
    live = {series.tag: series.time for series in store.metrics.points_since(reader.cursors).series}
    assert live["loss/train"] == [106, 111, 116, 121]
    window = store.metrics.series([run_id], ["loss/train"], axis="time", low=100, high=111).series[0]
    assert window.step == [10, 11, 12]


def test_the_zombie_of_an_earlier_attempt_changes_no_row(store: Store, run_id: str):
    feed(store, run_id, 1, started(), *points(1, 5))
    finish(store, run_id, 1, RunState.LOST)
    claim(store)
    feed(store, run_id, 2, started(), *points(1, 3))
    before = store.runs.get(run_id)
    assert not feed(store, run_id, 1, *points(6, 50), Finished(step=50, best_epoch=1, values={}))
    assert finish(store, run_id, 1, RunState.SUCCEEDED) is None
    with store.database.write() as session:
        assert not attempts.note(session, [attempts.Noted(run_id, 1, None, 1, [])])
    after = store.runs.get(run_id)
    assert after.model_dump(exclude={"attempts"}) == before.model_dump(exclude={"attempts"})
    assert after.attempts[0].ended_at == before.attempts[0].ended_at
    assert steps(store, run_id) == [1, 2, 3]


def test_without_the_fence_a_zombie_would_end_the_run(store: Store, run_id: str, monkeypatch: pytest.MonkeyPatch):
    """Seeded defect: writes that name no attempt. Shows that the test above can fail."""
    from imgcls_lab.store.locked_runs import LockedRun

    finish(store, run_id, 1, RunState.LOST)
    claim(store)
    monkeypatch.setattr(LockedRun, "is_current", True)
    finish(store, run_id, 1, RunState.FAILED, message="a zombie")
    assert store.runs.get(run_id).state is RunState.FAILED


def test_last_events_are_what_the_attempt_said(store: Store, run_id: str):
    feed(store, run_id, 1, started(), Failed(step=3, kind=FailureKind.OUT_OF_MEMORY, message="Too large."))
    with store.database.read() as session:
        said = attempts.reported(session.get(Attempt, (run_id, 1)))
    assert (said.state, said.failure, said.message) == (RunState.FAILED, FailureKind.OUT_OF_MEMORY, "Too large.")
    assert store.runs.get(run_id).state is RunState.RUNNING, "the run ends when its processes have"


def test_a_run_lost_too_often_without_a_newer_checkpoint_fails(store: Store, run_id: str):
    feed(store, run_id, 1, started(), *points(1, 10), checkpoint(store, run_id, 1, 10, "last"))
    for attempt in (1, 2, 3):
        assert finish(store, run_id, attempt, RunState.LOST, message="gone") is RunState.QUEUED
        claim(store)
    assert finish(store, run_id, 4, RunState.LOST, message="gone") is RunState.FAILED
    run = store.runs.get(run_id)
    assert "4 times in a row" in run.message
    assert (run.failure, run.resumable) == (FailureKind.LOST, True)


def test_a_newer_checkpoint_gives_new_tries(store: Store, run_id: str):
    for attempt in range(1, 9):
        feed(store, run_id, attempt, started(10 * (attempt - 1)), checkpoint(store, run_id, attempt, 10 * attempt))
        assert finish(store, run_id, attempt, RunState.LOST, message="gone") is RunState.QUEUED
        claim(store)


def test_checkpoints_carry_their_links_once_and_vanish_with_their_folder(store: Store, run_id: str):
    feed(
        store, run_id, 1, started(), checkpoint(store, run_id, 1, 10, "last", "best"),
        checkpoint(store, run_id, 1, 20, "last"), checkpoint(store, run_id, 1, 30, "last", "best"),
    )  # fmt: skip
    assert [(c.step, c.links) for c in store.runs.get(run_id).checkpoints] == [
        (10, []),
        (20, []),
        (30, ["best", "last"]),
    ]
    (store.settings.run_dir(run_id) / "checkpoints/a001-s00000010").rmdir()
    assert [c.step for c in store.runs.get(run_id).checkpoints] == [20, 30]


def test_a_stopped_run_called_back_from_the_queue_keeps_its_checkpoint(store: Store, run_id: str):
    from imgcls_lab.events import DesiredState

    feed(store, run_id, 1, started(), checkpoint(store, run_id, 1, 10, "last"), Stopped(step=10))
    finish(store, run_id, 1, RunState.STOPPED)
    store.runs.resume(run_id)
    assert store.runs.set_desired_state(run_id, DesiredState.STOP).state is RunState.STOPPED


def test_a_live_reader_gets_every_point_once_in_pieces(store: Store, run_id: str, monkeypatch: pytest.MonkeyPatch):
    from imgcls_lab.store import metrics

    monkeypatch.setattr(metrics, "MAX_NEW_ROWS", 7)
    feed(store, run_id, 1, started(), *points(1, 40))
    cursors, seen = {run_id: Cursor()}, []
    for _ in range(40):
        batch = store.metrics.points_since(cursors)
        cursors = batch.cursors
        seen += [step for series in batch.series if series.tag == "loss/train" for step in series.step]
    assert seen == list(range(1, 41))


def test_series_are_cut_to_a_range_and_thinned(store: Store, run_id: str):
    spike = Metrics(step=501, epoch=50.1, values={"loss/train": 99.0, "lr": 0.1})
    feed(store, run_id, 1, started(total=1000), *points(1, 500), spike, *points(502, 1000))
    reply = store.metrics.series([run_id], ["loss/train"], low=100, high=200)
    assert reply.series[0].step == list(range(100, 201))
    assert not reply.series[0].thinned
    thinned = store.metrics.series([run_id], ["loss/train"], max_points=50).series[0]
    assert thinned.thinned
    assert len(thinned.step) <= 50
    assert max(thinned.value) == 99.0
    assert (thinned.step[0], thinned.step[-1]) == (1, 1000)
    assert reply.cursors[run_id] == Cursor(attempt=1, seq=1001)


def test_events_larger_than_a_chunk_arrive_whole_in_one_call(
    store: Store, run_id: str, monkeypatch: pytest.MonkeyPatch
):
    from imgcls_lab.store import ingest as module

    monkeypatch.setattr(module, "CHUNK", 1000)
    feed(store, run_id, 1, started(), *points(1, 60))
    assert steps(store, run_id) == list(range(1, 61))


def test_a_long_run_arrives_whole(store: Store, run_id: str):
    write(store, run_id, 1, started(total=20_000), *points(1, 20_000))
    assert ingest(store.database, store.settings, run_id, 1)
    assert len(steps(store, run_id)) == 20_000
