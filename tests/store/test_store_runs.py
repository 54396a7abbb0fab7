"""Submitting, listing, stopping, resuming and deleting runs."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, update
from store_steps import HOST, checkpoint, claim, epoch, feed, finish, points, started

from imgcls_lab.errors import ConfigError, ConflictError, InputError, NotFoundError
from imgcls_lab.events import DesiredState, FailureKind, RunState
from imgcls_lab.executor.backends.launch import process_arguments
from imgcls_lab.schemas import ProjectEdit, RunEdit, SubmitRequest
from imgcls_lab.store import Store, attempts, queries, states
from imgcls_lab.store.tables import Run
from imgcls_lab.store.verdict import Verdict


def test_a_submitted_run_waits_with_its_config(store: Store, submit):
    run = store.runs.get(submit(config={"lr": 0.5}))
    assert (run.state, run.attempt, run.project, run.lr) == (RunState.QUEUED, 0, "default", 0.5)
    assert run.config["lr"] == 0.5
    assert run.config["epochs"] == 10
    assert run.name == f"digits tiny #{1}"


def test_a_wrong_config_is_not_queued(store: Store):
    with pytest.raises(ConfigError, match="batch_size:"):
        store.runs.submit(SubmitRequest(config={"root": "/data", "batch_size": 0}))
    assert store.runs.list().total == 0


def test_same_key_and_body_give_the_same_run_and_another_body_is_refused(store: Store, submit):
    first = submit("a", idempotency_key="key-12345")
    assert submit("a", idempotency_key="key-12345") == first
    with pytest.raises(ConflictError, match="idempotency key"):
        submit("b", idempotency_key="key-12345")
    assert store.runs.list().total == 1


def test_the_same_submit_100_times_at_once_makes_one_row(store: Store, submit):
    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(lambda _: submit("a", idempotency_key="key-12345"), range(100)))
    assert len(ids) == 1
    assert store.runs.list().total == 1


def test_a_prefix_that_one_run_has_names_it(store: Store, submit):
    first, second = submit(), submit()
    assert store.runs.get(first).id == first
    assert store.runs.get(first[:-1]).id == first
    with pytest.raises(InputError, match="several runs"):
        store.runs.get(second[:4])
    with pytest.raises(NotFoundError):
        store.runs.get("nothing")
    with pytest.raises(NotFoundError):
        store.runs.get("%")


def test_a_waiting_run_is_cancelled_and_a_live_one_is_only_asked(store: Store, submit):
    live, waiting = submit(), submit()
    assert claim(store).run.id == live
    assert store.runs.set_desired_state(waiting, DesiredState.STOP).state is RunState.CANCELLED
    asked = store.runs.set_desired_state(live, DesiredState.STOP)
    assert (asked.state, asked.desired_state) == (RunState.STARTING, DesiredState.STOP)
    assert store.runs.set_desired_state(live, DesiredState.KILL).desired_state is DesiredState.KILL
    assert store.runs.set_desired_state(live, DesiredState.STOP).desired_state is DesiredState.KILL, (
        "a kill is not taken back by a stop"
    )


def test_stopping_what_has_ended_is_said_and_stopping_twice_is_nothing(store: Store, submit):
    run_id = submit()
    claim(store)
    feed(store, run_id, 1, started(), *points(1, 3))
    finish(store, run_id, 1, RunState.STOPPED)
    assert store.runs.set_desired_state(run_id, DesiredState.STOP).state is RunState.STOPPED
    other = submit()
    claim(store)
    feed(store, other, 1, started())
    finish(store, other, 1, RunState.SUCCEEDED)
    with pytest.raises(ConflictError, match="succeeded"):
        store.runs.set_desired_state(other, DesiredState.STOP)


def test_what_has_not_succeeded_is_resumed(store: Store, submit):
    run_id = submit()
    with pytest.raises(ConflictError, match="is queued"):
        store.runs.resume(run_id)
    claim(store)
    finish(store, run_id, 1, RunState.FAILED, message="no")
    resumed = store.runs.resume(run_id)
    assert (resumed.state, resumed.message, resumed.ended_at) == (RunState.QUEUED, None, None)
    assert claim(store).attempt == 2
    finish(store, run_id, 2, RunState.CANCELLED, message="Killed on request.")
    killed = store.runs.get(run_id)
    assert (killed.resumable, store.runs.resume(run_id).state) == (False, RunState.QUEUED)
    claim(store)
    finish(store, run_id, 3, RunState.SUCCEEDED)
    with pytest.raises(ConflictError) as refused:
        store.runs.resume(run_id)
    assert (refused.value.reason, refused.value.data) == ("nothing_to_resume", {"state": "succeeded"})


def test_a_run_pauses_after_an_epoch_until_it_is_resumed_without_one(store: Store, submit):
    run_id = submit(payload={"until_epoch": 1})
    assert claim(store).run.payload == {"until_epoch": 1}
    for attempt, until, payload in ((1, 3, {"until_epoch": 3}), (2, None, {}), (3, None, {})):
        finish(store, run_id, attempt, RunState.STOPPED)
        store.runs.resume(run_id, until=until)
        claimed = claim(store)
        assert claimed.run.payload == payload
        assert process_arguments(claimed.run, []) == (["--until-epoch", "3"] if until else [])


@pytest.mark.parametrize(
    ("end", "verdict", "saved", "state", "message"),
    [
        (RunState.FAILED, {"failure": FailureKind.OUT_OF_MEMORY, "message": "Too large."}, 0, "failed", "Too large."),
        (RunState.FAILED, {"failure": FailureKind.DISK_FULL, "message": "Full."}, 10, "failed", "Full."),
        (RunState.CANCELLED, {"message": "Killed on request."}, 10, "cancelled", "Killed on request."),
        (RunState.LOST, {"failure": FailureKind.LOST, "message": "It died"}, 10, "stopped", "It died."),
        (RunState.LOST, {"failure": FailureKind.LOST, "message": "It died"}, 0, "cancelled", "It died."),
    ],
)
def test_a_resumed_run_called_back_while_it_waits_is_what_it_was(
    store: Store, submit, end: RunState, verdict: dict, saved: int, state: str, message: str
):
    run_id = submit()
    claim(store)
    feed(store, run_id, 1, started(), *points(1, 10), *([checkpoint(store, run_id, 1, saved, "last")] if saved else []))
    finish(store, run_id, 1, end, **verdict)
    ended_at = store.runs.get(run_id).attempts[0].ended_at
    if end is not RunState.LOST:  # a lost run is queued again by itself
        assert store.runs.resume(run_id).message is None
    called_back = store.runs.set_desired_state(run_id, DesiredState.STOP)
    assert (called_back.state, called_back.message, called_back.failure) == (state, message, verdict.get("failure"))
    assert (called_back.ended_at, called_back.resumable) == (ended_at, bool(saved))
    assert store.runs.resume(run_id).state is RunState.QUEUED
    assert claim(store).attempt == 2


def test_lists_filter_sort_and_count(store: Store, submit):
    project = store.projects.add(ProjectEdit(name="birds")).id
    ids = [submit(f"run {n}", config={"lr": lr}) for n, lr in enumerate((0.3, 0.1, 0.2))]
    ids.append(submit("bird", project_id=project, notes="50% of the data"))
    store.runs.set_desired_state(ids[0], DesiredState.STOP)
    assert [run.id for run in store.runs.list().items] == ids[::-1]
    assert [run.lr for run in store.runs.list(sort="lr", descending=False).items] == [0.0003, 0.1, 0.2, 0.3]
    assert [run.id for run in store.runs.list(project_id=project).items] == ids[3:]
    assert [run.id for run in store.runs.list(where="50%").items] == ids[3:]
    assert store.runs.list(where="RUN").total == 3
    page = store.runs.list(states=[RunState.QUEUED], limit=1, offset=1)
    assert (len(page.items), page.total) == (1, 3)
    assert page.counts == {RunState.QUEUED: 3, RunState.CANCELLED: 1}
    with pytest.raises(InputError, match="cannot be sorted"):
        store.runs.list(sort="config")


def test_runs_without_a_best_value_come_last_in_both_directions(store: Store, submit):
    ids = [submit() for _ in range(3)]
    for n in range(3):
        claim(store, device=f"cpu:{n}")
    feed(store, ids[0], 1, started(), epoch(1, 0.5))
    feed(store, ids[2], 1, started(), epoch(1, 0.9))
    assert [run.id for run in store.runs.list(sort="best").items] == [ids[2], ids[0], ids[1]]
    assert [run.id for run in store.runs.list(sort="best", descending=False).items] == [ids[0], ids[2], ids[1]]


def test_a_reader_of_changes_sees_each_change_once(store: Store, submit):
    run_id = submit()
    batch, since = store.runs.changed_since(0.0, {})
    assert [run.id for run in batch.changed] == [run_id]
    assert store.runs.changed_since(since, {})[0].changed == []
    store.runs.edit(run_id, RunEdit(name="new"))
    batch, since = store.runs.changed_since(since, {})
    assert [run.name for run in batch.changed] == ["new"]
    known = {run_id: batch.changed[0].revision}
    assert store.runs.changed_since(0.0, known)[0].changed == []
    store.runs.set_desired_state(run_id, DesiredState.STOP)
    store.runs.delete(run_id)
    batch, since = store.runs.changed_since(since, known)
    assert (batch.changed, batch.deleted) == ([], [run_id])


def test_a_run_is_deleted_with_its_folder_but_not_while_it_lives(store: Store, submit):
    run_id = submit()
    with pytest.raises(ConflictError, match="stop it before"):
        store.runs.delete(run_id)
    claim(store)
    feed(store, run_id, 1, started(), *points(1, 5))
    with pytest.raises(ConflictError):
        store.runs.delete(run_id)
    finish(store, run_id, 1, RunState.STOPPED)
    store.runs.delete(run_id)
    assert not store.settings.run_dir(run_id).exists()
    with pytest.raises(NotFoundError):
        store.runs.get(run_id)
    assert store.check() == []


def test_a_parent_may_go_and_its_child_stays(store: Store, submit):
    parent = submit()
    child = submit(parent_id=parent)
    store.runs.set_desired_state(parent, DesiredState.STOP)
    store.runs.delete(parent)
    assert store.runs.get(child).parent_id is None


def test_claims_go_by_priority_then_by_age(store: Store, submit):
    low, high, later = submit(priority=-1), submit(priority=5), submit(priority=5)
    assert [claim(store, device=f"cpu:{n}").run.id for n in range(3)] == [high, later, low]
    assert claim(store) is None


def test_twenty_claimers_start_each_run_once_and_no_device_twice(store: Store, submit):
    ids = [submit() for _ in range(12)]

    def work(number: int) -> str | None:
        from sqlalchemy.exc import IntegrityError

        try:
            claimed = claim(store, device=f"cpu:{number % 6}")
        except IntegrityError:
            return None
        return claimed.run.id if claimed else None

    with ThreadPoolExecutor(20) as pool:
        started_ids = [run_id for run_id in pool.map(work, range(40)) if run_id]
    assert len(started_ids) == len(set(started_ids)) == 6
    live = [run for run in store.runs.list().items if run.state is RunState.STARTING]
    assert sorted(run.id for run in live) == sorted(started_ids)
    assert sorted(device for run in live for device in run.devices) == [f"cpu:{n}" for n in range(6)]
    assert set(started_ids) <= set(ids)


def test_a_waiting_run_says_why(store: Store, submit):
    from imgcls_lab.store import attempts

    run_id = submit()
    with store.database.write() as session:
        assert attempts.claim(session, HOST, "x", lambda _: "Waits for a GPU.") is None
    assert store.runs.get(run_id).message == "Waits for a GPU."


def test_the_database_file_is_for_its_owner_alone(sqlite: Store):
    assert stat.S_IMODE(sqlite.database.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(sqlite.settings.home_path.stat().st_mode) == 0o700


@pytest.mark.parametrize("sort", ["best", "created_at", "lr", "project", "started_at"])
@pytest.mark.parametrize("descending", [True, False])
def test_a_long_list_is_read_in_another_way_and_is_the_same(
    store: Store, submit: Callable[..., str], monkeypatch: pytest.MonkeyPatch, sort: str, descending: bool
):
    other = store.projects.add(ProjectEdit(name="other")).id
    for number in range(12):
        run_id = submit(f"run {number}", project_id=other if number % 3 else None, config={"lr": 10.0**-number})
        if number % 2:
            write = update(Run).where(Run.id == run_id)
            with store.database.write() as session:
                session.execute(
                    write.values(
                        state="failed", best_value=(number * 7) % 5, best_epoch=1, best_metric="metric/accuracy",
                        started_at=number,
                    )
                )  # fmt: skip

    def pages(**filters: object) -> list[str]:
        asked = {"sort": sort, "descending": descending, "limit": 5, **filters}
        return [run.id for offset in (0, 5, 10, 15) for run in store.runs.list(offset=offset, **asked).items]

    asks = [
        {},
        {"project_id": other},
        {"states": [RunState.FAILED]},
        {"project_id": other, "states": [RunState.QUEUED]},
    ]
    short = [pages(**ask) for ask in asks]
    assert [len(set(found)) for found in short] == [12, 8, 6, 4]
    values = [getattr(run, sort) for run in store.runs.list(sort=sort, descending=descending).items]
    known = [value.value if sort == "best" else value for value in values if value is not None]
    assert known == sorted(known, reverse=descending)
    assert values[len(known) :] == [None] * (12 - len(known))  # without a value: last
    monkeypatch.setattr(queries, "MANY", 0)
    assert [pages(**ask) for ask in asks] == short


def test_a_run_took_what_its_attempts_ran_and_no_pause(store: Store, submit):
    """Two hours of running in three attempts, over three days; the last one still lives."""
    run_id = submit("long")
    begun = time.time() - 3 * 86400
    for number, (start, seconds) in enumerate([(begun, 3600), (begun + 86400, 1800)], start=1):
        claim(store)
        feed(store, run_id, number, started())
        with store.database.write() as session:
            states.change_attempt(session, run_id, number, started_at=start)
            verdict = Verdict(RunState.STOPPED)
            attempts.finish(session, run_id, number, verdict, None, at=start + seconds)
        store.runs.resume(run_id)
    view = store.runs.get(run_id)
    assert (view.ran, view.running_since, view.seconds(time.time())) == (5400, None, 5400)
    waits = submit("waits")
    claim(store)
    now = time.time()
    listed = {run.id: run for run in store.runs.list(sort="ran").items}
    assert list(listed) == [run_id, waits]
    assert listed[run_id].running_since == pytest.approx(now, abs=60)
    assert listed[run_id].seconds(listed[run_id].running_since + 1800) == 7200
    assert listed[waits].seconds(now) is None


def test_a_list_of_runs_takes_the_same_few_statements_however_many_runs(store: Store, submit):
    for number in range(30):
        run_id = submit(str(number))
        claim(store)
        finish(store, run_id, 1, RunState.FAILED)
    asked: list[str] = []
    event.listen(store.database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    for limit in (3, 30):
        asked.clear()
        assert len(store.runs.list(limit=limit).items) == limit
        selects = [statement for statement in asked if statement.lstrip().upper().startswith("SELECT")]
        assert len(selects) <= 5, selects


def test_a_name_instead_of_an_id_is_answered_with_the_ids(store: Store, submit: Callable[..., str]) -> None:
    ids = {submit("pets"), submit("pets")}
    with pytest.raises(NotFoundError) as refused:
        store.runs.get("pets")
    assert all(run in str(refused.value) for run in ids)
