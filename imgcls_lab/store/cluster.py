"""What a daemon sees of all hosts: devices, who holds them, limits of projects, shares of users. Called by `queue`.

It says why a run waits. It decides nothing and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab.events import LIVE
from imgcls_lab.planning.processes import allowed_numbers
from imgcls_lab.plurals import counted
from imgcls_lab.store import states
from imgcls_lab.store.executors import HeartbeatWatch, PlacedDevice
from imgcls_lab.store.fair_share import HeldDevice, Shares
from imgcls_lab.store.tables import Device, DeviceClaim, Project, Run

NO_DEVICE = "none"
MANY_HOLDERS = 8  # more of them are not named: the sentence would change with each run that starts or ends


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
    min_gpus: int | None
    requested_nodes: int
    requested_host: str | None

    def same_request(self, other: Waiting) -> bool:
        """Whether it is the same run that requests the same; its message may differ."""
        return self._replace(message=None) == other._replace(message=None)


def gpu_numbers(run: Waiting) -> list[int]:
    """With how many GPUs a run may start, the largest number first."""
    return allowed_numbers(run.requested_gpus, run.min_gpus, run.requested_nodes)


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
class ProjectLimit:
    """How many runs a project may have at once, and how many it has."""

    name: str
    limit: int
    running: int

    def refusal(self) -> str | None:
        """The sentence for its waiting runs, where it runs as many as it may."""
        if self.running < self.limit:
            return None
        if not self.limit:
            return f"Waits: the project “{self.name}” is on hold (its limit is 0)."
        return f"Waits: the project “{self.name}” runs {counted(self.limit, 'run')} at once."


@dataclass(frozen=True)
class _Supply:
    """The devices of all hosts that runs of one kind can use. most, free: on the host that has most of them."""

    most: int
    free: int
    all_free: int
    holders: list[str]
    total: int


@dataclass
class Cluster:
    """The hosts where daemons of one home live, as the database shows them, and what is common to all homes."""

    hosts: set[str]  # whose executor lives
    devices: Sequence[PlacedDevice]
    claims: dict[tuple[str, str], str]  # (host, device) -> name of the run that holds it, in quotes
    limits: dict[int, ProjectLimit] = field(default_factory=dict)  # of the projects that have one
    home: str = ""
    shares: Shares = field(default_factory=Shares)
    neighbours: dict[str, Cluster] = field(default_factory=dict)  # other homes whose daemons live on this host
    taken: list[HeldDevice] = field(default_factory=list)  # of all homes
    _supplies: dict[tuple[str, str | None], _Supply] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def read(cls, session: Session, watch: HeartbeatWatch, host: str) -> Cluster:
        """As the daemon of this process's home on a host needs it."""
        home, alive = session.info["home"], watch.places(session, "alive")
        columns: Any = [getattr(Device, name) for name in PlacedDevice._fields]
        found = map(PlacedDevice._make, session.exec(select(*columns).order_by(Device.host, col(Device.position))))
        devices = [row for row in found if (row.host, row.home) in alive]
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
        cluster.limits, cluster.shares, cluster.taken = limited_projects(session), shares, held
        cluster.neighbours = {whose: of(whose) for where, whose in sorted(alive) if where == host and whose != home}
        return cluster

    @cached_property
    def has_gpu(self) -> bool:
        return any(device.kind == "cuda" for device in self.devices)

    @cached_property
    def held(self) -> dict[tuple[str, str], str]:
        """(host, device) -> who holds it, our runs and others, a part of a sentence."""
        return {(row.host, row.name): row.held_by for row in self.devices if row.held_by} | self.claims

    def held_in(self, home: str) -> frozenset[HeldDevice]:
        """What the runs of a home hold."""
        return frozenset(claim for claim in self.taken if claim.home == home)

    def refusal(self, run: Waiting) -> str | None:
        """A sentence where the run's project runs as many as it may."""
        limit = self.limits.get(run.project_id)
        return None if limit is None else limit.refusal()

    def reason(self, run: Waiting, turn: str | None = None) -> str | None:
        """A sentence why a run waits; None where it can start.

        turn: the user for whom a device is kept.
        """
        if run.requested_device == NO_DEVICE:
            return None
        refusal = self.refusal(run)
        if refusal is not None:
            return refusal
        gpu = run.requested_device not in ("auto", "cpu") or (run.requested_device == "auto" and self.has_gpu)
        count = gpu_numbers(run)[-1] if gpu else 1
        what = _what(run.requested_device, count) if gpu else "a CPU slot"
        supply = self._supply(run.requested_device, run.requested_host)
        if supply.most < count:
            return self._never(what, run, supply.most, gpu=gpu)
        if turn is not None or len(self.shares.waiting) > 1:
            shared = self.shares.sentence(what, turn, run.owner)
            if shared is not None:
                return shared
        if supply.free >= count:
            return None
        holders = supply.holders
        also = f"{supply.all_free} free, but " if supply.all_free else ""
        if len(holders) > MANY_HOLDERS:
            return f"Waits for {what}: {also}{'the others of' if also else 'all'} {supply.total} are in use."
        more = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
        if not more and holders[0].endswith("."):
            return f"Waits for {what}: {also}{holders[0]}"
        return f"Waits for {what}: {also}{holders[0]}{more} {'are' if more else 'is'} running."

    def _supply(self, wanted: str, host: str | None) -> _Supply:
        """What there is for runs of one kind. It is the same for all of them in one pass."""
        found = self._supplies.get((wanted, host))
        if found is None:
            hosts = self.hosts if host is None else {host}
            usable = [d for d in self.devices if d.host in hosts and fits(wanted, d, gpus=self.has_gpu)]
            free = Counter(d.host for d in usable if (d.host, d.name) not in self.held)
            found = self._supplies[wanted, host] = _Supply(
                most=max(Counter(d.host for d in usable).values(), default=0),
                free=max(free.values(), default=0),
                all_free=free.total(),
                holders=sorted({self.held[d.host, d.name] for d in usable if (d.host, d.name) in self.held}),
                total=len(usable),
            )
        return found

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


def limited_projects(session: Session, *, lock: Set[int] | None = None) -> dict[int, ProjectLimit]:
    """The projects that may run so many runs at once, by id.

    lock: only these, whose rows stay locked until the commit, so that two hosts do not both take the last place.
    """
    columns: Any = (Project.id, Project.name, Project.max_running)
    found: Any = select(*columns).where(col(Project.max_running).is_not(None)).order_by(col(Project.id))
    if lock is not None:
        found = found.where(col(Project.id).in_(lock)).with_for_update()
    limits = {number: ProjectLimit(name, limit, 0) for number, name, limit in session.exec(found)}
    if limits:
        counts = select(Run.project_id, func.count()).where(
            col(Run.project_id).in_(limits), col(Run.state).in_(states.texts(LIVE)), Run.requested_device != NO_DEVICE,
            col(Run.external).is_(False),
        )  # fmt: skip
        for number, running in session.exec(counts.group_by(col(Run.project_id))):
            limits[number].running = running
    return limits
