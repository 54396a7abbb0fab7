"""Routes of runs: the list, one run, its actions, curves, log and reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, cast, get_args

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ForbiddenError, ImgclsError, InputError
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.run_query import quoted
from imgcls_lab.schemas import (
    ActionReply,
    ActionRequest,
    ChangeRequest,
    ClaimRequest,
    DeleteRequest,
    GroupKind,
    Queued,
    RefusedRun,
    ReplicatesRequest,
    ResumeRequest,
    RunEdit,
    RunEdits,
    RunView,
    StaticCell,
    SubmitRequest,
)
from imgcls_lab.schemas.limits import MAX_COMPARED, MAX_IDS, MAX_NODES, MAX_RUNS, MAX_SERIES
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, check_reference, run_id_of
from imgcls_lab.server.paths import allowed_config, check_plugins_setting, configs_of, executes_code, names_code
from imgcls_lab.server.permissions import CODE, Route, permitted, route
from imgcls_lab.store import Store
from imgcls_lab.store.claims import named_plugins, refuse_view_only
from imgcls_lab.store.queries import RunFilter, RunOrder, filter_of
from imgcls_lab.widgets import static_cell

MAX_PAGE = 1000
MAX_LOG = 2**20
MAX_POINTS = 1_000_000  # of a series of each of the runs together
Request = TypeVar("Request", bound=SubmitRequest)


def listed_runs(handler: ApiHandler) -> dict[str, Any]:
    """Which runs a request asks for, and in which order, as arguments of the store. Raises InputError."""
    project = handler.optional_whole("project")
    check_reference(project, "project")
    text = handler.get_query_argument("q", "")[:200].strip()
    return {
        "project_id": project,
        "states": [_state(text) for text in handler.get_query_arguments("state") if text] or None,
        "owner": handler.get_query_argument("owner", "")[:200] or None,
        "where": f"{handler.get_query_argument('where', '')} {quoted(text) if text else ''}",
        "sort": handler.get_query_argument("sort", "created_at"),
        "descending": handler.choice("order", ("asc", "desc"), "desc") == "desc",
    }


def filter_and_order(handler: ApiHandler) -> tuple[RunFilter, RunOrder]:
    """The same, for `store.run_lists`."""
    listed = listed_runs(handler)
    order = RunOrder(listed.pop("sort"), listed.pop("descending"))
    return filter_of(listed.pop("where"), **listed), order


def shown_page(handler: ApiHandler) -> dict[str, Any]:
    """Which piece of a list a request asks for, and what each run has besides. Raises InputError."""
    return {
        "limit": handler.whole("limit", 200, low=1, high=MAX_PAGE),
        "offset": handler.whole("offset", 0),
        "columns": [name for text in handler.get_query_arguments("columns") for name in text.split(",") if name],
        "curves": handler.choice("curves", ("0", "1"), "0") == "1",
    }


def _state(text: str) -> RunState:
    try:
        return RunState(text)
    except ValueError:
        raise InputError(f"“{text[:60]}” is no state of a run; there are {', '.join(RunState)}.") from None


async def _queue(
    handler: ApiHandler, request: Request, submit: Callable[[Store, Request], Queued | Sequence[Queued]]
) -> None:
    """Queue trainings, whose config a client named. Raises InputError, ForbiddenPathError, ForbiddenError."""
    settings = handler.backend.settings
    if request.kind is not RunKind.TRAIN:  # each other kind has a route of its own, which knows its payload's paths
        raise InputError("Only trainings are queued here; notebooks, sweeps and tasks have routes of their own.")
    if names_code(request.config):
        await handler.require(*CODE)

    def checked(store: Store) -> Queued | Sequence[Queued]:
        for number, kind in (
            (request.project_id, "project"),
            (request.dataset_id, "data set"),
            (request.model_id, "model"),
        ):
            check_reference(number, kind)
        TrainConfig.parse(request.config)  # its problems before those of paths: there may be no path yet
        return submit(store, request.model_copy(update={"config": allowed_config(settings, request.config)}))

    await handler.answer_queued(checked)


class RunsHandler(ApiHandler):
    """The list of runs, and the way to queue one."""

    @permitted
    async def get(self) -> None:
        listed = listed_runs(self)
        page = shown_page(self)
        await self.answer(lambda store: store.runs.list(**listed, **page))

    @permitted
    async def post(self) -> None:
        request = self.body(SubmitRequest)
        await _queue(self, request, lambda store, checked: store.runs.submit(checked))

    @permitted
    async def patch(self) -> None:
        edits = self.body(RunEdits)
        for part in edits.edits:
            check_reference(part.edit.project_id, "project")
            for text in part.runs:
                run_id_of(text)
        await self.answer(lambda store: store.runs.edit_many(edits), work="slow")


class ReplicatesHandler(ApiHandler):
    """The way to queue runs that differ by their seed, all of them or none."""

    @permitted
    async def post(self) -> None:
        request = self.body(ReplicatesRequest)
        await _queue(self, request, lambda store, checked: store.runs.submit_replicates(checked))


class RunIdsHandler(ApiHandler):
    """The ids of all runs of a list, for what is done with all of them."""

    @permitted
    async def get(self) -> None:
        wanted, order = filter_and_order(self)
        await self.answer(lambda store: store.run_lists.ids(wanted, order._replace(limit=MAX_IDS)))


class RunGroupsHandler(ApiHandler):
    """The list, folded."""

    @permitted
    async def get(self) -> None:
        kinds = [kind for kind in self.get_query_argument("group", "").split(",") if kind]
        known = get_args(GroupKind)
        if not kinds or not set(kinds) <= set(known):
            raise InputError(f"group= is one or several of {', '.join(known)}, with commas.")
        wanted, order = filter_and_order(self)
        order = order._replace(**shown_page(self))
        await self.answer(lambda store: store.run_lists.groups(cast("list[GroupKind]", kinds), wanted, order))


class RunActionsHandler(ApiHandler):
    """Stop, kill or resume many runs."""

    @permitted
    async def post(self) -> None:
        request = self.body(ActionRequest)
        runs = [run_id_of(text) for text in request.runs]
        refused: list[RefusedRun] = []
        if request.action == "resume":
            views = await self.backend.ask(lambda store: store.runs.by_id(runs))
            for view in views.values():
                try:
                    await self._check_resume(view.id)
                except ImgclsError as error:
                    refused.append(RefusedRun(run=view.id, message=str(error), reason=error.reason))
        left = [text for text in runs if text not in {one.run for one in refused}]

        def act(store: Store) -> ActionReply:
            if not left:
                return ActionReply(changed=[], refused=refused)
            reply = store.runs.act_many(request.model_copy(update={"runs": left}))
            return reply.model_copy(update={"refused": [*refused, *reply.refused]})

        await self.answer(act, work="slow")
        self.backend.wake_executor()

    async def _check_resume(self, run_id: str) -> None:
        """As of the resume of one. Raises ForbiddenError, ConflictError, ForbiddenPathError."""
        run = await self.backend.ask(lambda store: store.runs.get(run_id))
        refuse_view_only(run)
        if executes_code(run) and not all([await self.may(permission) for permission in CODE]):
            raise ForbiddenError("You may not execute code on this server, and this run does.", reason="no_code")
        check_plugins_setting(self.backend.settings, named_plugins(run))


class RunDeletionHandler(ApiHandler):
    """Delete many runs, or say beforehand what that frees."""

    @permitted
    async def post(self) -> None:
        request = self.body(DeleteRequest)
        runs = [run_id_of(text) for text in request.runs]
        await self.answer(lambda store: store.runs.delete_many(runs, dry_run=request.dry_run), work="slow")


class RunColumnsHandler(ApiHandler):
    """Which columns the list can have."""

    @permitted
    async def get(self) -> None:
        await self.answer(lambda store: store.run_lists.columns())


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


class ChangeHandler(ApiHandler):
    """Change settings of a run that is queued or trains."""

    @permitted
    async def post(self, text: str) -> None:
        run_id, request = run_id_of(text), self.body(ChangeRequest)
        await self.answer(lambda store: store.runs.change(run_id, request))
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


class StaticCellHandler(ApiHandler):
    """What a notebook keeps of a run: sentence, table and picture as of now."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)

        def made(store: Store) -> StaticCell:
            run = store.runs.get(run_id)
            read = store.metrics.series([run_id], static_cell.tags(run), max_points=static_cell.POINTS)
            return static_cell.static_cell(run, read.whole())

        await self.answer(made, work="slow")


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/runs", RunsHandler, backend=backend),
        route("api/runs/replicates", ReplicatesHandler, backend=backend),
        route("api/runs/actions", RunActionsHandler, backend=backend),
        route("api/runs/delete", RunDeletionHandler, backend=backend),
        route("api/runs/columns", RunColumnsHandler, backend=backend),  # before the run of an id
        route("api/runs/groups", RunGroupsHandler, backend=backend),
        route("api/runs/ids", RunIdsHandler, backend=backend),
        route("api/runs/ID", RunHandler, backend=backend),
        route("api/runs/ID/stop", StopHandler, backend=backend, desired=DesiredState.STOP),
        route("api/runs/ID/kill", StopHandler, backend=backend, desired=DesiredState.KILL),
        route("api/runs/ID/resume", ResumeHandler, backend=backend),
        route("api/runs/ID/changes", ChangeHandler, backend=backend),
        route("api/runs/ID/claim", ClaimHandler, backend=backend),
        route("api/runs/ID/log", LogHandler, backend=backend),
        route("api/runs/ID/report", ReportHandler, backend=backend),
        route("api/runs/ID/cell", StaticCellHandler, backend=backend),
        route("api/series", SeriesHandler, backend=backend),
        route("api/comparison", ComparisonHandler, backend=backend),
    ]
