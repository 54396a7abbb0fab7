"""Routes of batches: a notebook's parameters, queueing it, the executed notebook, and sweeps.

A notebook is named as the file browser names it and must lie under the server's own root, where whoever may ask can
run it anyway.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.fileio import FileManagerMixin

from imgcls_lab import run_layout, run_paths
from imgcls_lab.batch import notebook_source, notebook_trust
from imgcls_lab.batch.submit_notebook import submit_notebook
from imgcls_lab.batch.submit_sweep import submit_sweep
from imgcls_lab.batch.sweep_spec import brackets, check_space, epochs_budget, space_problems, trials_budget
from imgcls_lab.batch.sweep_view import sweep_view
from imgcls_lab.errors import ConflictError, ForbiddenPathError, NotFoundError
from imgcls_lab.schemas import NotebookRequest, NotebookView, Queued, SweepCheck, SweepRequest, SweepView
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, check_reference, field_problems, run_id_of
from imgcls_lab.server.paths import allowed_config, allowed_space, names_code
from imgcls_lab.server.permissions import CODE, CONTENTS, Route, permitted, route
from imgcls_lab.store import Store

LARGEST = 100 * 2**20  # bytes of an executed notebook


class NotebookFileHandler(ApiHandler):
    """Base of the routes that take a notebook of the server's contents."""

    async def notebook_file(self, path: str) -> Path:
        """The file, links resolved. Raises ForbiddenPathError outside the root, NotFoundError for a hidden one."""
        contents = self.contents_manager
        local = isinstance(contents, FileManagerMixin)
        top = Path(contents.root_dir if local else self.settings["server_root_dir"]).expanduser().resolve()
        named, file = below(top, path)
        if not contents.allow_hidden:
            for name in {named, file.relative_to(top).as_posix()}:
                try:
                    hidden = await ensure_async(contents.is_hidden(name))  # type: ignore[no-untyped-call]
                except OSError:  # a name that is too long
                    hidden = True
                if hidden:
                    raise NotFoundError(f"There is no notebook “{path[:200]}”.")
        return file


class NotebooksHandler(NotebookFileHandler):
    """What a notebook declares, and the way to queue it."""

    @permitted
    async def get(self) -> None:
        path = self.get_query_argument("path", "")
        file = await self.notebook_file(path)
        await self.answer(lambda _: notebook_view(path, file), work="slow")

    @permitted
    async def post(self) -> None:
        request = self.body(NotebookRequest)
        check_reference(request.project_id, "project")
        file = await self.notebook_file(request.path)

        def submit(store: Store) -> Queued:
            return submit_notebook(store, notebook_source.read(file), request)

        await self.answer_queued(submit, "slow")


class ExecutedHandler(ApiHandler):
    """The executed notebook of a run, as far as it has come. It is trusted if this user's Jupyter has signed it."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, notary = run_id_of(text), cast(Any, self.contents_manager.notary)
        notebook = await self.backend.ask(lambda store: executed(store, run_id), "slow")
        digest = await self.backend.run(lambda: notary.compute_signature(notebook), "slow")
        trusted = notebook_trust.is_signed(notary, digest)  # its database is open in this thread
        shown = await self.backend.run(
            lambda: notebook_trust.marked(notary, notebook, trusted=trusted).encode(), "slow"
        )
        self.reply(shown)


class SweepsHandler(NotebookFileHandler):
    """The way to queue a sweep."""

    @permitted
    async def post(self) -> None:
        request = self.body(SweepRequest)
        check_reference(request.project_id, "project")
        settings, file = self.backend.settings, None
        if request.notebook is not None:
            await self.require(CONTENTS, *CODE)
            file = await self.notebook_file(request.notebook)
        elif names_code(request.base) or names_code(request.space):
            await self.require(*CODE)

        def submit(store: Store) -> Queued:
            check_space(request)
            if file is not None:
                named = request.model_copy(update={"notebook": str(file)})
                return submit_sweep(store, named, notebook_source.read(file))
            checked = {"base": allowed_config(settings, request.base), "space": allowed_space(settings, request.space)}
            return submit_sweep(store, request.model_copy(update=checked), None)

        await self.answer_queued(submit, "slow")


class SweepCheckHandler(ApiHandler):
    """The check of a sweep over settings as it is typed; nothing is changed."""

    @permitted
    async def post(self) -> None:
        request = self.body(SweepRequest)
        await self.answer(lambda _: check_sweep(request), work="slow")


def check_sweep(request: SweepRequest) -> SweepCheck:
    """What a sweep would try. A notebook's parameters are checked when it is queued."""
    found = [] if request.notebook is not None else space_problems(request)
    planned = [] if found else brackets(request)
    return SweepCheck(
        problems=field_problems(found),
        trials=None if found else trials_budget(request),
        epochs=epochs_budget(request) if planned else None,
        rungs=[rung.epochs for rung in planned[0].rungs] if planned else [],
    )


class SweepHandler(ApiHandler):
    """One sweep, as a matrix of its trials. The routes of its run stop and fill it."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)

        def view_of(store: Store) -> SweepView:
            return sweep_view(store, run_id)

        await self.answer(view_of, work="slow")


def notebook_view(path: str, file: Path) -> NotebookView:
    """What the form of a batch needs. Raises InputError."""
    read = notebook_source.read(file)
    return NotebookView(path=path, parameters=read.parameters, derived=read.derived)


def below(top: Path, path: str) -> tuple[str, Path]:
    """A path below the folder `top`, as Jupyter names it, and as a file with links resolved.

    Raises ForbiddenPathError for any other, whether it exists or not.
    """
    try:
        inside = Path(path).is_relative_to(top)  # as a run of the same notebook names it
        named = os.path.normpath(Path(path).relative_to(top) if inside else path.lstrip("/"))
        file = (Path(path) if inside else top / path.lstrip("/")).resolve()
    except (OSError, RuntimeError, ValueError):
        named, file = "..", Path("/")
    if not file.is_relative_to(top) or file == top or named.split("/")[0] == "..":
        raise ForbiddenPathError(f"“{path[:200]}” is no notebook under this server's root.")
    return named, file


def executed(store: Store, run_id: str) -> Any:
    """The notebook. Raises NotFoundError while there is none, ConflictError for a file that is no notebook."""
    run = store.runs.get(run_id)
    if run.elsewhere is not None:
        raise NotFoundError(run.elsewhere, reason="another_home")
    try:
        with run_paths.open_plain(store.settings.run_dir(run.id), run_layout.NOTEBOOK) as file:
            data = file.read(LARGEST + 1)
    except OSError:
        raise NotFoundError(f"The run “{run.name}” has executed no notebook (yet).") from None
    if len(data) > LARGEST:
        raise NotFoundError(f"The executed notebook is larger than {LARGEST // 2**20} MB; open it from {run.folder}.")
    try:
        return notebook_trust.read(data)
    except ValueError as error:
        raise ConflictError(f"The executed notebook of “{run.name}” is damaged: {str(error)[:200]}.") from None


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/notebooks", NotebooksHandler, backend=backend),
        route("api/runs/ID/notebook", ExecutedHandler, backend=backend),
        route("api/sweeps", SweepsHandler, backend=backend),
        route("api/sweeps/check", SweepCheckHandler, backend=backend),
        route("api/sweeps/ID", SweepHandler, backend=backend),
    ]
