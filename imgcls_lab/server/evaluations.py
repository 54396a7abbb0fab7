"""Routes of what a run's predictions say: evaluation, images, curves of a class, one image, two runs compared.

All is read in a thread for slow work: a page of 100,000 images reads a file of some megabytes at first.
"""

from __future__ import annotations

from imgcls_lab.analysis.one_image import Wanted
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.schemas import EvaluatedQuery
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, image_id_of, run_id_of
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.server.request_parsing import read_model

MAX_EPOCH = 2**31


class EvaluationHandler(ApiHandler):
    """Base of these routes: which evaluation a request names."""

    def evaluated_split(self) -> str:
        return self.choice("split", ("val", "test"), "val")

    def epoch(self) -> int | None:
        epoch = self.optional_whole("epoch")
        if epoch is not None and not 0 <= epoch <= MAX_EPOCH:
            raise NotFoundError(f"There is no epoch {epoch}.")
        return epoch


class ViewHandler(EvaluationHandler):
    """An evaluation with all that its page draws."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, split, epoch = run_id_of(text), self.evaluated_split(), self.epoch()
        await self.answer(lambda store: store.evaluations.view(run_id, split, epoch), work="slow")


class ImagesHandler(EvaluationHandler):
    """A page of images of an evaluation, or of the training set."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        given = {name: self.get_query_argument(name, "") for name in EvaluatedQuery.model_fields}
        query = read_model(EvaluatedQuery, {name: value for name, value in given.items() if value})
        await self.answer(lambda store: store.evaluations.page(run_id, query), work="slow")


class CurvesHandler(EvaluationHandler):
    """Precision over recall and ROC of one class."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, split, epoch = run_id_of(text), self.evaluated_split(), self.epoch()
        label = self.get_query_argument("label", "")
        if not label:
            raise InputError("Name the class: label=….")
        await self.answer(lambda store: store.evaluations.curves(run_id, label, split, epoch), work="slow")


class ImageHandler(EvaluationHandler):
    """One image in depth, by its id."""

    @permitted
    async def get(self, text: str, image: str) -> None:
        run_id, epoch = run_id_of(text), self.epoch()
        wanted = Wanted(image_id_of(image), self.choice("split", ("val", "test", "train"), "val"), epoch)
        allowed = self.backend.settings.allowed
        await self.answer(lambda store: store.evaluations.image(run_id, wanted, allowed), work="slow")


class FlipsHandler(EvaluationHandler):
    """What a run fixed and broke compared with another, by default the one that it was continued from."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, split = run_id_of(text), self.evaluated_split()
        named = self.get_query_argument("against", "")
        against = run_id_of(named) if named else None
        await self.answer(lambda store: store.evaluations.flips(run_id, against, split), work="slow")


class ImageChangesHandler(EvaluationHandler):
    """Which images a run has otherwise than another."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, against = run_id_of(text), self.compared_run()
        await self.answer(lambda store: store.evaluations.image_changes(run_id, against), work="slow")


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/runs/ID/evaluation", ViewHandler, backend=backend),
        route("api/runs/ID/images", ImagesHandler, backend=backend),
        route("api/runs/ID/images/ID", ImageHandler, backend=backend),
        route("api/runs/ID/curves", CurvesHandler, backend=backend),
        route("api/runs/ID/flips", FlipsHandler, backend=backend),
        route("api/runs/ID/image-changes", ImageChangesHandler, backend=backend),
    ]
