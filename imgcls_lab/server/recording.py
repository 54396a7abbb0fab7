"""The route that says a request of the panel in Python, before the panel sends it. Changes nothing."""

from __future__ import annotations

from imgcls_lab.schemas import CodeRequest, PythonCode
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.batch import NotebookFileHandler
from imgcls_lab.server.permissions import CONTENTS, Route, permitted, route
from imgcls_lab.server.recorded_code import CODE, code_of, matched
from imgcls_lab.server.recording_names import Recording
from imgcls_lab.server.request_parsing import MAX_BYTES, read_model
from imgcls_lab.store import Store

ROOM = 1_000_000  # bytes beside the body of the other request: the variables of a long recording


class CodeHandler(NotebookFileHandler):
    """The code of one request."""

    max_bytes = MAX_BYTES + ROOM

    @permitted
    async def post(self) -> None:
        asked = self.body(CodeRequest)
        key, ids = matched(asked.verb, asked.path)
        recorded = CODE.get(key)
        body = None if recorded is None or recorded.body is None else read_model(recorded.body, asked.body or {})
        named = getattr(body, "path" if key == ("POST", "api/notebooks") else "notebook", None)
        if key[1] not in ("api/notebooks", "api/sweeps") or not isinstance(named, str):
            file = None
        else:
            await self.require(CONTENTS)
            file = await self.notebook_file(named)

        def code(store: Store) -> PythonCode:
            recording = Recording(store, self.backend.settings, asked, file)
            text = "" if recorded is None else code_of(recording, recorded, ids, body)
            return PythonCode(code=text, variable=recording.variable if text else "", ended=recording.ended)

        await self.answer(code, work="slow")


def routes(backend: Backend) -> list[Route]:
    return [route("api/code", CodeHandler, backend=backend)]
