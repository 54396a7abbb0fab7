"""Routes of a data set's revisions: list, add, compare, undo. Corrections change no file, so no path comes or goes."""

from __future__ import annotations

from imgcls_lab.schemas import RevisionEdit
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, number_of
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.store.registry import Datasets

NOUN = "revision"


class RevisionsHandler(ApiHandler):
    """All revisions of a data set, and the way to add one."""

    @permitted
    async def get(self, text: str) -> None:
        dataset_id = number_of(text, Datasets.noun)
        await self.answer(lambda store: store.revisions.list(dataset_id))

    @permitted
    async def post(self, text: str) -> None:
        dataset_id, edit = number_of(text, Datasets.noun), self.body(RevisionEdit)
        await self.answer(lambda store: store.revisions.add(dataset_id, edit), 201, "slow")


class RevisionHandler(ApiHandler):
    """What differs between a revision and its parent, or another revision."""

    @permitted
    async def get(self, text: str, revision: str) -> None:
        dataset_id, number = number_of(text, Datasets.noun), number_of(revision, NOUN)
        against = self.optional_whole("against")
        await self.answer(lambda store: store.revisions.diff(dataset_id, number, against), work="slow")


class UndoHandler(ApiHandler):
    """A revision that takes back what a revision changed."""

    @permitted
    async def post(self, text: str, revision: str) -> None:
        dataset_id, number = number_of(text, Datasets.noun), number_of(revision, NOUN)
        await self.answer(lambda store: store.revisions.undo(dataset_id, number), 201)


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/datasets/ID/revisions", RevisionsHandler, backend=backend),
        route("api/datasets/ID/revisions/ID", RevisionHandler, backend=backend),
        route("api/datasets/ID/revisions/ID/undo", UndoHandler, backend=backend),
    ]
