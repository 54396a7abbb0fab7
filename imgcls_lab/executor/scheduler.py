"""Decides which devices of this host a waiting run gets. Called by the daemon for each waiting run; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence, Set

from imgcls_lab.executor.devices import Device
from imgcls_lab.store.queue import NO_DEVICE, Cluster, Waiting, fits

MAX_DRIVERS = 8  # sweep drivers at once on a host: they take no device, and each is a process of about 100 MB


class Scheduler:
    """One pass over the queue, in its order. What a run of several GPUs needs is kept free for it.

    unavailable: devices that no run can have now. drivers: live runs of this host that take no device.
    """

    def __init__(self, cluster: Cluster, devices: Sequence[Device], unavailable: Set[str], drivers: int) -> None:
        self._cluster = cluster
        self._devices = devices
        self._unavailable = set(unavailable)
        self._drivers = drivers

    def __call__(self, run: Waiting) -> list[str] | str | None:
        """The names of the run's devices, or the sentence why it waits, or None if only another host can take it."""
        if run.requested_device == NO_DEVICE:
            if self._drivers < MAX_DRIVERS:
                return []
            return f"Waits: {self._drivers} runs that start other runs live here already."
        if run.project_id not in self._cluster.full:
            found = self._free_devices(run)
            if found is not None:
                return found
        return self._cluster.reason(run)

    def _free_devices(self, run: Waiting) -> list[str] | None:
        usable = [d for d in self._devices if fits(run.requested_device, d, gpus=self._cluster.has_gpu)]
        count = run.requested_gpus if usable and usable[0].kind == "cuda" else 1
        if len(usable) < count:
            return None
        usable.sort(key=Device.used_by_others)  # a stable sort: devices that nobody else uses stay in their order
        free = [device.name for device in usable if device.name not in self._unavailable]
        if len(free) >= count:
            return free[:count]
        if count > 1:  # or runs of one GPU would take each free GPU, and this run would wait for ever
            self._unavailable.update(free)
        return None
