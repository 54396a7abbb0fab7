"""What a daemon knows of the runs that live on its host: what a whole reading gives, read piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from store_steps import HOST, claim, feed, finish, points, started

from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.live_runs import ALL, NONE, Changes

Submit = Callable[..., str]
CONCERN, ELSEWHERE = Changes(any=True, concern=True), Changes(any=True, concern=False)


@pytest.fixture
def own(store: Store) -> ExecutorStore:
    own = ExecutorStore(store.database, store.settings, HOST, f"{HOST}-1", HeartbeatWatch(30))
    own.register()
    return own


@contextmanager
def queries(store: Store) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", note)
    yield asked
    event.remove(store.database.engine, "before_cursor_execute", note)


def facts(live: Sequence[attempts.Live]) -> list[object]:
    return [(run.id, run.state, run.desired_state, run.attempt, run.message, row.model_dump()) for run, row in live]


def look(store: Store, own: ExecutorStore) -> Changes:
    """One look; what it knows is what is there."""
    known = own.live_runs()
    with store.database.read() as session:
        whole = attempts.live_runs(session, HOST)
    assert facts(known) == facts(whole)
    return own.changes


def test_what_is_known_is_what_is_there(store: Store, own: ExecutorStore, submit: Submit) -> None:
    first, second, third = submit(), submit(), submit()
    assert look(store, own) == ALL
    claim(store, "cpu:0")
    assert look(store, own) == ELSEWHERE, "what it has claimed itself is nothing new to its queue"
    claim(store, "cpu:1", host="host-b")
    assert look(store, own) == ELSEWHERE
    feed(store, first, 1, started(), *points(1, 3))
    assert look(store, own) == ELSEWHERE
    store.runs.set_desired_state(first, DesiredState.STOP)
    look(store, own)
    assert own.live_runs()[0][0].desired_state == DesiredState.STOP.value
    finish(store, second, 1, RunState.FAILED)
    assert look(store, own) == ELSEWHERE, "it has freed a device of another host"
    finish(store, first, 1, RunState.SUCCEEDED)
    assert look(store, own) == CONCERN
    assert own.live_runs() == []
    store.runs.set_desired_state(third, DesiredState.STOP)
    assert look(store, own) == CONCERN, "what waits for it waits in vain"
    store.runs.delete(third)
    assert look(store, own) == CONCERN


def test_a_run_that_lives_elsewhere_now_is_not_known_any_more(store: Store, own: ExecutorStore, submit: Submit) -> None:
    run_id = submit()
    claim(store, "cpu:0")
    look(store, own)
    finish(store, run_id, 1, RunState.LOST)
    claim(store, "cpu:1", host="host-b")
    assert look(store, own) == CONCERN
    assert own.live_runs() == []


def test_a_look_at_nothing_new_is_one_query(store: Store, own: ExecutorStore, submit: Submit) -> None:
    for number in range(3):
        submit()
        claim(store, f"cpu:{number}")
    own.live_runs()
    with queries(store) as asked:
        assert len(own.live_runs()) == 3
    assert len(asked) == 1, asked
    assert own.changes == NONE


def test_a_database_made_anew_is_read_whole(store: Store, own: ExecutorStore, submit: Submit) -> None:
    submit()
    claim(store, "cpu:0")
    assert len(own.live_runs()) == 1
    own.register()
    assert look(store, own) == ALL
