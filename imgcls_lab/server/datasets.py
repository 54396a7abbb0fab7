"""Routes of a data set's page: its audit and the problems that this found."""

from __future__ import annotations

from typing import cast, get_args

from imgcls_lab.audits.results import KINDS
from imgcls_lab.image_table import SPLITS, Order
from imgcls_lab.schemas import AuditRequest, AuditView
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, check_reference, number_of, run_id_of
from imgcls_lab.server.paths import allowed_folder, allowed_model
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.store import Store
from imgcls_lab.store.dataset_pages import ImageFilter
from imgcls_lab.store.registry import Datasets

MAX_PAGE = 1000
LEAKS = {"": None, "0": False, "1": True}


class DatasetHandler(ApiHandler):
    """Base of the routes below one data set."""

    def number(self, text: str) -> int:
        return number_of(text, Datasets.noun)

    def revision(self) -> int | None:
        """That of the query; None: the newest."""
        number = self.optional_whole("revision")
        check_reference(number or None, "revision")
        return number


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


class DetailHandler(DatasetHandler):
    """All that the page shows at first."""

    @permitted
    async def get(self, text: str) -> None:
        number, revision = self.number(text), self.revision()
        await self.answer(lambda store: store.dataset_pages.detail(number, revision))


class ImagesHandler(DatasetHandler):
    """A page of the images."""

    @permitted
    async def get(self, text: str) -> None:
        number, revision = self.number(text), self.revision()
        wanted = ImageFilter(
            split=self.choice("split", ("", *SPLITS), "") or None,
            label=self.get_query_argument("label", "", strip=False) or None,
            text=self.get_query_argument("q", "")[:MAX_NAME] or None,
            sort=cast(Order, self.choice("sort", get_args(Order), "name")),
            descending=self.choice("order", ("asc", "desc"), "asc") == "desc",
        )
        offset, limit = self.whole("offset", 0), self.whole("limit", 200, low=1, high=MAX_PAGE)
        await self.answer(
            lambda store: store.dataset_pages.images(number, wanted, offset=offset, limit=limit, revision=revision)
        )


class MapHandler(DatasetHandler):
    """The map of the newest audit."""

    @permitted
    async def get(self, text: str) -> None:
        number = self.number(text)
        await self.answer(lambda store: store.dataset_pages.map_json(number), work="slow")


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/datasets/ID/detail", DetailHandler, backend=backend),
        route("api/datasets/ID/images", ImagesHandler, backend=backend),
        route("api/datasets/ID/map", MapHandler, backend=backend),
        route("api/datasets/ID/audit", AuditHandler, backend=backend),
        route("api/datasets/ID/problems", ProblemsHandler, backend=backend),
    ]
