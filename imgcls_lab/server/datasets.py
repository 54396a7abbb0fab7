"""Routes of a data set's page: its audit and the problems that this found."""

from __future__ import annotations

from imgcls_lab.audits.results import KINDS
from imgcls_lab.schemas import AuditRequest, AuditView
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, check_reference, number_of, run_id_of
from imgcls_lab.server.paths import allowed_folder, allowed_model
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.store import Store
from imgcls_lab.store.registry import Datasets

MAX_PAGE = 1000
LEAKS = {"": None, "0": False, "1": True}


class DatasetHandler(ApiHandler):
    """Base of the routes below one data set."""

    def number(self, text: str) -> int:
        return number_of(text, Datasets.noun)


class AuditHandler(DatasetHandler):
    """The newest audit: how it stands, start one, stop it."""

    @permitted
    async def get(self, text: str) -> None:
        number = self.number(text)
        await self.answer(lambda store: store.audits.view(number))

    @permitted
    async def post(self, text: str) -> None:
        number, request = self.number(text), self.optional_body(AuditRequest)
        check_reference(request.model_id, "model")
        if request.run_id is not None:
            run_id_of(request.run_id)
        settings = self.backend.settings

        def start(store: Store) -> AuditView:
            allowed_folder(settings, store.datasets.get(number).root, "root")  # as at a submit
            if request.model_id is not None:
                allowed_model(settings, store.models.get(request.model_id).flavour, "flavour")
            return store.audits.start(number, request)

        await self.answer(start, 201, "slow")
        self.backend.wake_executor()

    @permitted
    async def delete(self, text: str) -> None:
        number = self.number(text)
        await self.answer(lambda store: store.audits.cancel(number))
        self.backend.wake_executor()


class ProblemsHandler(DatasetHandler):
    """A page of the problems that the newest audit found so far."""

    @permitted
    async def get(self, text: str) -> None:
        number = self.number(text)
        kind = self.choice("kind", ("", *KINDS), "") or None
        leak = LEAKS[self.choice("leak", LEAKS, "")]
        offset, limit = self.whole("offset", 0), self.whole("limit", 100, low=1, high=MAX_PAGE)
        await self.answer(lambda store: store.audits.problems(number, kind, leak=leak, offset=offset, limit=limit))


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/datasets/ID/audit", AuditHandler, backend=backend),
        route("api/datasets/ID/problems", ProblemsHandler, backend=backend),
    ]
