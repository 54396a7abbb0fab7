"""Routes of proofs: whether steps of runs, computed again, are the same to the last bit."""

from __future__ import annotations

from imgcls_lab.schemas import BisectRequest, VerifyRequest
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, run_id_of
from imgcls_lab.server.paths import check_plugins_setting, names_code
from imgcls_lab.server.permissions import CODE, Route, permitted, route
from imgcls_lab.store.claims import named_plugins, refuse_view_only


class ProofHandler(ApiHandler):
    """What may be computed again."""

    async def require_own(self, run_id: str) -> None:
        """Raises the errors of a run whose plugins the request or the server does not allow to execute."""
        run = await self.backend.ask(lambda store: store.runs.get(run_id))
        refuse_view_only(run)
        if names_code(run.config):
            await self.require(*CODE)
        check_plugins_setting(self.backend.settings, named_plugins(run))


class VerificationHandler(ProofHandler):
    """The certificate of a run, and the task that computes it again."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.proofs.view(run_id))

    @permitted
    async def post(self, text: str) -> None:
        run_id, request = run_id_of(text), self.optional_body(VerifyRequest)
        await self.require_own(run_id)
        await self.answer(lambda store: store.proofs.verify(run_id, request), 201)
        self.backend.wake_executor()


class BisectionHandler(ProofHandler):
    """Where a run and another one part, and the task that searches for it."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, against = run_id_of(text), self.compared_run()
        await self.answer(lambda store: store.proofs.bisection(run_id, against))

    @permitted
    async def post(self, text: str) -> None:
        run_id, against = run_id_of(text), run_id_of(self.body(BisectRequest).against)
        for each in (run_id, against):
            await self.require_own(each)
        await self.answer(lambda store: store.proofs.bisect(run_id, against), 201)
        self.backend.wake_executor()


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/runs/ID/verification", VerificationHandler, backend=backend),
        route("api/runs/ID/bisection", BisectionHandler, backend=backend),
    ]
