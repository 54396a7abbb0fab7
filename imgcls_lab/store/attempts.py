"""What only a daemon does to runs: claim, note the owner, finish, requeue. Each call is one step of a transaction.

Every write is fenced by the attempt and the states it may find (`states.py`). False or None means that another
process was first: the caller drops what it knows and looks again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, or_, tuple_
from sqlalchemy.orm import load_only
from sqlmodel import Session, col, select

from imgcls_lab.errors import ConflictError
from imgcls_lab.events import ENDED, LIVE, DesiredState, FailureKind, RunState
from imgcls_lab.identity import Owner
from imgcls_lab.store import alerts, audit, fair_share, locked_runs, queue, states
from imgcls_lab.store.cluster import NO_DEVICE, Waiting, limited_projects
from imgcls_lab.store.database import to_folder, touch
from imgcls_lab.store.locked_runs import Key, LockedRun
from imgcls_lab.store.tables import Attempt, DeviceClaim, Run
from imgcls_lab.store.verdict import ProcessEnd, Verdict

MAX_LOST_ATTEMPTS = 3  # retries without a newer checkpoint


@dataclass(frozen=True)
class Claim:
    """A run that this host is to start."""

    run: Run
    attempt: int
    devices: list[str]


@dataclass(frozen=True)
class Noted:
    """Who keeps an attempt, the pid of its trainer, and on which devices it runs."""

    run_id: str
    attempt: int
    owner: Owner | None
    pid: int | None
    devices: list[str]


Live = tuple[Run, Attempt]  # a run that lives, and its present attempt
Place = Callable[[Waiting], list[str] | str | None]
AT_ONCE = 64  # runs that are claimed or ended in one transaction: a pass over the queue reads much, for one or for all


@dataclass
class Plan:
    """What a pass over the queue decided: runs to start with their devices, and why the first of the others wait."""

    starts: list[tuple[Waiting, list[str]]] = field(default_factory=list)
    sentences: list[tuple[str, str]] = field(default_factory=list)  # run, and what its message does not say yet


def plan(session: Session, host: str, place: Place, order: queue.Order | None = None, most: int = AT_ONCE) -> Plan:
    """Which waiting runs of this home are to start now, at most so many.

    place: gives the free devices for a run and counts them as given, or the sentence why it waits, or None. Runs of
    other homes, which `order` puts in between, are placed but not taken.
    """
    found, position = Plan(), -1
    for run in queue.waiting(session, host, order):
        answer = place(run)
        if run.home != session.info["home"]:
            continue
        position += 1
        if isinstance(answer, list):
            found.starts.append((run, answer))
            if len(found.starts) == most:
                break
        elif answer is not None and answer != run.message and position < queue.EXPLAINED:
            found.sentences.append((run.id, answer))
    return found


def take(session: Session, host: str, executor_id: str, planned: Plan, most: int = AT_ONCE) -> list[Claim]:
    """Take the runs of a plan and their devices, at most so many, and write the sentences of the others.

    A run that was changed or taken since is left out, and so is one whose project or user has no place left: another
    host took it. Raises IntegrityError when a device was taken meanwhile; nothing is changed then.
    """
    states.explain(session, planned.sentences)
    # locked in the same order by all hosts, so that no two wait for each other
    limits = limited_projects(session, lock={run.project_id for run, devices in planned.starts if devices})
    rooms = fair_share.rooms(session, {run.owner for run, devices in planned.starts if devices})
    started: list[tuple[Waiting, list[str]]] = []
    for first in range(0, len(planned.starts), most):  # no more are locked at a time than are wanted
        part = planned.starts[first : first + most]
        unchanged = queue.still_waiting(session, [run for run, _ in part])
        for run, devices in part:
            limit = limits.get(run.project_id) if devices else None
            if (
                len(started) == most
                or run.number not in unchanged
                or (limit is not None and limit.refusal() is not None)
            ):
                continue
            if rooms.get(run.owner, len(devices)) < len(devices):
                continue
            started.append((run, devices))
            if limit is not None:
                limit.running += 1
            if run.owner in rooms:
                rooms[run.owner] -= len(devices)
        if len(started) == most:
            break
    return _claimed(session, host, executor_id, started)


def claim(session: Session, host: str, executor_id: str, place: Place) -> Claim | None:
    """Take the first waiting run that can start, in the transaction that finds it."""
    taken = take(session, host, executor_id, plan(session, host, place), most=1)
    return taken[0] if taken else None


def _claimed(
    session: Session, host: str, executor_id: str, started: Sequence[tuple[Waiting, list[str]]]
) -> list[Claim]:
    """Move runs that this transaction has locked to their next attempts; add these, and what holds their devices."""
    if not started:
        return []
    now = time.time()
    _move_to_next_attempt(session, host, started, now)
    here: dict[str, Any] = {"host": host, "executor_id": executor_id, "started_at": now}
    session.add_all(
        Attempt(run_id=run.id, number=run.attempt + 1, state=RunState.STARTING.value, devices=devices, **here)
        for run, devices in started
    )
    session.add_all(
        DeviceClaim(host=host, device=name, run_id=run.id, attempt=run.attempt + 1, claimed_at=now)
        for run, devices in started
        for name in devices
    )
    session.flush()
    numbers = [run.number for run, _ in started]
    rows = {run.number: run for run in session.exec(select(Run).where(col(Run.number).in_(numbers)))}
    claims = [Claim(rows[run.number], run.attempt + 1, devices) for run, devices in started]
    details = [{"attempt": claim.attempt, "devices": claim.devices} for claim in claims]
    audit.record_all(session, "started", [(claim.run, each) for claim, each in zip(claims, details, strict=True)])
    return claims


def _move_to_next_attempt(
    session: Session, host: str, started: Sequence[tuple[Waiting, list[str]]], now: float
) -> None:
    """One statement for all of them. Raises ConflictError if one was moved by another process: its row was locked."""
    values = [
        {"id": run.id, "attempt": run.attempt + 1, "devices": devices, "started_at": run.started_at or now}
        for run, devices in started
    ]
    same = {"message": None, "failure": None, "ended_at": None, "phase": None, "seconds_left": None, "host": host}
    moved = states.change_runs(session, RunState.QUEUED, values, state=RunState.STARTING.value, **same)
    if moved != len(started):
        raise ConflictError("A waiting run was moved by another process while it was claimed.", reason="claim_changed")


# what is watched of a live run; its config, payload, metrics and notes are large, and nobody asks for them
_WATCHED: tuple[Any, ...] = (
    Run.number,
    Run.id,
    Run.kind,
    Run.name,
    Run.state,
    Run.desired_state,
    Run.attempt,
    Run.external,
    Run.message,
    Run.changes,
)


def live_runs(session: Session, host: str, only: Set[str] | None = None) -> list[Live]:
    """Runs of this home that live on a host, with their present attempts. A run has its watched columns alone.

    only: ids, for those of them alone.
    """
    statement = (
        select(Run, Attempt)
        .options(load_only(*_WATCHED))
        .join(Attempt, (col(Attempt.run_id) == col(Run.id)) & (col(Attempt.number) == col(Run.attempt)))
        .where(col(Run.state).in_(states.texts(LIVE)), Run.host == host, Run.home == session.info["home"])
        .order_by(col(Run.number))
    )
    if only is not None:
        statement = statement.where(col(Run.id).in_(only))
    return [(run, attempt) for run, attempt in session.exec(statement)]


def live_hosts(session: Session) -> set[str]:
    """The hosts where runs of this home live that an executor has started."""
    here = (Run.home == session.info["home"], col(Run.external).is_(False))
    found = select(Run.host).where(col(Run.state).in_(states.texts(LIVE)), *here).distinct()
    return {host for host in session.exec(found) if host}


def live_drivers(session: Session, host: str) -> int:
    """How many runs of this home live on a host that take no device."""
    here = (Run.host == host, Run.home == session.info["home"], Run.requested_device == NO_DEVICE)
    counted = select(func.count()).select_from(Run).where(col(Run.state).in_(states.texts(LIVE)), *here)
    return session.exec(counted).one()


def note(session: Session, found: Sequence[Noted]) -> set[str]:
    """Note who keeps attempts and where they run; of which runs. The others have a later attempt, or have ended.

    No folder is written: whoever has a database made anew finds the process by its tag, a job by its name, and where it
    runs by what its supervisor wrote.
    """
    locked = locked_runs.lock(session, [(each.run_id, each.attempt) for each in found])
    noted: list[LockedRun] = []
    for each in found:
        row = locked.get((each.run_id, each.attempt))
        if row is None or not row.lives:
            continue
        row.set_attempt(owner=json.loads(each.owner.to_json()) if each.owner else None, pid=each.pid)
        if each.devices != row.attempt.devices:
            row.set_attempt(devices=each.devices)
            row.set_run(devices=each.devices)
        touch(session, each.run_id, recorded=False)
        noted.append(row)
    locked_runs.write(session, noted, recorded=False)
    return {row.run.id for row in noted}


@dataclass(frozen=True)
class Ending:
    """What an attempt came to, and how its process ended.

    at: when it ended, by default now; seen: when that was found, by default then. An end that was found long ago makes
    no alert.
    """

    verdict: Verdict
    end: ProcessEnd | None = None
    at: float | None = None
    seen: float | None = None


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
    """Write what one attempt came to; as `finish_all`. None: it was not the living attempt any more."""
    key = (run_id, attempt)
    locked = locked_runs.lock(session, [key])
    return finish_all(session, locked, {key: Ending(verdict, end, at, seen)}).get(key)


def finish_all(session: Session, locked: Mapping[Key, LockedRun], endings: Mapping[Key, Ending]) -> dict[Key, RunState]:
    """Write what attempts came to, and free their devices; the states of the runs then.

    locked: those of them that there are. An attempt that is left out was not the living one any more. A lost one is
    queued again, unless it was lost too often without a newer checkpoint.
    """
    of_attempt = tuple_(col(DeviceClaim.run_id), col(DeviceClaim.attempt))
    session.execute(delete(DeviceClaim).where(of_attempt.in_(list(endings))))
    for run_id, _ in endings:
        to_folder(session, run_id)  # also where the attempt is not the living one any more
    now = time.time()
    used: list[fair_share.Used] = []
    found: dict[Key, RunState] = {}
    ended: list[alerts.Ended] = []
    for key, row in locked.items():
        ending = endings[key]
        at = ending.at or now
        if row.attempt.ended_at is None:  # the first end counts
            used.append(fair_share.Used(row.run.owner, len(row.attempt.devices), row.attempt.started_at, at))
            _end_attempt(row, ending, at)
        state = _end_run(row, ending.verdict, at)
        if state is not None:
            found[key] = state
            lost = ending.verdict.state is RunState.LOST and ending.verdict.counted
            seen = at if ending.seen is None else ending.seen
            ended.append(alerts.Ended(row.run, row.attempt.number, state, lost, seen))
    fair_share.charge(session, used)
    locked_runs.write(session, locked.values(), recorded=True)
    for state, action in ((RunState.QUEUED, "requeued"), (RunState.FAILED, "lost")):
        lost_runs = [
            (locked[key].run, {"reason": endings[key].verdict.message})
            for key, now_is in found.items()
            if now_is is state and endings[key].verdict.state is RunState.LOST
        ]
        audit.record_all(session, action, lost_runs)
    alerts.ended(session, ended)
    return found


def _end_attempt(row: LockedRun, ending: Ending, at: float) -> None:
    verdict, end = ending.verdict, ending.end
    result = {"failure": verdict.failure, "message": verdict.message, "ended_at": at}
    row.set_attempt(**result, state=verdict.state.value, exit_code=None if end is None else end.exit_code)


def _end_run(row: LockedRun, verdict: Verdict, at: float) -> RunState | None:
    """Move the run of an attempt that has ended; its state then. None: the attempt was not the living one."""
    if not row.lives:  # a queued run may be moved to the same states, but by people
        return None
    rest: dict[str, Any] = {"phase": None, "seconds_left": None, "devices": []}
    if verdict.state is RunState.LOST:
        return _requeue(row, verdict, at) if row.move(RunState.LOST, **rest) else None
    values = {**rest, "failure": verdict.failure, "message": verdict.message, "ended_at": at}
    moved = row.move(verdict.state, **values) or (
        # the result of a run that never reported its start
        row.move(RunState.RUNNING) and row.move(verdict.state, **values)
    )
    return verdict.state if moved else None


def _requeue(row: LockedRun, verdict: Verdict, at: float) -> RunState:
    lost_attempts, saved_step = row.run.lost_attempts, row.run.saved_step
    if verdict.counted:
        lost_attempts = 1 if saved_step > row.run.lost_at_step else lost_attempts + 1
    reason = verdict.message or "Its process could not be started"
    if lost_attempts > MAX_LOST_ATTEMPTS:
        message = (
            f"{reason}, {lost_attempts} times in a row without a newer checkpoint. Look at the log, free memory if the "
            "machine ran short of it, then resume the run."
        )
        row.move(RunState.FAILED, message=message, ended_at=at, failure=FailureKind.LOST.value)
        return RunState.FAILED
    start = f"step {saved_step}" if saved_step else "the beginning"
    counted = {"lost_attempts": lost_attempts, "lost_at_step": saved_step}
    again = {"failure": None, "desired_state": DesiredState.RUN.value, "message": f"{reason}; it goes on from {start}."}
    row.move(RunState.QUEUED, **counted, **again)
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
