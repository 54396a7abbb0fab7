"""Routes of projects as files, which tasks of the server write and read; and of these tasks."""

from __future__ import annotations

import os

from imgcls_lab.errors import BusyError, ForbiddenPathError, ImgclsError, InputError, Problem
from imgcls_lab.schemas import ProjectArchiveRequest, ProjectImport, ProjectImportRequest
from imgcls_lab.schemas.limits import MAX_NAME, MAX_UPLOAD
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.downloads import Downloads, send_file
from imgcls_lab.server.handlers import ApiHandler, number_of, to_json
from imgcls_lab.server.jobs import Progress
from imgcls_lab.server.permissions import WRITE, Route, permitted, route
from imgcls_lab.store import Store
from imgcls_lab.store.archive_files import UPLOADED, Upload
from imgcls_lab.store.registry import Projects

MAX_UPLOADS = 2  # at once
PIECE = 4 * 2**20  # bytes of an upload that are written together


class ExportHandler(ApiHandler):
    """Write a project into a new file of the home; the answer is the task."""

    @permitted
    async def post(self, text: str) -> None:
        number, request = number_of(text, Projects.noun), self.optional_body(ProjectArchiveRequest)
        project = await self.backend.ask(lambda store: store.projects.get(number))
        kept = request.checkpoints
        job = self.backend.jobs.start(
            "export",
            project.name,
            lambda store, progress: store.project_exports.write(
                number, store.archives.new(project.name), checkpoints=kept, progress=progress
            ),
        )
        self.reply(to_json(job), 202)


class ImportHandler(ApiHandler):
    """Import a project from a file; the answer is the task."""

    @permitted
    async def post(self) -> None:
        request = self.body(ProjectImportRequest)
        if (request.archive is None) is (request.path is None):
            raise InputError("Name a file that was uploaded, or the path of one.", [Problem("path", "Name a file.")])
        if request.name is not None and request.into is not None:
            raise InputError("Name a new project, or one that is there, and not both.", reason="two_projects")
        settings = self.backend.settings
        if request.path is not None:
            try:
                path = await self.backend.run(lambda: settings.allowed(request.path or ""), "slow")
            except (ForbiddenPathError, OSError, RuntimeError, ValueError):
                sentence = f"“{request.path[:200]}” lies outside the folders that may be named here."
                raise ForbiddenPathError(sentence, [Problem("path", sentence)]) from None
        else:
            name = request.archive or ""
            path = await self.backend.ask(lambda store: store.archives.path(name), "slow")
        archive = request.archive or ""

        def work(store: Store, progress: Progress) -> ProjectImport:
            try:
                return store.project_imports.read(path, name=request.name, into=request.into, progress=progress)
            finally:
                if archive.startswith(UPLOADED):
                    store.archives.delete(archive)

        self.reply(to_json(self.backend.jobs.start("import", path.name, work)), 202)


class ArchivesHandler(ApiHandler):
    """The files that are there; a new one as the body of a request, written while it arrives."""

    max_bytes = MAX_UPLOAD

    def initialize(self, backend: Backend, arriving: list[Upload]) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.arriving = arriving
        self._upload: Upload | None = None
        self._waiting = bytearray()

    async def prepare(self) -> None:  # type: ignore[override]
        if self.request.method == "POST":
            self.request.connection.set_max_body_size(self.max_bytes)  # type: ignore[union-attr]
        await super().prepare()
        if self.request.method != "POST" or self.answered:
            return
        await self.require(WRITE)  # before a byte of it is kept
        if len(self.arriving) >= MAX_UPLOADS:
            raise BusyError(f"{MAX_UPLOADS} files are uploaded already. Try again when one is done.", reason="busy")
        name = self.get_query_argument("name", "")[:MAX_NAME]
        size = int(self.request.headers.get("Content-Length", "0"))
        self._upload = await self.backend.ask(lambda store: store.archives.upload(name, size), "slow")
        self.arriving.append(self._upload)

    async def data_received(self, chunk: bytes) -> None:  # type: ignore[override]
        """Never raises: Tornado would close the connection without an answer."""
        if self._upload is None or self.answered:
            super().data_received(chunk)
            return
        self._received += len(chunk)
        self._waiting += chunk
        if len(self._waiting) >= PIECE:
            try:
                await self._write()
            except ImgclsError as error:
                self._drop()
                self.send_error(error.status, exc_info=(type(error), error, None))

    async def _write(self) -> None:
        piece, upload = bytes(self._waiting), self._upload
        self._waiting.clear()
        if upload is not None:
            await self.backend.run(lambda: upload.write(piece), "slow")

    def _drop(self) -> None:
        """Remove what has come: its rest does not, or it was refused."""
        upload, self._upload = self._upload, None
        if upload is not None:
            self.arriving.remove(upload)
            upload.drop()

    def on_finish(self) -> None:
        self._drop()
        super().on_finish()

    def on_connection_close(self) -> None:
        self._drop()
        super().on_connection_close()

    @permitted
    async def get(self) -> None:
        await self.answer(lambda store: store.archives.list(), work="slow")

    @permitted
    async def post(self) -> None:
        if self._received == 0:
            raise InputError("The request has no file in its body.", reason="no_body")
        await self._write()
        upload, self._upload = self._upload, None
        if upload is None:
            return
        self.arriving.remove(upload)
        self.reply(to_json(await self.backend.run(upload.keep, "slow")), 201)


class ArchiveHandler(ApiHandler):
    """One file: its bytes, piece by piece, and its end."""

    def initialize(self, backend: Backend, downloads: Downloads) -> None:  # type: ignore[override]
        super().initialize(backend)
        self._downloads = downloads

    @permitted
    async def get(self, name: str) -> None:
        with self._downloads:
            file = await self.backend.ask(lambda store: store.archives.open(name), "slow")
            try:
                size = await self.backend.run(lambda: file.seek(0, os.SEEK_END), "slow")
                await self.backend.run(lambda: file.seek(0), "slow")
                await send_file(self, file, name, size, "application/x-tar")
            finally:
                file.close()

    @permitted
    async def delete(self, name: str) -> None:
        await self.answer(lambda store: store.archives.delete(name), work="slow")


class JobsHandler(ApiHandler):
    """What the server works at, and what has ended lately."""

    @permitted
    async def get(self) -> None:
        self.reply(to_json(self.backend.jobs.list()))


class JobHandler(ApiHandler):
    """One task: how far it is, and its end."""

    @permitted
    async def get(self, text: str) -> None:
        self.reply(to_json(self.backend.jobs.get(text)))

    @permitted
    async def delete(self, text: str) -> None:
        self.reply(to_json(self.backend.jobs.cancel(text)))


def routes(backend: Backend) -> list[Route]:
    return [
        route("api/projects/ID/export", ExportHandler, backend=backend),
        route("api/archives/import", ImportHandler, backend=backend),
        route("api/archives", ArchivesHandler, backend=backend, arriving=[]),
        route("api/archives/ID", ArchiveHandler, backend=backend, downloads=Downloads()),
        route("api/jobs", JobsHandler, backend=backend),
        route("api/jobs/ID", JobHandler, backend=backend),
    ]
