"""Routes of a data set's revisions: list, add, compare with one another or with a run's corrections, undo.

Corrections change no file, so no path comes or goes.
"""

from __future__ import annotations

from imgcls_lab.schemas import RevisionDiff, RevisionEdit, RevisionView
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, number_of, run_id_of
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.server.thumbnails import check_shown
from imgcls_lab.store import Store
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

        def add(store: Store) -> RevisionView:
            check_shown(store.settings, store.datasets.root_of(dataset_id))  # without a scan its files are hashed
            return store.revisions.add(dataset_id, edit)

        await self.answer(add, 201, "slow")


class RevisionHandler(ApiHandler):
    """What differs between a revision and its parent, or another revision."""

    @permitted
    async def get(self, text: str, revision: str) -> None:
        dataset_id, number = number_of(text, Datasets.noun), number_of(revision, NOUN)
        against = self.optional_whole("against")

        def diff(store: Store) -> RevisionDiff:
            check_shown(store.settings, store.datasets.root_of(dataset_id))  # it says which files are still there
            return store.revisions.diff(dataset_id, number, against)

        await self.answer(diff, work="slow")


class SinceHandler(ApiHandler):
    """What the newest revision changes against the corrections that a run trained with."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)

        def since(store: Store) -> RevisionDiff:
            dataset_id = store.runs.get(run_id).dataset_id
            if dataset_id is not None:
                check_shown(store.settings, store.datasets.root_of(dataset_id))  # it says which files are still there
            return store.revisions.since(run_id)

        await self.answer(since, work="slow")


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
        route("api/runs/ID/corrections", SinceHandler, backend=backend),
    ]
