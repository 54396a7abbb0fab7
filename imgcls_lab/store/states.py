"""The states of a run and who may move them, written once; and the fenced writes that move them.

Called by the store's other modules inside their transactions. Every write about an attempt names the attempt and
the states it may find. When no row matches, another process was first, and the caller stops at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, bindparam, update
from sqlmodel import Session, col

from imgcls_lab.events import LIVE, RunState
from imgcls_lab.store.database import touch
from imgcls_lab.store.tables import Attempt, Run

S = RunState
LIVE_TEXTS = frozenset(state.value for state in LIVE)

# from -> to. A queued run is moved by API and CLI (to cancelled) or claimed by a daemon; all else is a daemon's.
MOVES: dict[RunState, frozenset[RunState]] = {
    # a resumed run that is called back while it waits is again what it was
    S.QUEUED: frozenset({S.STARTING, S.CANCELLED, S.STOPPED, S.FAILED, S.SUCCEEDED}),
    # to `stopped`: it keeps the checkpoint that it had
    S.STARTING: frozenset({S.RUNNING, S.CANCELLED, S.STOPPED, S.FAILED, S.LOST}),
    S.RUNNING: frozenset({S.STOPPING, S.STOPPED, S.SUCCEEDED, S.FAILED, S.CANCELLED, S.LOST}),
    S.STOPPING: frozenset({S.STOPPED, S.CANCELLED, S.SUCCEEDED, S.FAILED, S.LOST}),
    S.LOST: frozenset({S.QUEUED, S.FAILED}),
    S.STOPPED: frozenset({S.QUEUED}),
    S.FAILED: frozenset({S.QUEUED}),
    S.SUCCEEDED: frozenset({S.QUEUED}),  # a sweep, whose holes are to be filled
    S.CANCELLED: frozenset({S.QUEUED}),
}


def sources(to: RunState) -> list[str]:
    """The states from which a run may move to this one."""
    return [state.value for state, targets in MOVES.items() if to in targets]


def change_run(session: Session, run_id: str, /, *where: Any, recorded: bool = True, **values: Any) -> bool:
    """Change columns of one run where all conditions hold. False: no row matched, nothing was changed.

    recorded: as in `touch`.
    """
    statement = (
        update(Run)
        .where(col(Run.id) == run_id, *where)
        .values(revision=col(Run.revision) + 1, updated_at=time.time(), **values)
        .execution_options(synchronize_session=False)
    )
    if session.execute(statement).rowcount != 1:  # type: ignore[attr-defined]
        return False
    touch(session, run_id, recorded=recorded)
    return True


def change_runs(session: Session, state: RunState, rows: Sequence[Mapping[str, Any]], /, **same: Any) -> int:
    """Change columns of several runs in one statement; how many were in that state.

    rows: id, attempt, which is the next one of the run, and further columns, the same in each. same: of all runs.
    """
    runs = _table(Run)
    values: dict[str, Any] = {"revision": runs.c.revision + 1, "updated_at": time.time(), **same}
    where = (runs.c.attempt == bindparam("new_attempt") - 1, runs.c.state == state.value)
    changed = _execute_many(session, runs, ("id",), rows, *where, **values)
    for row in rows:
        touch(session, row["id"])
    return changed


def explain(session: Session, sentences: Iterable[tuple[str, str]]) -> None:
    """Write why runs wait, in one statement; nothing for those that wait no more. sentences: (run, sentence)."""
    runs, rows = _table(Run), [{"id": run_id, "message": sentence} for run_id, sentence in sentences]
    values = {"revision": runs.c.revision + 1, "updated_at": time.time()}
    _execute_many(session, runs, ("id",), rows, runs.c.state == RunState.QUEUED.value, **values)
    for row in rows:
        touch(session, row["id"], recorded=False)


def change_attempts(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Change columns of several attempts in one statement: run_id, number, and what is to be changed."""
    return _execute_many(session, _table(Attempt), ("run_id", "number"), rows)


def change_locked_runs(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Change columns of runs that this transaction has locked, in one statement: id, and what is to be changed."""
    return _execute_many(session, _table(Run), ("id",), rows)


def _execute_many(
    session: Session, table: Table, key: Sequence[str], rows: Sequence[Mapping[str, Any]], *where: Any, **values: Any
) -> int:
    """Update the rows of these keys; how many there were. SQLAlchemy's own update takes as long for each as for all."""
    if not rows:
        return 0
    given = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in rows[0]}
    same = [table.c[name] == given.pop(name) for name in key]
    statement = update(table).where(*same, *where).values(**given, **values)
    named = [{f"new_{name}": value for name, value in row.items()} for row in rows]
    return int(session.connection().execute(statement, named).rowcount)


def _table(of: Any) -> Table:
    return of.__table__  # type: ignore[no-any-return]


def move(session: Session, run_id: str, to: RunState, *where: Any, attempt: int | None = None, **values: Any) -> bool:
    """Move a run, fenced by the table above and, if given, by its attempt. False: its state or attempt was another."""
    fence = [col(Run.state).in_(sources(to)), *where]
    if attempt is not None:
        fence.append(col(Run.attempt) == attempt)
    return change_run(session, run_id, *fence, state=to.value, **values)


def change_live(session: Session, run_id: str, attempt: int, /, **values: Any) -> bool:
    """Change columns of a run while this attempt of it lives. False: it does not, and the caller is out of date."""
    live = [state.value for state in LIVE]
    return change_run(session, run_id, col(Run.attempt) == attempt, col(Run.state).in_(live), **values)


def change_attempt(session: Session, run_id: str, number: int, /, *where: Any, **values: Any) -> bool:
    statement = (
        update(Attempt)
        .where(col(Attempt.run_id) == run_id, col(Attempt.number) == number, *where)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]


def texts(states: Iterable[RunState]) -> list[str]:
    """States as the database holds them."""
    return [RunState(state).value for state in states]
