"""The queue: which waiting runs a daemon may start, and why the others wait. Called by `ExecutorStore`.

A daemon starts the runs of its own home alone. Those of other homes on its host it only counts, so that it leaves a
device to the user whose turn it is (`fair_share.py`). All daemons read the same rows, so all find the same turn. The
only runs that are moved here are those that can never start, because a run before them did not succeed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import ColumnElement, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, exists, select

from imgcls_lab.events import LIVE, DesiredState, RunState
from imgcls_lab.plurals import counted
from imgcls_lab.store import audit, states
from imgcls_lab.store.database import no_index
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.fair_share import HeldDevice, Shares
from imgcls_lab.store.tables import Dependency, Device, DeviceClaim, Project, Run

LOOK_AHEAD = 1000  # waiting runs that are tried in one round
EXPLAINED = 100  # of them, those whose message says why they wait; of another home's, those that are tried
NO_DEVICE = "none"
_BROKEN = {RunState.FAILED.value: "failed", RunState.CANCELLED.value: "was cancelled", None: "was deleted"}


class Waiting(NamedTuple):
    """A waiting run: the columns that identify it and what it requests."""

    number: int
    id: str
    home: str
    owner: str
    project_id: int
    attempt: int
    priority: int
    queued_at: float
    message: str | None
    started_at: float | None
    requested_device: str
    requested_gpus: int
    requested_host: str | None


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
    found: list[str] = []
    query: Any = select(Run.owner).where(Run.state == RunState.QUEUED.value, Run.home == home)
    query = query.order_by(col(Run.home), col(Run.owner)).limit(1)
    last = session.exec(query).first()
    while last is not None:
        found.append(last)
        last = session.exec(query.where(col(Run.owner) > last)).first()
    return found


def waiting(session: Session, host: str, order: Order | None = None) -> Iterator[Waiting]:
    """The first runs that wait in this home, at most LOOK_AHEAD of each user, in the order of the queue.

    Without those that wait for another run or another host. A user's runs have the order of their priorities and
    times; `order` decides between users. With it, runs of other homes come in between while a device is free.
    """
    mine = session.info["home"]
    shares = order.shares if order is not None else None
    users = owners(session, mine)
    queues = [_pages(session, host, mine, owner, LOOK_AHEAD) for owner in users]
    if order is not None and (order.others or len(users) > 1):
        order.shares.waiting.update(users)
        queues += _of_others(session, host, order)
    if len(queues) == 1:
        yield from queues[0]
        return
    heads = {place: run for place, pages in enumerate(queues) if (run := next(pages, None)) is not None}
    while heads:
        place = min(heads, key=lambda place: _rank(heads[place], shares))
        run = heads.pop(place)
        if order is not None and run.home != mine and not order.has_free():
            continue  # of no use any more: nothing is left to be kept for it
        yield run
        if (following := next(queues[place], None)) is not None:
            heads[place] = following


def _of_others(session: Session, host: str, order: Order) -> list[Iterator[Waiting]]:
    """The queues of other homes, while a device is free; and note who waits there."""
    queues = []
    for home in order.others:
        names = owners(session, home)
        order.shares.waiting.update(names)
        if order.has_free():
            queues += [_pages(session, host, home, name, EXPLAINED) for name in names]
    return queues


def _rank(run: Waiting, shares: Shares | None) -> tuple[Any, ...]:
    within = (-run.priority, run.queued_at, run.number)
    return within if shares is None else (*shares.turn(run.owner, run.queued_at), *within)


def _pages(session: Session, host: str, home: str, owner: str, most: int) -> Iterator[Waiting]:
    """The waiting runs of one user in one home, read page by page: who takes the first has not read a thousand."""
    query: Any = select(*(getattr(Run, name) for name in Waiting._fields))
    query = query.where(Run.state == RunState.QUEUED.value, Run.home == home, Run.owner == owner, ~_after_unfinished())
    query = query.where(or_(col(Run.requested_host).is_(None), col(Run.requested_host) == host))
    if home != session.info["home"]:
        query = query.where(Run.requested_device != NO_DEVICE)
    query = query.order_by(col(Run.priority).desc(), col(Run.queued_at), col(Run.number))
    for start, end in ((0, EXPLAINED), (EXPLAINED, most)):
        page = session.exec(query.limit(end - start).offset(start)).all()
        yield from (Waiting(*row) for row in page)
        if len(page) < end - start or end >= most:
            return


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


class AnyDevice(Protocol):
    """The part of a device that decides whether a run can use it."""

    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str: ...


def fits(wanted: str, device: AnyDevice, *, gpus: bool) -> bool:
    """Whether a run that wants auto, cuda, cpu or a GPU of some name can use a device. gpus: some host has one."""
    if wanted == "auto":
        return device.kind == ("cuda" if gpus else "cpu")
    if wanted in ("cuda", "cpu"):
        return device.kind == wanted
    return device.kind == "cuda" and wanted.lower() in device.title.lower()


@dataclass
class Cluster:
    """The hosts where daemons of one home live, as the database shows them, and what is common to all homes."""

    hosts: set[str]  # whose executor lives
    devices: list[Device]
    claims: dict[tuple[str, str], str]  # (host, device) -> name of the run that holds it, in quotes
    full: dict[int, str] = field(default_factory=dict)  # project -> why its runs wait
    home: str = ""
    shares: Shares = field(default_factory=Shares)
    neighbours: dict[str, Cluster] = field(default_factory=dict)  # other homes whose daemons live on this host
    taken: list[HeldDevice] = field(default_factory=list)  # of all homes

    @classmethod
    def read(cls, session: Session, watch: HeartbeatWatch, host: str) -> Cluster:
        """As the daemon of this process's home on a host needs it."""
        home, alive = session.info["home"], watch.places(session, "alive")
        ordered = select(Device).order_by(Device.host, col(Device.position))
        devices = [row for row in session.exec(ordered) if (row.host, row.home) in alive]
        held = held_devices(session)
        several = len({claim.owner for claim in held}) > 1
        names = {
            (claim.host, claim.device): f"“{claim.run}”" + (f" of {claim.owner}" if several and claim.owner else "")
            for claim in held
        }
        shares = Shares.read(session, held, len({(row.host, row.name) for row in devices}))

        def of(which: str) -> Cluster:
            hosts = {where for where, whose in alive if whose == which}
            return cls(hosts, [row for row in devices if row.home == which], names, home=which)

        cluster = of(home)
        cluster.full, cluster.shares, cluster.taken = full_projects(session), shares, held
        cluster.neighbours = {whose: of(whose) for where, whose in sorted(alive) if where == host and whose != home}
        return cluster

    @property
    def has_gpu(self) -> bool:
        return any(device.kind == "cuda" for device in self.devices)

    @property
    def held(self) -> dict[tuple[str, str], str]:
        """(host, device) -> who holds it, our runs and others, a part of a sentence."""
        return {(row.host, row.name): row.held_by for row in self.devices if row.held_by} | self.claims

    def held_in(self, home: str) -> frozenset[HeldDevice]:
        """What the runs of a home hold."""
        return frozenset(claim for claim in self.taken if claim.home == home)

    def reason(self, run: Waiting, turn: str | None = None) -> str | None:
        """A sentence why a run waits; None where it can start.

        turn: the user for whom a device is kept.
        """
        if run.requested_device == NO_DEVICE:
            return None
        if run.project_id in self.full:
            return self.full[run.project_id]
        hosts = self.hosts if run.requested_host is None else {run.requested_host}
        usable = [d for d in self.devices if d.host in hosts and fits(run.requested_device, d, gpus=self.has_gpu)]
        gpu = run.requested_device not in ("auto", "cpu") or (run.requested_device == "auto" and self.has_gpu)
        count = run.requested_gpus if gpu else 1
        what = _what(run.requested_device, count) if gpu else "a CPU slot"
        most = max((sum(d.host == host for d in usable) for host in hosts), default=0)
        if most < count:
            return self._never(what, run, most, gpu=gpu)
        if turn is not None or len(self.shares.waiting) > 1:
            shared = self.shares.sentence(what, turn, run.owner)
            if shared is not None:
                return shared
        held = self.held
        free = [d for d in usable if (d.host, d.name) not in held]
        if max(sum(d.host == host for d in free) for host in hosts) >= count:
            return None
        holders = sorted({held[d.host, d.name] for d in usable if (d.host, d.name) in held})
        more = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
        also = f"{len(free)} free, but " if free else ""
        if not more and holders[0].endswith("."):
            return f"Waits for {what}: {also}{holders[0]}"
        return f"Waits for {what}: {also}{holders[0]}{more} {'are' if more else 'is'} running."

    def _never(self, what: str, run: Waiting, most: int, *, gpu: bool) -> str:
        where = (
            f"the host {run.requested_host}" if run.requested_host else "this machine" if len(self.hosts) < 2 else None
        )
        if most:
            return f"Waits for {what}: {where or 'no machine'} has {'only' if where else 'more than'} {most}."
        has = f"{where} has none" if where else "no machine has one"
        remedy = "Set device to auto or cpu" if gpu else "Set IMGCLS_CPU_SLOTS to 1 or more"
        return f"Waits for {what}: {has}. {remedy}, or start an executor on another machine."


def _what(wanted: str, count: int) -> str:
    name = "GPU" if wanted in ("auto", "cuda") else f"GPU named “{wanted}”"
    return f"a {name}" if count == 1 else f"{count} {name.replace('GPU', 'GPUs', 1)} of one host"


def held_devices(session: Session) -> list[HeldDevice]:
    """All devices that runs hold, of all hosts and homes."""
    columns: Any = (DeviceClaim.host, DeviceClaim.device, Run.name, Run.owner, Run.home, DeviceClaim.claimed_at)
    return [HeldDevice(*row) for row in session.exec(select(*columns).join(Run))]


def full_projects(session: Session, *, lock: int | None = None) -> dict[int, str]:
    """Projects that run as many runs as they may, and the sentence for their waiting ones.

    lock: a project whose row stays locked until the commit, so that two hosts do not both take its last place.
    """
    limited = select(Project).where(col(Project.max_running).is_not(None))
    if lock is not None:
        limited = limited.where(Project.id == lock).with_for_update()
    full = {}
    for project in session.exec(limited):
        running = select(func.count()).select_from(Run).where(
            Run.project_id == project.id, col(Run.state).in_(states.texts(LIVE)), Run.requested_device != NO_DEVICE,
            col(Run.external).is_(False),
        )  # fmt: skip
        limit = project.max_running or 0
        if project.id is not None and session.exec(running).one() >= limit:
            full[project.id] = (
                f"Waits: the project “{project.name}” runs {counted(limit, 'run')} at once."
                if limit
                else f"Waits: the project “{project.name}” is on hold (its limit is 0)."
            )
    return full


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
    for run_id, state, sentence in updates:
        if state is None:
            queued = col(Run.state) == RunState.QUEUED.value
            states.change_run(session, run_id, queued, message=sentence, recorded=False)
        else:
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
