"""Routes of runs as a tree: fork a run from a checkpoint, and the tree that a run belongs to."""

from __future__ import annotations

from typing import Any

from imgcls_lab.schemas import ForkRequest, RunView
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, run_id_of
from imgcls_lab.server.paths import allowed_config, check_plugins_setting, names_code
from imgcls_lab.server.permissions import CODE, Route, permitted, route
from imgcls_lab.store import Store
from imgcls_lab.store.claims import named_plugins, refuse_view_only


class ForkHandler(ApiHandler):
    """Queue a run that goes on from a checkpoint of this one."""

    @permitted
    async def post(self, text: str) -> None:
        run_id, request = run_id_of(text), self.optional_body(ForkRequest)
        settings = self.backend.settings
        run = await self.backend.ask(lambda store: store.runs.get(run_id))
        refuse_view_only(run)
        if names_code(run.config) or names_code(request.fields):
            await self.require(*CODE)
        check_plugins_setting(settings, named_plugins(run))

        def fork(store: Store) -> RunView:
            checked = request.model_copy(update={"fields": allowed_config(settings, request.fields)})
            return store.runs.fork(run_id, checked)

        await self.answer(fork, 201, "slow")
        self.backend.wake_executor()


class LineageHandler(ApiHandler):
    """The tree of forks that a run belongs to."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.runs.lineage(run_id))


def routes(backend: Backend) -> list[Route]:
    parts: dict[str, Any] = {"backend": backend}
    return [route("api/runs/ID/fork", ForkHandler, **parts), route("api/runs/ID/lineage", LineageHandler, **parts)]
