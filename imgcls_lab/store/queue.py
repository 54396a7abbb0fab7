"""The queue: which waiting runs a daemon may start, and why the others wait. Called by `ExecutorStore`.

A daemon starts the runs of its own home alone. Those of other homes on its host it only counts, so that it leaves a
device to the user whose turn it is (`fair_share.py`). All daemons read the same rows, so all find the same turn. The
only runs that are moved here are those that can never start, because a run before them did not succeed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from sqlalchemy import ColumnElement, bindparam, func, or_
from sqlalchemy import select as sa_select
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, exists, select

from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.store import audit, states
from imgcls_lab.store.cluster import NO_DEVICE, Waiting
from imgcls_lab.store.database import no_index
from imgcls_lab.store.fair_share import Shares
from imgcls_lab.store.tables import Dependency, Run

LOOK_AHEAD = 1000  # waiting runs that are tried in one round
EXPLAINED = 100  # of them, those whose message says why they wait; of another home's, those that are tried
FIRST_PAGE = 20  # waiting runs that are read first: who has few free devices reads no more
_BROKEN = {RunState.FAILED.value: "failed", RunState.CANCELLED.value: "was cancelled", None: "was deleted"}


class Order(Protocol):
    """What decides between users while a daemon goes through the queue."""

    @property
    def shares(self) -> Shares: ...
    @property
    def others(self) -> Sequence[str]:
        """The other homes whose daemons live on this host."""

    def has_free(self) -> bool:
        """Whether some device of this host can still be given to a run."""


def owners(session: Session, home: str) -> list[str]:
    """The users of whom runs wait in a home: one step along the index for each."""
    return list(session.execute(_owners(), {"home": home, "queued": RunState.QUEUED.value}).scalars())


@cache
def _owners() -> Any:
    here = (col(Run.state) == bindparam("queued"), col(Run.home) == bindparam("home"))
    found = sa_select(func.min(col(Run.owner)).label("owner")).where(*here).cte("owners", recursive=True)
    following = sa_select(func.min(col(Run.owner))).where(*here, col(Run.owner) > found.c.owner)
    found = found.union_all(sa_select(following.scalar_subquery()).where(found.c.owner.is_not(None)))
    return sa_select(found.c.owner).where(found.c.owner.is_not(None))


def waiting(session: Session, host: str, order: Order | None = None) -> Iterator[Waiting]:
    """The first runs that wait in this home, at most LOOK_AHEAD of each user, in the order of the queue.

    Without those that wait for another run or another host. A user's runs have the order of their priorities and
    times; `order` decides between users. With it, runs of other homes come in between while a device is free.
    """
    mine = session.info["home"]
    shares = order.shares if order is not None else None
    users = owners(session, mine)
    tried = 0

    def useless() -> bool:
        return tried >= EXPLAINED and order is not None and not order.has_free()

    queues = [
        _Queue(mine, owner, _pages(session, host, mine, owner, most=LOOK_AHEAD, useless=useless)) for owner in users
    ]
    if order is not None and (order.others or len(users) > 1):
        order.shares.waiting.update(users)
        queues += _of_others(session, host, order)
    if len(queues) == 1:
        for run in queues[0].runs:
            tried += 1
            yield run
        return
    while queues:
        first = min(queues, key=lambda queue: queue.rank(shares))
        if order is not None and first.home != mine and not order.has_free():
            queues.remove(first)  # of no use any more: nothing is left to be kept for it
        elif first.head is None:
            first.head = next(first.runs, None)
            if first.head is None:
                queues.remove(first)
        else:
            head, first.head = first.head, None
            tried += head.home == mine
            yield head


def _of_others(session: Session, host: str, order: Order) -> list[_Queue]:
    """The queues of other homes, while a device is free; and note who waits there."""
    queues = []
    for home in order.others:
        names = owners(session, home)
        order.shares.waiting.update(names)
        if order.has_free():
            queues += [_Queue(home, name, _pages(session, host, home, name, most=EXPLAINED)) for name in names]
    return queues


@dataclass
class _Queue:
    """The waiting runs of one user in one home. head: the first of those that are left, once it has been read."""

    home: str
    owner: str
    runs: Iterator[Waiting]
    head: Waiting | None = None

    def rank(self, shares: Shares | None) -> tuple[Any, ...]:
        """The least is next. A queue whose head must be read to know its rank, or is needed now, comes first."""
        if self.head is None:
            aged = shares is None or not shares.of(self.owner).held  # then the time of the head counts
            return () if aged or shares is None else shares.turn(self.owner)
        within = (-self.head.priority, self.head.queued_at, self.head.number)
        return within if shares is None else (*shares.turn(self.owner, self.head.queued_at), *within)


def _pages(
    session: Session, host: str, home: str, owner: str, *, most: int, useless: Callable[[], bool] = lambda: False
) -> Iterator[Waiting]:
    """The waiting runs of one user in one home, read page by page: who takes the first has not read a thousand.

    useless: says that no device is free any more and that enough runs know why they wait. Then only those come that
    need no device.
    """
    page = _page(devices_only=home != session.info["home"])
    whose = {"queued": RunState.QUEUED.value, "home": home, "owner": owner, "host": host}
    for start, end in ((0, FIRST_PAGE), (FIRST_PAGE, EXPLAINED), (EXPLAINED, most)):
        if useless():
            rest = session.execute(_without_device(), {**whose, "most": most - start, "start": start})
            yield from map(Waiting._make, rest.all())
            return
        rows = session.execute(page, {**whose, "most": end - start, "start": start}).all()
        yield from map(Waiting._make, rows)
        if len(rows) < end - start or end >= most:
            return


@cache
def _page(*, devices_only: bool) -> Any:
    """Some of the waiting runs of one user in one home. Made once, as `_after_unfinished`."""
    query: Any = sa_select(*(getattr(Run, name) for name in Waiting._fields))
    whose = (col(Run.home) == bindparam("home"), col(Run.owner) == bindparam("owner"))
    query = query.where(col(Run.state) == bindparam("queued"), *whose, ~_after_unfinished())
    query = query.where(or_(col(Run.requested_host).is_(None), col(Run.requested_host) == bindparam("host")))
    if devices_only:
        query = query.where(col(Run.requested_device) != NO_DEVICE)
    query = query.order_by(col(Run.priority).desc(), col(Run.queued_at), col(Run.number))
    return query.limit(bindparam("most")).offset(bindparam("start"))


@cache
def _without_device() -> Any:
    """Of a page of this home, in its order, the runs that need no device."""
    found = _page(devices_only=False).subquery()
    columns = [found.c[name] for name in Waiting._fields]
    by = (found.c.priority.desc(), found.c.queued_at, found.c.number)
    return sa_select(*columns).where(found.c.requested_device == NO_DEVICE).order_by(*by)


def still_waiting(session: Session, runs: Sequence[Waiting]) -> set[int]:
    """The numbers of those runs that wait as they were read; their rows stay locked until the commit.

    On PostgreSQL a run that another daemon is taking just now is left out; on SQLite this transaction is alone anyhow.
    """
    query: Any = select(*(getattr(Run, name) for name in Waiting._fields))
    queued = (Run.state == RunState.QUEUED.value, ~_after_unfinished())
    query = query.where(col(Run.number).in_([run.number for run in runs]), *queued)
    found = {row.number: Waiting(*row) for row in session.exec(query.with_for_update(skip_locked=True, of=Run))}
    return {run.number for run in runs if run.number in found and run.same_request(found[run.number])}


@cache
def _after_unfinished() -> ColumnElement[bool]:
    """Runs that wait for others. Made once: it takes longer to make than to ask."""
    before = aliased(Run)
    return (
        exists(Dependency)
        .where(col(Dependency.run_id) == col(Run.id))
        .where(
            ~exists(before).where(col(before.id) == Dependency.after_id, col(before.state) == RunState.SUCCEEDED.value)
        )
    )


Updates = list[tuple[str, RunState | None, str]]  # run, the state it must take (None: it goes on waiting), a sentence


def to_settle(session: Session, hosts: Set[str]) -> Updates:
    """The updates of this home's runs that no host may start: those after other runs, and those for an absent host.

    hosts: where a daemon of this home lives.
    """
    return _after_others(session) + _for_absent(session, hosts)


def _for_absent(session: Session, hosts: Set[str]) -> Updates:
    columns: Any = (Run.id, Run.message, Run.requested_host)
    absent = (
        col(Run.requested_host).not_in(hosts),
        col(Run.requested_host) > "",
    )  # the second lets an index leave out NULL
    mine = no_index(session, Run.home) == session.info["home"]
    query: Any = select(*columns).where(Run.state == RunState.QUEUED.value, mine, *absent, ~_after_unfinished())
    updates: Updates = []
    for run_id, message, host in session.exec(query.order_by(col(Run.number)).limit(EXPLAINED)):
        sentence = (
            f"Waits for the host {host}, where no executor runs. Start one there, or submit the run without a host."
        )
        if message != sentence:
            updates.append((run_id, None, sentence))
    return updates


def _after_others(session: Session) -> Updates:
    before = aliased(Run)
    columns: Any = (Run.id, Run.message, Dependency.after_id, before.name, before.state)
    query: Any = (
        select(*columns)
        .join(Dependency, col(Dependency.run_id) == col(Run.id))
        .join(before, before.id == Dependency.after_id, isouter=True)
        .where(no_index(session, Run.state) == RunState.QUEUED.value, col(Run.id).in_(select(Dependency.run_id)))
        .where(Run.home == session.info["home"])
        .order_by(col(Run.number), before.number)
    )
    waits: dict[tuple[str, str | None], list[tuple[str | None, str]]] = {}
    for run_id, message, after_id, name, state in session.exec(query):
        if state != RunState.SUCCEEDED.value:
            waits.setdefault((run_id, message), []).append((state, name or after_id))
    updates: Updates = []
    for (run_id, message), unmet in waits.items():
        broken = next(((state, name) for state, name in unmet if state in _BROKEN), None)
        if broken:
            sentence = f"Cancelled: it was to run after “{broken[1]}”, which {_BROKEN[broken[0]]}."
            updates.append((run_id, RunState.CANCELLED, sentence))
            continue
        state, name = unmet[0]
        more = f" and {len(unmet) - 1} more" if len(unmet) > 1 else ""
        hint = ", which was stopped; resume or delete that" if state == RunState.STOPPED.value else ""
        sentence = f"Waits until “{name}”{more} {'have' if more else 'has'} succeeded{hint}."
        if message != sentence:
            updates.append((run_id, None, sentence))
    return updates


def settle(session: Session, updates: Updates) -> None:
    """Write the updates that `to_settle` gave."""
    states.explain(session, [(run_id, sentence) for run_id, state, sentence in updates if state is None])
    for run_id, state, sentence in updates:
        if state is None:
            continue
        queued = col(Run.state) == RunState.QUEUED.value
        values: dict[str, Any] = {
            "message": sentence,
            "desired_state": DesiredState.RUN.value,
            "ended_at": time.time(),
        }
        if states.move(session, run_id, state, queued, **values):
            run = session.exec(select(Run).where(Run.id == run_id)).one()
            audit.record(session, "cancelled", run, reason=sentence)
            session.expunge(run)
