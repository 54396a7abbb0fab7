"""Routes of the views of the list of runs that a user has saved."""

from __future__ import annotations

from imgcls_lab.schemas import SavedViewEdit
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, number_of
from imgcls_lab.server.permissions import Route, permitted, route


class ViewsHandler(ApiHandler):
    """All of the user's, and a new one."""

    @permitted
    async def get(self) -> None:
        await self.answer(lambda store: store.views.list())

    @permitted
    async def post(self) -> None:
        edit = self.body(SavedViewEdit)
        await self.answer(lambda store: store.views.save(edit), 201)


class ViewCountsHandler(ApiHandler):
    """How many runs each of them finds."""

    @permitted
    async def get(self) -> None:
        await self.answer(lambda store: store.views.counts())


class ViewHandler(ApiHandler):
    """One."""

    @permitted
    async def patch(self, text: str) -> None:
        number, edit = number_of(text, "view"), self.body(SavedViewEdit)
        await self.answer(lambda store: store.views.save(edit, number))

    @permitted
    async def delete(self, text: str) -> None:
        number = number_of(text, "view")
        await self.answer(lambda store: store.views.delete(number))


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/views", ViewsHandler, backend=backend),
        route("api/views/counts", ViewCountsHandler, backend=backend),
        route("api/views/ID", ViewHandler, backend=backend),
    ]
