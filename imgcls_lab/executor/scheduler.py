"""Decides which devices of this host a waiting run gets. Called by the daemon for each waiting run; writes nothing."""

from __future__ import annotations

import copy
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Any

from imgcls_lab.executor.devices import Device
from imgcls_lab.planning.processes import nodes_for
from imgcls_lab.plurals import counted
from imgcls_lab.store.cluster import NO_DEVICE, Cluster, Waiting, fits, gpu_numbers
from imgcls_lab.store.executors import PlacedDevice

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


class _Pool:
    """The devices that runs of one kind can use, without those that others hold. `total`: how many."""

    def __init__(self, devices: Sequence[PlacedDevice | Device], foreign: Set[str]) -> None:
        self.has_gpus = bool(devices) and devices[0].kind == "cuda"
        self._names = deque(device.name for device in devices if device.name not in foreign)
        self.total = len(self._names)
        # of a cluster's nodes; a host that is one machine has none
        self._nodes = Counter(device.name.partition("/")[0] for device in devices if "/" in device.name)

    def lack(self, run: Waiting, number: int) -> str | None:
        """Why so many devices do not lie as the run needs them, equally many on each of its nodes; None: they do."""
        several = run.requested_nodes
        nodes = max(1, nodes_for(number, run.requested_gpus, several) if self.has_gpus else several)
        of_each = number // nodes if self.has_gpus else 1
        there = sum(found >= of_each for found in self._nodes.values())
        if there >= nodes or not self._nodes:
            return None
        if nodes == 1:
            most = max(self._nodes.values())
            return (
                f"Waits for {counted(number, 'GPU')} of one node: no node has more than {most}. Spread it over nodes "
                "by num_nodes, or lower num_processes."
            )
        each = f" with {counted(of_each, 'GPU')} each" if self.has_gpus else ""
        remedy = " To go on with fewer, stop it and resume it with min_processes." if self.has_gpus else ""
        return f"Waits for {counted(nodes, 'node')}{each}: the cluster has {there} now.{remedy}"

    def free(self, count: int, unavailable: Set[str], held: Set[str]) -> list[str]:
        """The first free ones, at most so many. What is not free now is not asked again: a pass frees no device."""
        free: list[str] = []
        while self._names and len(free) < count:
            name = self._names.popleft()
            if name not in unavailable and name not in held:
                free.append(name)
        self._names.extendleft(reversed(free))
        return free


class Scheduler:
    """One pass over the queue, in its order. What a run of several GPUs needs is kept free for it.

    unavailable: devices that no run can have now. drivers: live runs of this host that take no device. problem: what
    keeps all runs from starting, in sentences. The runs of other homes that come in between get devices as their
    daemons will give them; these are then kept for them.
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
        problem: str | None = None,
    ) -> None:
        # a pass counts what it gives
        self._cluster = replace(cluster, shares=copy.deepcopy(cluster.shares), limits=copy.deepcopy(cluster.limits))
        self._devices = devices
        self._unavailable = set(unavailable)
        claimed = {name for where, name in cluster.claims if where == host}
        self._foreign = self._unavailable - claimed  # held by other programs, nobody knows for how long
        self._free = {device.name for device in devices} - self._unavailable
        self._drivers = drivers
        self._host = host
        self._watch = watch or TurnWatch()
        self._problem = problem
        self._turn: str | None = None  # the user for whom a device was kept
        self._pools: dict[str, _Pool] = {}
        self.placed = 0  # runs that this pass has given a place
        self.shares = self._cluster.shares
        self.others = [*cluster.neighbours]

    def has_free(self) -> bool:
        return bool(self._free)

    def __call__(self, run: Waiting) -> list[str] | str | None:
        """The names of the run's devices, or the sentence why it waits, or None if only another host can take it.

        What a run gets counts as held from then on.
        """
        if run.home != self._cluster.home:
            self._keep(run)
            return None
        if self._problem is not None:
            return f"Waits. {self._problem}"
        if run.requested_device == NO_DEVICE:
            if self._drivers < MAX_DRIVERS:
                self._drivers += 1
                self.placed += 1
                return []
            return f"Waits: {self._drivers} runs that start other runs live here already."
        if (refusal := self._cluster.refusal(run)) is not None:
            return refusal
        pool = self._pool(run.requested_device)
        numbers = self._numbers(run, pool)
        if not numbers:
            least = gpu_numbers(run)[-1] if pool.has_gpus else 1
            return pool.lack(run, least) or self.shares.refusal(run.owner, least)
        found = self._find(pool, numbers)
        if found is None:
            return self._cluster.reason(run, self._turn)
        self._mark(found)
        self.placed += 1
        self.shares.give(run.owner, len(found))
        if run.project_id in self._cluster.limits:
            self._cluster.limits[run.project_id].running += 1
        return found

    def _pool(self, wanted: str) -> _Pool:
        """The devices for runs that want this; those that nobody else uses come first, in their order."""
        if wanted not in self._pools:
            usable = [device for device in self._devices if fits(wanted, device, gpus=self._cluster.has_gpu)]
            usable.sort(key=Device.used_by_others)
            self._pools[wanted] = _Pool(usable, self._foreign)
        return self._pools[wanted]

    def _keep(self, run: Waiting) -> None:
        """Keep the devices for a run of another home that its daemon can start now."""
        theirs = self._cluster.neighbours[run.home]
        here = [device for device in theirs.devices if device.host == self._host]
        usable = [device for device in here if fits(run.requested_device, device, gpus=theirs.has_gpu)]
        held = {device.name for device in here if (device.host, device.name) in theirs.held}
        foreign = {device.name for device in here if device.held_by}
        pool = _Pool(usable, self._foreign | foreign)
        numbers = self._numbers(run, pool)
        if self._cluster.refusal(run) is not None or not numbers:
            return
        found = self._find(pool, numbers, held)
        if found is not None:
            if not self._watch.keeps(run.home, self._cluster.held_in(run.home)):
                return
            self._mark(found)
            self.shares.give(run.owner, len(found))
            self._turn = self._turn or run.owner

    def _numbers(self, run: Waiting, pool: _Pool) -> list[int]:
        """With how many devices a run may start, as nodes and its owner's limits allow, the largest number first."""
        numbers = gpu_numbers(run) if pool.has_gpus else [1]
        placed = [number for number in numbers if pool.lack(run, number) is None]
        return [number for number in placed if self.shares.refusal(run.owner, number) is None]

    def _find(self, pool: _Pool, numbers: Sequence[int], held: Set[str] = frozenset()) -> list[str] | None:
        """Free ones of these devices, as many as the first number for which there are enough; None if there are not."""
        least = numbers[-1]
        if pool.total < least:  # what it lacks is not held by runs, which end: nothing is kept for it
            return None
        free = pool.free(numbers[0], self._unavailable, held)
        if len(free) >= least:
            return free[: next(number for number in numbers if number <= len(free))]
        if least > 1:  # or runs of one GPU would take each free GPU, and this run would wait for ever
            self._mark(free)
        return None

    def _mark(self, names: Sequence[str]) -> None:
        self._unavailable.update(names)
        self._free.difference_update(names)
