"""The devices of a backend for the daemon: what there is, which processes hold it, and what a run may have now.

Called by the daemon. Writes devices and their processes into the database for the devices page. The claim itself, which
makes two runs on one device impossible, is a row of the claiming transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.gpu_processes import GpuProcessTracker, largest_other
from imgcls_lab.settings import Settings
from imgcls_lab.store.cluster import Cluster
from imgcls_lab.store.executor_store import ExecutorStore


class DeviceInventory:
    """The devices of one backend. `devices`: as of the last update."""

    def __init__(self, settings: Settings, backend: Backend) -> None:
        self._settings = settings
        self._backend = backend
        self._tracker: GpuProcessTracker | None = None
        self._saved: dict[str, dict[str, Any]] = {}  # rows that were written last, by name
        self.devices: list[Device] = []
        self._by_name: dict[str, Device] = {}

    def update(self, store: ExecutorStore) -> None:
        """Read the devices and write them down. Raises StoreError."""
        claimed = store.claimed_devices()
        if self._tracker is None:  # an earlier daemon has seen since when
            self._tracker = GpuProcessTracker(store.saved_holders())
        self.devices = []
        for device in self._backend.devices(claimed):
            processes, utilisation = (device.gpu.processes, device.gpu.utilisation) if device.gpu else ((), None)
            known = replace(device, gpu_processes=self._tracker.update(device.name, processes, utilisation))
            self.devices.append(replace(known, held_by=self._held_by(known, claimed)))
        self._by_name = {device.name: device for device in self.devices}
        self._save(store)

    def named(self, names: Collection[str]) -> list[Device]:
        """These devices, as far as they are still there, in the order of all."""
        found = [self._by_name[name] for name in names if name in self._by_name]
        return sorted(found, key=lambda device: device.position)

    def _save(self, store: ExecutorStore) -> None:
        """Write what is not as it was written last: a cluster has thousands of devices, and few of them change."""
        rows = {device.name: device.row() for device in self.devices}
        changed = {name for name, row in rows.items() if self._saved.get(name) != row} | self._saved.keys() - rows
        if not self._saved or store.devices_saved() != len(self._saved):  # another daemon, or a database made anew
            store.save_devices([*rows.values()])
        elif changed:
            store.save_devices([row for name, row in rows.items() if name in changed], changed)
        self._saved = rows

    def unavailable(self, everywhere: Cluster) -> set[str]:
        """Devices that no run can have now."""
        claimed = {name for host, name in everywhere.claims if host == self._backend.host}
        held = {device.name for device in self.devices if self._backend.holder(device) or self._is_full(device)}
        return claimed | held

    def _held_by(self, device: Device, claimed: set[str]) -> str | None:
        """Who keeps a device from our runs, for a sentence. None: nobody, or a run of ours."""
        if device.held_by is not None or device.name in claimed:
            return device.held_by
        if (holder := self._backend.holder(device)) is not None:
            return holder
        return largest_other(device.gpu_processes) if self._is_full(device) else None

    def _is_full(self, device: Device) -> bool:
        """Whether other programs hold so much memory that a run would hardly fit."""
        return device.used_by_others() > self._settings.gpu_others
