"""The backends beside the daemon's own where runs of its home live: they are watched to their end, and get no more.

Kernels and shells train on this host whatever the backend is. And `IMGCLS_BACKEND` may have been changed while runs
lived: each stays where it began, which its row names as its host. Called by the daemon.
"""

from __future__ import annotations

import logging

from imgcls_lab.executor import backends
from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.identity import host_name
from imgcls_lab.settings import BACKENDS, Settings
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.tables import Attempt, Run

log = logging.getLogger(__name__)

Found = tuple[ExecutorStore, Backend, Run, Attempt]


class OtherBackends:
    """By the host under which their runs stand. own: that of the daemon's backend."""

    def __init__(self, settings: Settings, own: str) -> None:
        self._settings = settings
        self._own = own
        self._backends: dict[str, Backend] = {}
        if own != host_name():
            self._backends[host_name()] = LocalBackend(settings)

    def update(self, store: ExecutorStore) -> None:
        """Look where runs of this home live, and let go where none does any more. Raises StoreError."""
        hosts = store.unattended_hosts()
        for host in [*self._backends]:
            if host in BACKENDS and host not in hosts:
                self._backends.pop(host).close()
        for host in sorted(hosts & {*BACKENDS} - {self._own, *self._backends}):
            self._backends[host] = backends.of(self._settings.with_backend(host))
            runs = store.at(host).live_runs()
            names = ", ".join(run.id for run, _ in runs[:10]) + (" ..." if len(runs) > 10 else "")
            log.warning(
                "Runs of before live on %s (%s), and IMGCLS_BACKEND is %s now. These are watched to their end there; "
                "new ones start here. Leave set what reaches %s until then.",
                host, names, self._settings.backend, host,
            )  # fmt: skip

    def live_runs(self, store: ExecutorStore) -> list[Found]:
        """Their live runs. Raises StoreError."""
        found: list[Found] = []
        for host, backend in self._backends.items():
            there = store.at(host)
            found += [(there, backend, run, attempt) for run, attempt in there.live_runs()]
        return found

    def reap(self) -> None:
        for backend in self._backends.values():
            backend.reap()

    def close(self) -> None:
        for backend in self._backends.values():
            backend.close()
