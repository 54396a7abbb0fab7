"""Routes of batches: a notebook's parameters, queueing it, the executed notebook, and sweeps.

A notebook is named as the file browser names it and must lie under the server's own root, where whoever may ask can
run it anyway.
"""

from __future__ import annotations

from pathlib import Path

from jupyter_server.auth.decorator import authorized
from tornado import web

from imgcls_lab import run_layout
from imgcls_lab.batch import notebook_source
from imgcls_lab.batch.submit_notebook import submit_notebook
from imgcls_lab.batch.submit_sweep import submit_sweep
from imgcls_lab.batch.sweep_spec import check_space
from imgcls_lab.batch.sweep_view import sweep_view
from imgcls_lab.errors import ForbiddenPathError, NotFoundError
from imgcls_lab.schemas import NotebookRequest, NotebookView, Queued, SweepRequest, SweepView
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import PREFIX, ApiHandler, Route, check_reference, run_id_of
from imgcls_lab.server.paths import allowed_config, allowed_space
from imgcls_lab.store import Store

LARGEST = 256 * 2**20  # bytes of an executed notebook


class NotebooksHandler(ApiHandler):
    """What a notebook declares, and the way to queue it."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        path = self.get_query_argument("path", "")
        file = self._file(path)
        await self.answer(lambda _: notebook_view(path, file))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        request = self.body(NotebookRequest)
        check_reference(request.project_id, "project")
        file = self._file(request.path)

        def submit(store: Store) -> Queued:
            return submit_notebook(store, notebook_source.read(file), request)

        await self.answer(submit, 201)
        self.backend.wake_executor()

    def _file(self, path: str) -> Path:
        return notebook_file(Path(self.settings["server_root_dir"]), path)


class ExecutedHandler(ApiHandler):
    """The executed notebook of a run, as far as it has come."""

    @web.authenticated
    @authorized
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        self.reply(await self.backend.ask(lambda store: executed(store, run_id)))


class SweepsHandler(ApiHandler):
    """The way to queue a sweep."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        request = self.body(SweepRequest)
        check_reference(request.project_id, "project")
        root, settings = Path(self.settings["server_root_dir"]), self.backend.settings

        def submit(store: Store) -> Queued:
            check_space(request)
            if request.notebook is not None:
                file = notebook_file(root, request.notebook)
                named = request.model_copy(update={"notebook": str(file)})
                return submit_sweep(store, named, notebook_source.read(file))
            checked = {"base": allowed_config(settings, request.base), "space": allowed_space(settings, request.space)}
            return submit_sweep(store, request.model_copy(update=checked), None)

        await self.answer(submit, 201)
        self.backend.wake_executor()


class SweepHandler(ApiHandler):
    """One sweep, as a matrix of its trials. The routes of its run stop and fill it."""

    @web.authenticated
    @authorized
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)

        def view_of(store: Store) -> SweepView:
            return sweep_view(store, run_id)

        await self.answer(view_of)


def notebook_view(path: str, file: Path) -> NotebookView:
    """What the form of a batch needs. Raises InputError."""
    read = notebook_source.read(file)
    return NotebookView(path=path, parameters=read.parameters, derived=read.derived)


def notebook_file(root: Path, path: str) -> Path:
    """A notebook under the server's root, links resolved. Raises ForbiddenPathError, whether it exists or not."""
    top = root.expanduser().resolve()
    try:
        inside = Path(path).is_relative_to(top)  # as a run of the same notebook names it
        file = (Path(path) if inside else top / path.lstrip("/")).resolve()
    except (OSError, RuntimeError, ValueError):
        file = Path("/")
    if not file.is_relative_to(top) or file == top:
        raise ForbiddenPathError(f"“{path[:200]}” is no notebook under this server's root.")
    return file


def executed(store: Store, run_id: str) -> bytes:
    """The notebook's text. Raises NotFoundError while there is none."""
    run = store.runs.get(run_id)
    try:
        with run_layout.open_plain(store.settings.run_dir(run.id) / run_layout.NOTEBOOK) as file:
            data = file.read(LARGEST + 1)
    except OSError:
        raise NotFoundError(f"The run “{run.name}” has executed no notebook (yet).") from None
    if len(data) > LARGEST:
        raise NotFoundError(f"The executed notebook is larger than {LARGEST // 2**20} MB; open it from {run.folder}.")
    return data


def routes(backend: Backend) -> list[Route]:
    arguments = {"backend": backend}
    return [
        (rf"{PREFIX}/notebooks", NotebooksHandler, arguments),
        (rf"{PREFIX}/runs/([^/]+)/notebook", ExecutedHandler, arguments),
        (rf"{PREFIX}/sweeps", SweepsHandler, arguments),
        (rf"{PREFIX}/sweeps/([^/]+)", SweepHandler, arguments),
    ]
