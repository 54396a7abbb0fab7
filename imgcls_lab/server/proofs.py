"""Routes of proofs: whether steps of a run, computed again, are the same to the last bit."""

from __future__ import annotations

from imgcls_lab.schemas import VerifyRequest
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, run_id_of
from imgcls_lab.server.paths import check_plugins_setting, names_code
from imgcls_lab.server.permissions import CODE, Route, permitted, route
from imgcls_lab.store.claims import named_plugins, refuse_view_only


class VerificationHandler(ApiHandler):
    """The certificate of a run, and the task that computes it again."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.proofs.view(run_id))

    @permitted
    async def post(self, text: str) -> None:
        backend, run_id, request = self.backend, run_id_of(text), self.optional_body(VerifyRequest)
        run = await backend.ask(lambda store: store.runs.get(run_id))
        refuse_view_only(run)
        if names_code(run.config):
            await self.require(*CODE)
        check_plugins_setting(backend.settings, named_plugins(run))
        await self.answer(lambda store: store.proofs.verify(run_id, request), 201)
        backend.wake_executor()


def routes(backend: Backend) -> list[Route]:
    return [route("api/runs/ID/verification", VerificationHandler, backend=backend)]
