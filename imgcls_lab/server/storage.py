"""Routes of the home's storage: what each part takes, and freeing what can be freed.

A measurement takes a thread for seconds in a big home. So there is one at a time, and its result answers for a while.
"""

from __future__ import annotations

import asyncio
import time

from imgcls_lab import home_storage
from imgcls_lab.schemas import FreedSpace, FreeRequest, StorageView
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, to_json
from imgcls_lab.server.jobs import Progress
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.store import Store

FRESH = 60.0  # seconds for which a measurement answers
AT_LEAST = 20.0  # and at least so many times what it took


class Measured:
    """The newest measurement of one server."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._alone = asyncio.Lock()
        self._view: StorageView | None = None
        self._until = 0.0

    async def view(self) -> StorageView:
        async with self._alone:
            if self._view is None or time.monotonic() > self._until:
                self._view = await self._backend.ask(home_storage.measure, "slow")
                self._until = time.monotonic() + max(FRESH, AT_LEAST * self._view.took)
            return self._view

    def forget(self) -> None:
        """Something was freed: measure anew when it is asked for."""
        self._until = 0.0


class _OfStorage(ApiHandler):
    def initialize(self, backend: Backend, measured: Measured) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.measured = measured


class StorageHandler(_OfStorage):
    """The parts of the home with their sizes, as they were measured last."""

    @permitted
    async def get(self) -> None:
        self.reply(to_json(await self.measured.view()))


class FreeHandler(_OfStorage):
    """Free what can be freed of one part; the answer is the task."""

    @permitted
    async def post(self) -> None:
        kind = self.body(FreeRequest).kind
        home_storage.check_free(kind)

        def work(store: Store, progress: Progress) -> FreedSpace:
            try:
                return home_storage.free(store, kind, progress)
            finally:
                self.measured.forget()

        self.reply(to_json(self.backend.jobs.start("free", home_storage.TITLES[kind], work)), 202)


def routes(backend: Backend) -> list[Route]:
    measured = Measured(backend)
    return [
        route("api/storage", StorageHandler, backend=backend, measured=measured),
        route("api/storage/free", FreeHandler, backend=backend, measured=measured),
    ]
