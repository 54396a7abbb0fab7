"""Routes of what a run's folder holds: its files and their download, a search in its log, what it recorded."""

from __future__ import annotations

import re
from typing import Any

from imgcls_lab.errors import NotFoundError
from imgcls_lab.schemas.limits import MAX_NODES
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.downloads import Downloads, send_file
from imgcls_lab.server.handlers import ApiHandler, run_id_of
from imgcls_lab.server.permissions import Route, permitted, route

_FILE_ID = re.compile(r"[0-9a-f]{16}")


class FilesHandler(ApiHandler):
    """The files of a run."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.run_contents.files(run_id), work="slow")


class FileHandler(ApiHandler):
    """One file of a run, sent piece by piece: no more than a piece is in memory."""

    def initialize(self, backend: Backend, downloads: Downloads) -> None:  # type: ignore[override]
        super().initialize(backend)
        self._downloads = downloads

    @permitted
    async def get(self, text: str, file_id: str) -> None:
        run_id = run_id_of(text)
        if _FILE_ID.fullmatch(file_id) is None:
            raise NotFoundError(f"There is no file “{file_id[:60]}”.", reason="no_file")
        with self._downloads:
            opened = await self.backend.ask(lambda store: store.run_contents.open_file(run_id, file_id), "slow")
            try:
                await send_file(self, opened.file, opened.name, opened.size, "application/octet-stream")
            finally:
                opened.file.close()


class CheckpointHandler(ApiHandler):
    """One checkpoint of a run."""

    @permitted
    async def delete(self, text: str, name: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.checkpoints.delete(run_id, name), work="slow")


class LogSearchHandler(ApiHandler):
    """Lines of a run's log that hold a text."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, words = run_id_of(text), self.get_query_argument("q", "")
        node = self.whole("node", 0, high=MAX_NODES)
        await self.answer(lambda store: store.run_contents.search_log(run_id, words, node), work="slow")


class StartPhasesHandler(ApiHandler):
    """What the starts of a run's attempts took."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.run_contents.start_phases(run_id))


class ManifestHandler(ApiHandler):
    """All that a run recorded before its first step."""

    @permitted
    async def get(self, text: str) -> None:
        run_id = run_id_of(text)
        await self.answer(lambda store: store.run_contents.manifest(run_id))


class CodeHandler(ApiHandler):
    """What the code of a run has otherwise than that of another one."""

    @permitted
    async def get(self, text: str) -> None:
        run_id, against = run_id_of(text), self.compared_run()
        await self.answer(lambda store: store.run_contents.code_changes(run_id, against), work="slow")


def routes(backend: Backend) -> list[Route]:
    given: dict[str, Any] = {"backend": backend}
    return [
        route("api/runs/ID/files", FilesHandler, **given),
        route("api/runs/ID/files/ID", FileHandler, **given, downloads=Downloads()),
        route("api/runs/ID/checkpoints/ID", CheckpointHandler, **given),
        route("api/runs/ID/log/search", LogSearchHandler, **given),
        route("api/runs/ID/starts", StartPhasesHandler, **given),
        route("api/runs/ID/manifest", ManifestHandler, **given),
        route("api/runs/ID/code", CodeHandler, **given),
    ]
