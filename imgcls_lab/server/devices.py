"""Routes of the executor: devices and their processes, users who share them, alerts, and the start of a daemon."""

from __future__ import annotations

from imgcls_lab.executor import load_history
from imgcls_lab.schemas import AlertIds
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, to_json
from imgcls_lab.server.kernel_lookup import without_notebooks
from imgcls_lab.server.permissions import SESSIONS, Route, permitted, route


class DevicesHandler(ApiHandler):
    """Executors and devices."""

    @permitted
    async def get(self) -> None:
        await self.backend.kernels.refresh()
        named = await self.may(SESSIONS)
        reply = await self.backend.ask(self.backend.kernels.devices)
        self.reply(to_json(reply if named else without_notebooks(reply)))


class AlertsHandler(ApiHandler):
    """The newest alerts."""

    @permitted
    async def get(self) -> None:
        limit = self.whole("limit", 100, low=1, high=1000)
        await self.answer(lambda store: store.alerts.list(limit))


class AlertsDismissHandler(ApiHandler):
    """Put alerts away for this user."""

    @permitted
    async def post(self) -> None:
        ids = self.body(AlertIds).ids
        await self.answer(lambda store: store.alerts.dismiss(ids))


class AlertsRestoreHandler(ApiHandler):
    """Take that back."""

    @permitted
    async def post(self) -> None:
        ids = self.body(AlertIds).ids
        await self.answer(lambda store: store.alerts.restore(ids))


class UsersHandler(ApiHandler):
    """The users of the database, their parts of the devices and their limits."""

    @permitted
    async def get(self) -> None:
        await self.answer(lambda store: store.users.list())


class ExecutorStartHandler(ApiHandler):
    """Start the executor, where none runs."""

    @permitted
    async def post(self) -> None:
        named = await self.may(SESSIONS)
        reply = await self.backend.start_executor()
        self.reply(to_json(reply if named else without_notebooks(reply)))


class ExecutorStopHandler(ApiHandler):
    """End the executor of this host; its runs go on."""

    @permitted
    async def post(self) -> None:
        named = await self.may(SESSIONS)
        reply = await self.backend.stop_executor()
        self.reply(to_json(reply if named else without_notebooks(reply)))


class LoadHandler(ApiHandler):
    """Load and memory of this home's machines and devices over the last hour."""

    @permitted
    async def get(self) -> None:
        self.reply(to_json(await self.backend.run(lambda: load_history.read(self.backend.settings))))


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/devices", DevicesHandler, backend=backend),
        route("api/users", UsersHandler, backend=backend),
        route("api/alerts", AlertsHandler, backend=backend),
        route("api/devices/load", LoadHandler, backend=backend),
        route("api/alerts/dismiss", AlertsDismissHandler, backend=backend),
        route("api/alerts/restore", AlertsRestoreHandler, backend=backend),
        route("api/executor/start", ExecutorStartHandler, backend=backend),
        route("api/executor/stop", ExecutorStopHandler, backend=backend),
    ]
