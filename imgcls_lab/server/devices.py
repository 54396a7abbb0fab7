"""Routes of the executor: devices and their processes, alerts, and the start of a daemon."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado import web

from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import PREFIX, ApiHandler, Route, to_json


class DevicesHandler(ApiHandler):
    """Executors and devices."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        await self.backend.kernels.refresh()
        await self.answer(self.backend.kernels.devices)


class AlertsHandler(ApiHandler):
    """The newest alerts."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        limit = self.whole("limit", 100, low=1, high=1000)
        await self.answer(lambda store: store.alerts.list(limit))


class ExecutorStartHandler(ApiHandler):
    """Start the executor, where none runs."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        self.reply(to_json(await self.backend.start_executor()))


def routes(backend: Backend) -> list[Route]:
    arguments = {"backend": backend}
    return [
        (rf"{PREFIX}/devices", DevicesHandler, arguments),
        (rf"{PREFIX}/alerts", AlertsHandler, arguments),
        (rf"{PREFIX}/executor/start", ExecutorStartHandler, arguments),
    ]
