"""Which devices of this host a waiting run gets. Called by the daemon, once a pass over the queue; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence, Set

from imgcls_lab.executor.devices import Device
from imgcls_lab.store.queue import NO_DEVICE, Fleet, Waiting, fits

MAX_DRIVERS = 8  # runs without a device at once on a host: each is a process of about 100 MB


class Placing:
    """One pass over the queue in its order. Asked for each run; what a run of several GPUs needs is kept for it.

    taken: devices that are held, by whomever; drivers: runs without a device that live here.
    """

    def __init__(self, fleet: Fleet, devices: Sequence[Device], taken: Set[str], drivers: int) -> None:
        self._fleet = fleet
        self._devices = devices
        self._taken = set(taken)
        self._drivers = drivers

    def __call__(self, run: Waiting) -> list[str] | str | None:
        """Device names for the run; or the sentence why it waits; or None where only another host can take it."""
        if run.device_wanted == NO_DEVICE:
            if self._drivers < MAX_DRIVERS:
                return []
            return f"Waits: {self._drivers} runs that start other runs live here already."
        if run.project_id not in self._fleet.full:
            found = self._find(run)
            if found is not None:
                return found
        return self._fleet.reason(run)

    def _find(self, run: Waiting) -> list[str] | None:
        usable = [d for d in self._devices if fits(run.device_wanted, d, gpus=self._fleet.has_gpu)]
        count = run.gpus_wanted if usable and usable[0].kind == "cuda" else 1
        if len(usable) < count:
            return None
        usable.sort(key=Device.used_by_others)  # stable: where nothing else holds memory, in their order
        free = [device.name for device in usable if device.name not in self._taken]
        if len(free) >= count:
            return free[:count]
        if count > 1:  # or runs of one GPU would take each that comes free, and it would wait for ever
            self._taken.update(free)
        return None
