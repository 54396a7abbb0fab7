"""Decides which devices of this host a waiting run gets. Called by the daemon for each waiting run; writes nothing."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Any

from imgcls_lab.executor.devices import Device
from imgcls_lab.store.queue import NO_DEVICE, Cluster, Waiting, fits

MAX_DRIVERS = 8  # sweep drivers at once on a host: they take no device, and each is a process of about 100 MB
PATIENCE = 10.0  # seconds that a device is kept for another home's daemon that does not take it
RESENTMENT = 60.0  # seconds for which nothing is kept for a daemon that did not take what was kept


class TurnWatch:
    """How long other homes' daemons have left devices alone that were kept for them, by this process's clock.

    A daemon that lives may still not be able to use a device; it then must not keep it from everybody.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[Set[Any], float, float]] = {}  # home -> what it held, since when, last time

    def keeps(self, home: str, held: Set[Any]) -> bool:
        """Whether a device may be kept for a home. held: identifies what the home holds now."""
        now = self._clock()
        before, since, last = self._kept.get(home, (held, now, now))
        waited = now - since
        if before != held or waited > RESENTMENT or (waited <= PATIENCE and now - last > PATIENCE / 2):
            since = now  # it has taken or freed one, or nothing was kept for it meanwhile
        self._kept[home] = (held, since, now)
        return now - since <= PATIENCE


class Scheduler:
    """One pass over the queue, in its order. What a run of several GPUs needs is kept free for it.

    unavailable: devices that no run can have now. drivers: live runs of this host that take no device. The runs of
    other homes that come in between get devices as their daemons will give them; these are then kept for them.
    """

    def __init__(
        self,
        cluster: Cluster,
        devices: Sequence[Device],
        unavailable: Set[str],
        drivers: int,
        *,
        host: str,
        watch: TurnWatch | None = None,
    ) -> None:
        self._cluster = replace(cluster, shares=copy.deepcopy(cluster.shares))  # a pass counts what it gives
        self._devices = devices
        self._unavailable = set(unavailable)
        claimed = {name for where, name in cluster.claims if where == host}
        self._foreign = self._unavailable - claimed  # held by other programs, nobody knows for how long
        self._drivers = drivers
        self._host = host
        self._watch = watch or TurnWatch()
        self._turn: str | None = None  # the user for whom a device was kept
        self.shares = self._cluster.shares
        self.others = [*cluster.neighbours]

    def has_free(self) -> bool:
        return any(device.name not in self._unavailable for device in self._devices)

    def __call__(self, run: Waiting) -> list[str] | str | None:
        """The names of the run's devices, or the sentence why it waits, or None if only another host can take it."""
        if run.home != self._cluster.home:
            self._keep(run)
            return None
        if run.requested_device == NO_DEVICE:
            if self._drivers < MAX_DRIVERS:
                return []
            return f"Waits: {self._drivers} runs that start other runs live here already."
        if run.project_id in self._cluster.full:
            return self._cluster.full[run.project_id]
        usable = [d for d in self._devices if fits(run.requested_device, d, gpus=self._cluster.has_gpu)]
        count = run.requested_gpus if usable and usable[0].kind == "cuda" else 1
        refusal = self.shares.refusal(run.owner, count)
        if refusal is not None:
            return refusal
        usable.sort(key=Device.used_by_others)  # a stable sort: devices that nobody else uses stay in their order
        found = self._take([device.name for device in usable], count)
        return found if found is not None else self._cluster.reason(run, self._turn)

    def _keep(self, run: Waiting) -> None:
        """Keep the devices for a run of another home that its daemon can start now."""
        theirs = self._cluster.neighbours[run.home]
        here = [device for device in theirs.devices if device.host == self._host]
        usable = [device for device in here if fits(run.requested_device, device, gpus=theirs.has_gpu)]
        count = run.requested_gpus if usable and usable[0].kind == "cuda" else 1
        if run.project_id in self._cluster.full or self.shares.refusal(run.owner, count) is not None:
            return
        held = {device.name for device in here if (device.host, device.name) in theirs.held}
        foreign = {device.name for device in here if device.held_by}
        found = self._take([device.name for device in usable if device.name not in foreign], count, held)
        if found is not None:
            if not self._watch.keeps(run.home, self._cluster.held_in(run.home)):
                return
            self._unavailable.update(found)
            self.shares.give(run.owner, count)
            self._turn = self._turn or run.owner

    def _take(self, usable: Sequence[str], count: int, held: Set[str] = frozenset()) -> list[str] | None:
        """So many free ones of these devices; None if there are not enough."""
        usable = [name for name in usable if name not in self._foreign]
        if len(usable) < count:  # what it lacks is not held by runs, which end: nothing is kept for it
            return None
        free = [name for name in usable if name not in self._unavailable and name not in held]
        if len(free) >= count:
            return free[:count]
        if count > 1:  # or runs of one GPU would take each free GPU, and this run would wait for ever
            self._unavailable.update(free)
        return None
