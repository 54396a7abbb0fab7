"""Routes of a saved config's versions."""

from __future__ import annotations

from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, number_of
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.store.registry import Configs


class VersionsHandler(ApiHandler):
    """All versions, the newest first."""

    @permitted
    async def get(self, text: str) -> None:
        number = number_of(text, Configs.noun)
        await self.answer(lambda store: store.configs.versions(number))


class RestoreHandler(ApiHandler):
    """Make an older version the newest; the answer is the config."""

    @permitted
    async def post(self, text: str, version: str) -> None:
        number, wanted = number_of(text, Configs.noun), number_of(version, "version")
        await self.answer(lambda store: store.configs.restore(number, wanted))


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/configs/ID/versions", VersionsHandler, backend=backend),
        route("api/configs/ID/versions/ID/restore", RestoreHandler, backend=backend),
    ]
