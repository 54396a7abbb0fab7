"""What only a daemon does to runs: claim, note the owner, finish, requeue. Each call is one step of a transaction.

Every write is fenced by the attempt and the states it may find (`states.py`). False or None means that another
process was first: the caller drops what it knows and looks again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_
from sqlmodel import Session, col, select

from imgcls_lab.events import ENDED, LIVE, DesiredState, FailureKind, RunState
from imgcls_lab.store import alerts, audit, fair_share, queue, states
from imgcls_lab.store.database import to_folder
from imgcls_lab.store.tables import Attempt, DeviceClaim, Run
from imgcls_lab.store.verdict import ProcessEnd, Verdict

MAX_LOST_ATTEMPTS = 3  # retries without a newer checkpoint


@dataclass(frozen=True)
class Claim:
    """A run that this host is to start."""

    run: Run
    attempt: int
    devices: list[str]


Place = Callable[[queue.Waiting], list[str] | str | None]


def claim(
    session: Session, host: str, executor_id: str, place: Place, order: queue.Order | None = None
) -> Claim | None:
    """Take the first waiting run of this home that `place` finds devices for, and those devices, all or nothing.

    place: gives the free devices for a run, or the sentence why it waits, which is then shown, or None. Runs of other
    homes, which `order` puts in between, are placed but not taken. Raises IntegrityError when a device was taken
    meanwhile; nothing is changed then.
    """
    position = -1
    for run in queue.waiting(session, host, order):
        found = place(run)
        if run.home != session.info["home"]:
            continue
        position += 1
        if not isinstance(found, list):
            if found is not None and run.message != found and position < queue.EXPLAINED:
                queued = col(Run.state) == RunState.QUEUED.value
                states.change_run(session, run.id, queued, message=found, recorded=False)
            continue
        if found and run.project_id in queue.full_projects(session, lock=run.project_id):
            continue  # another host took the project's last place meanwhile
        if found and fair_share.has_no_room(session, run.owner, len(found)):
            continue  # another host took the user's last device meanwhile
        # PostgreSQL: leave a run that another daemon is taking just now; on SQLite this transaction is alone anyhow
        mine = select(Run.id).where(Run.number == run.number, Run.state == RunState.QUEUED.value)
        if session.exec(mine.with_for_update(skip_locked=True)).first() is None:
            continue
        attempt = run.attempt + 1
        now = time.time()
        values: dict[str, Any] = {
            "host": host, "devices": found, "message": None, "failure": None, "ended_at": None, "phase": None,
            "started_at": run.started_at or now, "seconds_left": None,
        }  # fmt: skip
        same = col(Run.attempt) == run.attempt
        if not states.change_run(
            session, run.id, col(Run.state) == RunState.QUEUED.value, same,
            state=RunState.STARTING.value, attempt=attempt, **values,
        ):  # fmt: skip
            continue
        session.add(
            Attempt(
                run_id=run.id, number=attempt, state=RunState.STARTING.value, host=host, executor_id=executor_id,
                devices=found, started_at=now,
            )
        )  # fmt: skip
        session.add_all(
            DeviceClaim(host=host, device=name, run_id=run.id, attempt=attempt, claimed_at=now) for name in found
        )
        session.flush()
        claimed = session.get_one(Run, run.number)
        audit.record(session, "started", claimed, attempt=attempt, devices=found)
        return Claim(claimed, attempt, found)
    return None


def has_news(session: Session, host: str, place: Place, order: queue.Order | None = None) -> bool:
    """Whether a waiting run of this home can start, or one of the first does not state yet why it waits."""
    position = -1
    for run in queue.waiting(session, host, order):
        found = place(run)
        if run.home != session.info["home"]:
            continue
        position += 1
        if isinstance(found, list) or (position < queue.EXPLAINED and found not in (None, run.message)):
            return True
    return False


def live_runs(session: Session, host: str) -> list[tuple[Run, Attempt]]:
    """Runs of this home that live on a host, with their present attempts."""
    statement = (
        select(Run, Attempt)
        .join(Attempt, (col(Attempt.run_id) == col(Run.id)) & (col(Attempt.number) == col(Run.attempt)))
        .where(col(Run.state).in_(states.texts(LIVE)), Run.host == host, Run.home == session.info["home"])
        .order_by(col(Run.number))
    )
    return [(run, attempt) for run, attempt in session.exec(statement)]


def set_owner(session: Session, run_id: str, attempt: int, owner: dict[str, Any] | None, pid: int | None) -> bool:
    """Note which process keeps an attempt. False: the attempt is not the living one any more."""
    if not states.change_live(session, run_id, attempt):
        return False
    return states.change_attempt(session, run_id, attempt, owner=owner, pid=pid)


def finish(
    session: Session,
    run_id: str,
    attempt: int,
    verdict: Verdict,
    end: ProcessEnd | None,
    *,
    at: float | None = None,
    seen: float | None = None,
) -> RunState | None:
    """Write what an attempt came to, and free its devices. None: it was not the living attempt any more.

    at: when it ended, by default now; seen: when that was found, by default then. An end that was found long ago makes
    no alert. A lost attempt is queued again, unless it was lost too often without a newer checkpoint.
    """
    session.execute(delete(DeviceClaim).where(col(DeviceClaim.run_id) == run_id, col(DeviceClaim.attempt) == attempt))
    now = at or time.time()
    found_at = now if seen is None else seen
    to_folder(session, run_id)  # also where the attempt is not the living one any more
    result = {"failure": verdict.failure, "message": verdict.message, "ended_at": now}
    ending = {**result, "state": verdict.state.value, "exit_code": None if end is None else end.exit_code}
    first = col(Attempt.ended_at).is_(None)  # the first end counts
    if states.change_attempt(session, run_id, attempt, first, **ending):
        _charge(session, run_id, attempt, now)
    rest: dict[str, Any] = {"phase": None, "seconds_left": None, "devices": []}
    if verdict.state is RunState.LOST:
        if not states.move(session, run_id, RunState.LOST, attempt=attempt, **rest):
            return None
        state = _requeue(session, run_id, attempt, verdict, now)
        run = session.exec(select(Run).where(Run.id == run_id)).one()
        audit.record(session, "requeued" if state is RunState.QUEUED else "lost", run, reason=verdict.message)
        session.expunge(run)
        alerts.ended(session, run_id, attempt, state, lost=verdict.counted, at=found_at)
        return state
    values = {**rest, **result}
    lives = col(Run.state).in_(states.texts(LIVE))  # a queued run may be moved to the same states, but by people
    moved = states.move(session, run_id, verdict.state, lives, attempt=attempt, **values) or (
        # the result of a run that never reported its start
        states.move(session, run_id, RunState.RUNNING, lives, attempt=attempt)
        and states.move(session, run_id, verdict.state, attempt=attempt, **values)
    )
    if not moved:
        return None
    alerts.ended(session, run_id, attempt, verdict.state, lost=False, at=found_at)
    return verdict.state


def _charge(session: Session, run_id: str, attempt: int, now: float) -> None:
    """Add what an attempt used to the usage of the run's owner."""
    columns: Any = (Run.owner, Attempt.devices, Attempt.started_at)
    found = select(*columns).join(Attempt, col(Attempt.run_id) == col(Run.id))
    used = session.exec(found.where(Attempt.run_id == run_id, Attempt.number == attempt)).first()
    if used is not None:
        owner, devices, started = used
        fair_share.charge(session, owner, len(devices), started, now)


def _requeue(session: Session, run_id: str, attempt: int, verdict: Verdict, now: float) -> RunState:
    columns: Any = (col(Run.lost_attempts), col(Run.saved_step), col(Run.lost_at_step))
    lost_attempts, saved_step, lost_at_step = session.exec(select(*columns).where(Run.id == run_id)).one()
    if verdict.counted:
        lost_attempts = 1 if saved_step > lost_at_step else lost_attempts + 1
    reason = verdict.message or "Its process could not be started"
    if lost_attempts > MAX_LOST_ATTEMPTS:
        failed = {"ended_at": now, "failure": FailureKind.LOST.value}
        message = (
            f"{reason}, {lost_attempts} times in a row without a newer checkpoint. Look at the log, free memory if the "
            "machine ran short of it, then resume the run."
        )
        states.move(session, run_id, RunState.FAILED, attempt=attempt, message=message, **failed)
        return RunState.FAILED
    start = f"step {saved_step}" if saved_step else "the beginning"
    counted = {"lost_attempts": lost_attempts, "lost_at_step": saved_step}
    again = {"failure": None, "desired_state": DesiredState.RUN.value, "message": f"{reason}; it goes on from {start}."}
    states.move(session, run_id, RunState.QUEUED, attempt=attempt, **counted, **again)
    return RunState.QUEUED


def free_stale_claims(session: Session, host: str) -> int:
    """Free devices of this host that are held by attempts of this home which do not live; how many.

    There are such only after a restored backup.
    """
    mine = Run.home == session.info["home"]
    ended = select(Run.id).where(mine, or_(col(Run.state).not_in(states.texts(LIVE)), col(Run.host) != host))
    gone = session.execute(delete(DeviceClaim).where(col(DeviceClaim.host) == host, col(DeviceClaim.run_id).in_(ended)))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def reported(attempt: Attempt) -> Verdict | None:
    """The verdict that an attempt's last event gave; None: it has none. Ingest writes it into the attempt's row."""
    state = RunState(attempt.state)
    if state not in ENDED:
        return None
    failure = FailureKind(attempt.failure) if attempt.failure else None
    return Verdict(state, failure, attempt.message)
