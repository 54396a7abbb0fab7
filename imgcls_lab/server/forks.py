"""Routes of runs that go on from others: forks, trainings from a best model, and the tree of forks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from imgcls_lab.errors import ConfigError, Problem
from imgcls_lab.schemas import ForkPreview, ForkRequest, Queued, RetrainRequest
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, field_problems, run_id_of
from imgcls_lab.server.paths import allowed_config, check_plugins_setting, names_code
from imgcls_lab.server.permissions import CODE, Route, permitted, route
from imgcls_lab.store import Store
from imgcls_lab.store.claims import named_plugins, refuse_view_only

Request = TypeVar("Request", ForkRequest, RetrainRequest)


async def _queue(
    handler: ApiHandler, text: str, request: Request, submit: Callable[[Store, str, Request], Queued]
) -> None:
    """Queue a run that goes on from another one. What both name is checked as at a submit."""
    backend, run_id = handler.backend, run_id_of(text)
    run = await backend.ask(lambda store: store.runs.get(run_id))
    refuse_view_only(run)
    if names_code(run.config) or names_code(request.fields):
        await handler.require(*CODE)
    check_plugins_setting(backend.settings, named_plugins(run))

    def checked(store: Store) -> Queued:
        fields = allowed_config(backend.settings, request.fields)
        return submit(store, run_id, request.model_copy(update={"fields": fields}))

    await handler.answer_queued(checked, "slow")


class ForkHandler(ApiHandler):
    """Queue a run that goes on from a checkpoint of this one."""

    @permitted
    async def post(self, text: str) -> None:
        request = self.optional_body(ForkRequest)
        await _queue(self, text, request, lambda store, run_id, checked: store.runs.fork(run_id, checked))


class ForkPreviewHandler(ApiHandler):
    """The learning rate that a fork would have, or why it cannot be made; asked while a form is filled in."""

    @permitted
    async def post(self, text: str) -> None:
        run_id, request, settings = run_id_of(text), self.optional_body(ForkRequest), self.backend.settings

        def preview(store: Store) -> ForkPreview:
            fields = allowed_config(settings, request.fields)
            try:
                return store.runs.fork_preview(run_id, request.model_copy(update={"fields": fields}))
            except ConfigError as error:
                return ForkPreview(problems=field_problems(error.problems or (Problem("", str(error)),)))

        await self.answer(preview, work="slow")


class RetrainHandler(ApiHandler):
    """Queue a run that goes on from the best model of this one."""

    @permitted
    async def post(self, text: str) -> None:
        request = self.optional_body(RetrainRequest)
        await _queue(self, text, request, lambda store, run_id, checked: store.runs.retrain(run_id, checked))


class LineageHandler(ApiHandler):
    """The tree of forks that a run belongs to."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.runs.lineage(run_id))


def routes(backend: Backend) -> list[Route]:
    parts: dict[str, Any] = {"backend": backend}
    return [
        route("api/runs/ID/fork", ForkHandler, **parts),
        route("api/runs/ID/fork/preview", ForkPreviewHandler, **parts),
        route("api/runs/ID/retrain", RetrainHandler, **parts),
        route("api/runs/ID/lineage", LineageHandler, **parts),
    ]
