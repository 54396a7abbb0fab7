"""Routes of runs: the list, one run, its actions, curves, log and reports."""

from __future__ import annotations

from typing import Literal, cast

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import InputError
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.run_query import quoted
from imgcls_lab.schemas import ClaimRequest, ResumeRequest, RetrainRequest, RunEdit, RunEdits, RunView, SubmitRequest
from imgcls_lab.schemas.limits import MAX_COMPARED, MAX_NODES, MAX_RUNS, MAX_SERIES
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, check_reference, run_id_of
from imgcls_lab.server.paths import allowed_config, check_plugins_setting, configs_of, executes_code, names_code
from imgcls_lab.server.permissions import CODE, Route, permitted, route
from imgcls_lab.store import Store
from imgcls_lab.store.claims import named_plugins, refuse_view_only

MAX_PAGE = 1000
MAX_LOG = 2**20
MAX_POINTS = 1_000_000  # of a series of each of the runs together


class RunsHandler(ApiHandler):
    """The list of runs, and the way to queue one."""

    @permitted
    async def get(self) -> None:
        states = [self._state(text) for text in self.get_query_arguments("state") if text]
        project = self.optional_whole("project")
        check_reference(project, "project")
        owner = self.get_query_argument("owner", "")[:200] or None
        text = self.get_query_argument("q", "")[:200].strip()
        where = f"{self.get_query_argument('where', '')} {quoted(text) if text else ''}"
        sort = self.get_query_argument("sort", "created_at")
        descending = self.choice("order", ("asc", "desc"), "desc") == "desc"
        limit = self.whole("limit", 200, low=1, high=MAX_PAGE)
        offset = self.whole("offset", 0)
        await self.answer(
            lambda store: store.runs.list(
                project_id=project,
                states=states or None,
                owner=owner,
                where=where,
                sort=sort,
                descending=descending,
                limit=limit,
                offset=offset,
            )
        )

    @permitted
    async def post(self) -> None:
        request = self.body(SubmitRequest)
        settings = self.backend.settings
        if request.kind is not RunKind.TRAIN:  # each other kind has a route of its own, which knows its payload's paths
            raise InputError("Only trainings are queued here; notebooks, sweeps and tasks have routes of their own.")
        if names_code(request.config):
            await self.require(*CODE)

        def submit(store: Store) -> RunView:
            for number, kind in (
                (request.project_id, "project"),
                (request.dataset_id, "data set"),
                (request.model_id, "model"),
            ):
                check_reference(number, kind)
            TrainConfig.parse(request.config)  # its problems before those of paths: there may be no path yet
            checked = request.model_copy(update={"config": allowed_config(settings, request.config)})
            return store.runs.submit(checked)

        await self.answer(submit, 201)
        self.backend.wake_executor()

    @permitted
    async def patch(self) -> None:
        edits = self.body(RunEdits)
        for part in edits.edits:
            check_reference(part.edit.project_id, "project")
            for text in part.runs:
                run_id_of(text)
        await self.answer(lambda store: store.runs.edit_many(edits), work="slow")

    @staticmethod
    def _state(text: str) -> RunState:
        try:
            return RunState(text)
        except ValueError:
            raise InputError(f"“{text[:60]}” is no state of a run; there are {', '.join(RunState)}.") from None


class RunHandler(ApiHandler):
    """One run."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.runs.get(run_id))

    @permitted
    async def patch(self, text: str) -> None:
        run_id, edit = run_id_of(text), self.body(RunEdit)
        check_reference(edit.project_id, "project")
        await self.answer(lambda store: store.runs.edit(run_id, edit))

    @permitted
    async def delete(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.runs.delete(run_id), work="slow")


class StopHandler(ApiHandler):
    """Stop or kill a run."""

    def initialize(self, backend: Backend, desired: DesiredState) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.desired = desired

    @permitted
    async def post(self, text: str) -> None:
        run_id, desired = run_id_of(text), self.desired
        await self.answer(lambda store: store.runs.set_desired_state(run_id, desired))
        self.backend.wake_executor()


class ResumeHandler(ApiHandler):
    """Queue a run again; the request may bring settings that change no result."""

    @permitted
    async def post(self, text: str) -> None:
        run_id = run_id_of(text)
        changes = self.optional_body(ResumeRequest).config
        run = await self.backend.ask(lambda store: store.runs.get(run_id))
        refuse_view_only(run)
        if executes_code(run):
            await self.require(*CODE)
        # as at a submit; its paths are those that it was queued with, and no resume changes one
        check_plugins_setting(self.backend.settings, named_plugins(run))
        await self.answer(lambda store: store.runs.resume(run_id, changes))
        self.backend.wake_executor()


class RetrainHandler(ApiHandler):
    """Queue a run that goes on from the best model of this one."""

    @permitted
    async def post(self, text: str) -> None:
        run_id, request = run_id_of(text), self.optional_body(RetrainRequest)
        settings = self.backend.settings
        run = await self.backend.ask(lambda store: store.runs.get(run_id))
        refuse_view_only(run)
        if names_code(run.config) or names_code(request.fields):
            await self.require(*CODE)
        check_plugins_setting(settings, named_plugins(run))

        def retrain(store: Store) -> RunView:
            checked = request.model_copy(update={"fields": allowed_config(settings, request.fields)})
            return store.runs.retrain(run_id, checked)

        await self.answer(retrain, 201, "slow")
        self.backend.wake_executor()


class ClaimHandler(ApiHandler):
    """What a run from elsewhere would execute, and its user's word that it is his own."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.runs.claim_view(run_id))

    @permitted
    async def post(self, text: str) -> None:
        run_id, request = run_id_of(text), self.body(ClaimRequest)
        run = await self.backend.ask(lambda store: store.runs.get(run_id))
        if executes_code(run):
            await self.require(*CODE)

        def claim(store: Store) -> RunView:
            plugins = [plugin.path for plugin in store.runs.claim_view(run_id).plugins]
            check_plugins_setting(store.settings, plugins)
            for config in configs_of(run):  # as at a submit
                allowed_config(store.settings, config)
            return store.runs.claim(run_id, request.digest)

        await self.answer(claim)


class ComparisonHandler(ApiHandler):
    """In what runs differ."""

    @permitted
    async def get(self) -> None:
        run_ids = list(dict.fromkeys(run_id_of(text) for text in self.get_query_arguments("run")))
        if not run_ids:
            raise InputError("Name the runs: run=….")
        if len(run_ids) > MAX_COMPARED:
            raise InputError(f"At most {MAX_COMPARED} runs can be compared at once; choose fewer.")
        await self.answer(lambda store: store.runs.compare(run_ids, strict=False), work="slow")


class SeriesHandler(ApiHandler):
    """Points of some runs, thinned for a plot."""

    @permitted
    async def get(self) -> None:
        run_ids = list(dict.fromkeys(run_id_of(text) for text in self.get_query_arguments("run")))
        if len(run_ids) > MAX_RUNS:
            raise InputError(f"At most {MAX_RUNS} runs can be drawn at once; choose fewer.")
        tags = [tag for tag in self.get_query_arguments("tag") if tag] or None
        if tags is not None and len(tags) > MAX_SERIES:
            raise InputError(f"At most {MAX_SERIES} series can be asked for by name; choose fewer.")
        axis = cast(Literal["step", "epoch", "time"], self.choice("axis", ("step", "epoch", "time"), "step"))
        low, high = self.optional_number("low"), self.optional_number("high")
        max_points = self.whole("max_points", 2000, low=2, high=MAX_POINTS // max(MAX_POINTS // 20_000, len(run_ids)))
        await self.answer(
            lambda store: store.metrics.series(run_ids, tags, axis=axis, low=low, high=high, max_points=max_points)
        )


class LogHandler(ApiHandler):
    """A piece of a run's log."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        offset = self.whole("offset", -65_536, low=-(2**53))
        limit = self.whole("limit", 262_144, low=1, high=MAX_LOG)
        node = self.whole("node", 0, high=MAX_NODES)
        await self.answer(lambda store: store.runs.log(run_id, offset, limit, node))


class ReportHandler(ApiHandler):
    """The evaluation of an epoch of a run, by default the last."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        epoch = self.optional_whole("epoch")
        split = self.get_query_argument("split", "val")
        if split not in ("val", "test"):
            raise InputError("There are evaluations of split=val and split=test.")
        await self.answer(lambda store: store.runs.report(run_id, epoch, split))


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/runs", RunsHandler, backend=backend),
        route("api/runs/ID", RunHandler, backend=backend),
        route("api/runs/ID/stop", StopHandler, backend=backend, desired=DesiredState.STOP),
        route("api/runs/ID/kill", StopHandler, backend=backend, desired=DesiredState.KILL),
        route("api/runs/ID/resume", ResumeHandler, backend=backend),
        route("api/runs/ID/retrain", RetrainHandler, backend=backend),
        route("api/runs/ID/claim", ClaimHandler, backend=backend),
        route("api/runs/ID/log", LogHandler, backend=backend),
        route("api/runs/ID/report", ReportHandler, backend=backend),
        route("api/series", SeriesHandler, backend=backend),
        route("api/comparison", ComparisonHandler, backend=backend),
    ]
