"""Several users' daemons on one database and one host, step by step on a simulated clock.

The store, the queue and the scheduler are the product's. Simulated are the time, the devices, and the runs, which take
as long as they are told. Used by the store's tests and by the acceptance test of fair share.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imgcls_lab.events import RunState
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.scheduler import Scheduler, TurnWatch
from imgcls_lab.schemas import SubmitRequest, UserEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.cluster import Cluster
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.verdict import Verdict

HOST = "host-a"
BEGIN = 1_800_000_000.0


@dataclass
class Person:
    """A user with a home, a daemon, and the runs that were submitted: id -> (length, submitted at)."""

    name: str
    store: Store
    own: ExecutorStore
    turns: TurnWatch
    runs: dict[str, tuple[float, float]] = field(default_factory=dict)
    away: bool = False  # its daemon does not look at the queue


@dataclass(frozen=True)
class Held:
    """A part of the time in which a run held a device."""

    user: str
    run: str
    device: str
    begin: float
    end: float


class Simulation:
    """One host with so many GPUs, and the users whose daemons share it."""

    def __init__(self, folder: Path, db_url: str, patch: pytest.MonkeyPatch, gpus: int = 4) -> None:
        self.now = BEGIN
        self.held: list[Held] = []
        self.started: dict[str, float] = {}
        self.people: dict[str, Person] = {}
        self._folder, self._db_url, self._patch = folder, db_url, patch
        self._devices = [Device(f"cuda:{n}", n, f"GPU {n}", "cuda", f"GPU-{n}") for n in range(gpus)]
        self._ends: list[tuple[float, str, str, int, tuple[str, ...]]] = []
        self._arrivals: list[tuple[float, int, Callable[[], None]]] = []
        self._stack = ExitStack()
        patch.setattr(time, "time", lambda: self.now)
        patch.setattr(os, "fsync", lambda _: None)  # no power fails in a simulation

    @classmethod
    @contextmanager
    def of(cls, folder: Path, db_url: str, patch: pytest.MonkeyPatch, gpus: int = 4) -> Iterator[Simulation]:
        simulation = cls(folder, db_url, patch, gpus)
        with simulation._stack:
            yield simulation

    def add(self, name: str, weight: float | None = None) -> Person:
        """A user whose daemon lives on the host."""
        self._become(name)
        settings = Settings(home=str(self._folder / name), db_url=self._db_url)
        store = self._stack.enter_context(Store.open(settings, migrate=True))
        own = ExecutorStore(store.database, settings, HOST, f"{name}-1", HeartbeatWatch(1e9))
        own.register()
        own.save_devices([device.row() for device in self._devices])
        self.people[name] = Person(name, store, own, TurnWatch(lambda: self.now))
        if weight is not None:
            admin = next(iter(self.people))
            self._become(admin)
            self.people[admin].store.users.edit(name, UserEdit(weight=weight))
        return self.people[name]

    def submit(self, name: str, length: float, **fields: object) -> str:
        self._become(name)
        person = self.people[name]
        config = {"root": "/data/digits", "model_flavour": "tiny"}
        run_id = person.store.runs.submit(SubmitRequest(config=config, **fields)).id
        person.runs[run_id] = (length, self.now)
        return run_id

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something at a time after the beginning."""
        heapq.heappush(self._arrivals, (BEGIN + seconds, len(self._arrivals), action))

    def run(self, until: float = float("inf")) -> None:
        """Until nothing happens any more, or a time after the beginning."""
        self._claim_all()
        while self._ends or self._arrivals:
            upcoming = min(events[0][0] for events in (self._ends, self._arrivals) if events)
            if upcoming > BEGIN + until:
                break
            self.now = upcoming
            while self._ends and self._ends[0][0] <= self.now:
                self._finish()
            while self._arrivals and self._arrivals[0][0] <= self.now:
                heapq.heappop(self._arrivals)[2]()
            self._claim_all()

    def device_seconds(self, begin: float, end: float) -> dict[str, float]:
        """By user, between two times after the beginning."""
        found = dict.fromkeys(self.people, 0.0)
        for part in self.held:
            found[part.user] += max(0.0, min(part.end, BEGIN + end) - max(part.begin, BEGIN + begin))
        return found

    def started_at(self, run_id: str) -> float:
        """Seconds after the beginning."""
        return self.started[run_id] - BEGIN

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _become(self, name: str) -> None:
        self._patch.setenv("JUPYTERHUB_USER", name)

    def _finish(self) -> None:
        _, name, run_id, attempt, _ = heapq.heappop(self._ends)
        assert self.people[name].own.finish(run_id, attempt, Verdict(RunState.SUCCEEDED)) is RunState.SUCCEEDED

    def _claim_all(self) -> None:
        """Each daemon takes what it may in turn, until none takes anything."""
        idle = 0
        people = [person for person in self.people.values() if not person.away]
        while idle < len(people) and self._free():
            person = people[0]
            people = [*people[1:], person]  # any of them may be the first to look
            idle = 0 if self.claim(person) else idle + 1

    def _free(self) -> int:
        return len(self._devices) - sum(len(devices) for *_, devices in self._ends)

    def claim(self, person: Person, most: int = attempts.AT_ONCE) -> list[attempts.Claim]:
        """One look of a daemon at the queue; what it takes."""
        self._become(person.name)

        def scheduler_of(cluster: Cluster, drivers: int) -> Scheduler:
            claimed = {name for host, name in cluster.claims if host == HOST}
            return Scheduler(cluster, self._devices, claimed, drivers, host=HOST, watch=person.turns)

        claims = person.own.claim(scheduler_of, most)
        for claim in claims:
            self._begin(person, claim)
        return claims

    def _begin(self, person: Person, claim: attempts.Claim) -> None:
        assert claim.run.id in person.runs, "a daemon takes no foreign run"
        length = person.runs[claim.run.id][0]
        for device in claim.devices:
            free = all(part.device != device or part.end <= self.now for part in self.held)
            assert free, "never two runs on one device"
            self.held.append(Held(person.name, claim.run.id, device, self.now, self.now + length))
        self.started.setdefault(claim.run.id, self.now)
        heapq.heappush(self._ends, (self.now + length, person.name, claim.run.id, claim.attempt, tuple(claim.devices)))


def ideal_start_of_last(
    work: Mapping[str, list[tuple[float, float]]], weights: Mapping[str, float], devices: int
) -> dict[str, float]:
    """When the last submitted run of each user starts if devices could be divided at will, by weight, at every moment.

    work: by user, the runs as (seconds after the beginning at which it was submitted, length), in order.
    """
    arrivals = sorted((at, user, length) for user, runs in work.items() for at, length in runs)
    before_last = {user: sum(length for _, length in runs) - runs[-1][1] for user, runs in work.items()}
    done, waiting, now = dict.fromkeys(work, 0.0), dict.fromkeys(work, 0.0), 0.0
    found: dict[str, float] = {}
    while len(found) < len(work):
        while arrivals and arrivals[0][0] <= now:
            _, user, length = arrivals.pop(0)
            waiting[user] += length
        for user in work:
            all_there = all(name != user for _, name, _ in arrivals)
            if user not in found and all_there and done[user] >= before_last[user] - 1e-6:
                found[user] = now
        active = [user for user in work if waiting[user] > 1e-6]
        total = sum(weights[user] for user in active)
        rates = {user: devices * weights[user] / total for user in active}
        steps = [arrivals[0][0] - now] if arrivals else []
        steps += [waiting[user] / rates[user] for user in active]
        left = {user: before_last[user] - done[user] for user in active if user not in found}
        steps += [left[user] / rates[user] for user in left if left[user] > 1e-6]
        if not steps:
            break
        step = min(steps)
        for user in active:
            done[user] += rates[user] * step
            waiting[user] -= rates[user] * step
        now += step
    return found
