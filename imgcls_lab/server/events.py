"""The route of the record of who did what."""

from __future__ import annotations

from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import MAX_ID, ApiHandler, run_id_of
from imgcls_lab.server.permissions import Route, permitted, route

MAX_EVENTS = 1000


class EventsHandler(ApiHandler):
    """Who did what, newest first."""

    @permitted
    async def get(self) -> None:
        run = self.get_query_argument("run", "")
        run_id = run_id_of(run) if run else None
        user = self.get_query_argument("user", "")[:200] or None
        since, before = self.optional_number("since"), self.whole("before", MAX_ID, low=1, high=MAX_ID)
        limit = self.whole("limit", 100, low=1, high=MAX_EVENTS)
        await self.answer(
            lambda store: store.events.list(run=run_id, user=user, since=since, before=before, limit=limit)
        )


def routes(backend: Backend) -> list[Route]:
    return [route("api/events", EventsHandler, backend=backend)]
