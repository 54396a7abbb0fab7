"""Keeps the drivers of sweeps beside the executor, whatever cluster their trials run on.

A driver computes nothing and lives as long as its trials. As a job it would hold a CPU of the cluster all that time,
and on a small cluster the very one that its trials wait for. So it is a process of the executor's host, and takes
nothing that a trial could wait for. All other runs are the cluster's.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from imgcls_lab import run_layout, run_paths
from imgcls_lab.events import RunKind
from imgcls_lab.executor.backends.base import OwnerState, OwnerStatus
from imgcls_lab.executor.backends.cluster import ClusterBackend
from imgcls_lab.executor.backends.launch import Argv, module_argv
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.devices import Device
from imgcls_lab.identity import Owner, ProcessIdentity
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run


class WithDriversHere:
    """A cluster whose sweeps are driven on this host; `argv` says what a driver is."""

    def __init__(self, settings: Settings, cluster: ClusterBackend, argv: Argv = module_argv) -> None:
        self.host, self.release_seconds = cluster.host, cluster.release_seconds
        self._settings = settings
        self._cluster = cluster
        self._here = LocalBackend(settings, argv, host=cluster.host)

    def devices(self, claimed: Set[str]) -> list[Device]:
        return self._cluster.devices(claimed)

    def holder(self, device: Device) -> str | None:
        return self._cluster.holder(device)

    def problem(self) -> str | None:
        return self._cluster.problem()

    def start(self, run: Run, attempt: int, devices: Sequence[Device]) -> Owner | None:
        backend = self._here if run.kind == RunKind.SWEEP.value else self._cluster
        return backend.start(run, attempt, devices)

    def find(self, run_id: str, attempt: int) -> Owner | None:
        return (self._here if self._is_here(run_id, attempt) else self._cluster).find(run_id, attempt)

    def status(self, owner: Owner, silent: float) -> OwnerStatus:
        """That of a driver on another host, where the executor lived before, is known by its heartbeat alone.

        A second driver cannot begin while the first lives: each holds the lock of the run's folder.
        """
        if not isinstance(owner, ProcessIdentity):
            return self._cluster.status(owner, silent)
        if owner.status() == "unknown":
            return OwnerStatus(OwnerState.RUNNING if silent < self._settings.lease else OwnerState.GONE)
        return self._here.status(owner, silent)

    def ask_to_stop(self, owner: Owner, tag: str) -> str | None:
        backend = self._here if isinstance(owner, ProcessIdentity) else self._cluster
        return backend.ask_to_stop(owner, tag)

    def clear(self, run_id: str, attempt: int) -> list[str]:
        return (self._here if self._is_here(run_id, attempt) else self._cluster).clear(run_id, attempt)

    def reap(self) -> None:
        self._here.reap()
        self._cluster.reap()

    def close(self) -> None:
        self._here.close()
        self._cluster.close()

    def _is_here(self, run_id: str, attempt: int) -> bool:
        """Whether an attempt was started as a process, by the note in its folder; False where none was started."""
        try:
            launch = run_paths.read_json(self._settings.run_dir(run_id), run_layout.launch_name(attempt))
            return isinstance(launch, dict) and "scheduler" not in launch
        except (OSError, ValueError):
            return False
