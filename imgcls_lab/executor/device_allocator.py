"""The devices of this host as the daemon deals them out: what is there, who holds what, what a run may have now.

Called by the daemon on its rounds. Devices and their holders go into the database for the device page; the claim
itself, which makes two runs on one device impossible, is a row of the claiming transaction.
"""

from __future__ import annotations

from dataclasses import replace

from sqlmodel import select

from imgcls_lab.executor import locks
from imgcls_lab.executor.devices import OTHERS, Device, DeviceProbe
from imgcls_lab.executor.gpu_processes import Holders, largest_holder
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, executors, tables
from imgcls_lab.store.queue import Fleet
from imgcls_lab.store.tables import DeviceClaim


class Arbiter:
    """`devices`: as of the last look."""

    def __init__(self, settings: Settings, host: str, probe: DeviceProbe) -> None:
        self._settings = settings
        self._host = host
        self._probe = probe
        self._holders: Holders | None = None
        self.devices: list[Device] = []

    def look(self, store: Store) -> None:
        """See what is there and write it down. Raises StoreError."""
        with store.read() as session:
            ours = set(session.exec(select(DeviceClaim.device).where(DeviceClaim.host == self._host)).all())
            if self._holders is None:  # since when, an earlier daemon has seen
                seen = session.exec(select(tables.Device.holders).where(tables.Device.host == self._host)).all()
                self._holders = Holders([row for rows in seen for row in rows])
        self.devices = []
        for device in self._probe.look():
            rows = self._holders.look(device.name, device.processes, device.utilisation)
            known = replace(device, holders=rows)
            self.devices.append(replace(known, held_by=self._held_by(known, ours)))
        with store.write() as session:
            executors.save_devices(session, self._host, [device.row() for device in self.devices])

    def taken(self, everywhere: Fleet) -> set[str]:
        """Devices that no run can have now."""
        claimed = {name for host, name in everywhere.claims if host == self._host}
        return claimed | {device.name for device in self.devices if self._is_locked(device) or self._is_full(device)}

    def _held_by(self, device: Device, ours: set[str]) -> str | None:
        """Who keeps a device from our runs, part of a sentence; None: nobody, or a run of ours."""
        if device.held_by is not None or device.name in ours:
            return device.held_by
        if self._is_locked(device):
            return OTHERS
        return largest_holder(device.holders) if self._is_full(device) else None

    def _is_locked(self, device: Device) -> bool:
        return locks.is_locked(device.lock(self._settings))

    def _is_full(self, device: Device) -> bool:
        """Whether so much memory is held by other programs that a run would hardly fit."""
        return device.used_by_others() > self._settings.gpu_others
