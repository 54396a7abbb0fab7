"""TensorBoards: their list and life cycle over REST, and the tab's content through jupyter-server-proxy.

Each board is served at `<base_url>imgcls/tensorboard/<id>/`, for the Jupyter server's user alone. The first request
starts its process; `imgcls_lab.tensorboards.manager` starts and ends processes. Cookies and tokens are never forwarded.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from jupyter_server.utils import url_path_join
from jupyter_server_proxy.handlers import ProxyHandler
from tornado import web
from tornado.escape import xhtml_escape
from tornado.httpclient import HTTPClientError
from tornado.httputil import HTTPHeaders

from imgcls_lab.errors import ImgclsError, NotFoundError
from imgcls_lab.schemas import BoardRequest, RunIds
from imgcls_lab.server import private_client
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import PREFIX, ApiHandler, to_json
from imgcls_lab.server.permissions import Guarded, Route, permitted, route
from imgcls_lab.tensorboards.manager import TensorBoardManager

T = TypeVar("T")
REFRESH_SECONDS = 3.0
# What the proxy raises if the process is killed during a request.
_ENDED = (web.HTTPError, OSError, HTTPClientError)
# Headers that identify the user to the Jupyter server; TensorBoard must not get them.
_PRIVATE = ("Cookie", "Authorization", "X-XSRFToken")


class TensorBoardService:
    """The manager of this server's boards, made at the first request. Keeps the links of running boards up to date."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._manager: TensorBoardManager | None = None
        self._making = threading.Lock()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Callable[[TensorBoardManager], T]) -> T:
        """What `question` returns, run in a thread."""
        if self._task is None:
            self._task = asyncio.create_task(self._refresh())
        return await self._backend.run(lambda: question(self._get()), "board")

    def _get(self) -> TensorBoardManager:
        with self._making:
            if self._manager is None:
                self._manager = TensorBoardManager(self._backend.settings, self._backend.store())
            return self._manager

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            if self._manager is not None:
                try:
                    await self._backend.run(self._manager.refresh, "board")
                except ImgclsError as error:
                    self._backend.log.warning("%s", self._backend.scrub(str(error)))

    async def close(self) -> None:
        """End the boards' processes."""
        if self._task is not None:
            self._task.cancel()
        if self._manager is not None:
            await self._backend.run(self._manager.close, "board")


class BoardHandlerBase(ApiHandler):
    def initialize(self, backend: Backend, boards: TensorBoardService) -> None:  # type: ignore[override]
        super().initialize(backend)
        self.boards = boards

    async def answer_with(self, question: Callable[[TensorBoardManager], Any], status: int = 200) -> None:
        self.reply(await self.boards.ask(lambda boards: to_json(question(boards))), status)


class BoardsHandler(BoardHandlerBase):
    """The list of boards, and a new one."""

    @permitted
    async def get(self) -> None:
        await self.answer_with(TensorBoardManager.all)

    @permitted
    async def post(self) -> None:
        request = self.body(BoardRequest)
        await self.answer_with(lambda boards: boards.open(request), 201)


class BoardHandler(BoardHandlerBase):
    @permitted
    async def delete(self, board_id: str) -> None:
        await self.answer_with(lambda boards: boards.delete(board_id))


class BoardStopHandler(BoardHandlerBase):
    @permitted
    async def post(self, board_id: str) -> None:
        await self.answer_with(lambda boards: boards.stop(board_id))


class BoardRestartHandler(BoardHandlerBase):
    @permitted
    async def post(self, board_id: str) -> None:
        await self.answer_with(lambda boards: boards.restart(board_id))


class BoardRunsHandler(BoardHandlerBase):
    """Which runs a board shows: POST adds some, PUT chooses anew."""

    @permitted
    async def put(self, board_id: str) -> None:
        request = self.body(RunIds)
        await self.answer_with(lambda boards: boards.choose(board_id, request.run_ids))

    @permitted
    async def post(self, board_id: str) -> None:
        request = self.body(RunIds)
        await self.answer_with(lambda boards: boards.add(board_id, request.run_ids))


class BoardProxyHandler(Guarded, ProxyHandler):  # type: ignore[misc]
    """What a board's tab shows."""

    SUPPORTED_METHODS = ("GET", "HEAD", "POST")
    unix_socket = "/proc/no-socket"  # the proxy's own client, which checks nothing, reaches nobody

    def initialize(self, boards: TensorBoardService) -> None:
        self.boards = boards
        self.socket = Path(self.unix_socket)

    @property
    def content_security_policy(self) -> str:
        """The tab is a frame of JupyterLab's page. A server behind JupyterHub allows no frame by default."""
        return "frame-ancestors 'self'"

    @permitted
    async def get(self, board_id: str, path: str) -> None:
        await self._forward(board_id, path)

    @permitted
    async def head(self, board_id: str, path: str) -> None:
        await self._forward(board_id, path)

    @permitted
    async def post(self, board_id: str, path: str) -> None:
        # TensorBoard reads with POST (time series), so it sends no XSRF token; it changes nothing, and a page of
        # another origin is refused before.
        if not self.check_origin():
            raise web.HTTPError(403)
        await self._forward(board_id, path)

    async def _forward(self, board_id: str, path: str) -> None:
        self.proxy_base = url_path_join("imgcls/tensorboard", board_id)
        try:
            try:
                await self._ask(board_id, path)
            except _ENDED:
                await self._ask(board_id, path)  # it ended after we found it alive: once more
        except _ENDED:
            self._send_page("TensorBoard ended while it was answering.", board_id, 503)
        except ImgclsError as error:
            self._send_page(str(error), board_id, 404 if isinstance(error, NotFoundError) else 503)

    async def _ask(self, board_id: str, path: str) -> None:
        self.socket = await self.boards.ask(partial(TensorBoardManager.ensure, board_id=board_id))
        await self.proxy("localhost", 0, f"/{path}")

    async def _proxy_buffered(self, host: str, port: int, path: str, body: bytes | None, _client: Any) -> None:
        await super()._proxy_buffered(host, port, path, body, private_client.client(self.socket))
        # the proxy has replaced all headers by TensorBoard's, whose policy lets every site frame it
        self.add_header("Content-Security-Policy", self.content_security_policy)

    async def _proxy_progressive(self, host: str, port: int, path: str, body: bytes | None, _client: Any) -> None:
        await super()._proxy_progressive(host, port, path, body, private_client.client(self.socket))

    def proxy_request_headers(self) -> HTTPHeaders:
        headers: HTTPHeaders = super().proxy_request_headers()
        for name in _PRIVATE:
            headers.pop(name, None)
        headers["Accept-Encoding"] = "gzip"
        return headers

    def _send_page(self, sentence: str, board_id: str, status: int) -> None:
        """A page with a sentence and a button, where the tab would be."""
        self.clear()
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        restart = url_path_join(self.base_url, PREFIX, "tensorboards", board_id, "restart")
        page = _PAGE.replace("{sentence}", xhtml_escape(sentence))
        self.finish(
            page.replace("{restart}", _in_script(restart)).replace("{xsrf}", _in_script(str(self.xsrf_token, "ascii")))
        )


def _in_script(text: str) -> str:
    """A text as a JavaScript literal that cannot end its script element."""
    return json.dumps(text).replace("<", "\\u003c")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>TensorBoard</title><style>
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 0 24px;
  display: grid; place-content: center; gap: 12px; min-height: 90vh; }
p { max-width: 60ch; margin: 0; } button { font: inherit; padding: 4px 14px; justify-self: start; }
</style></head><body>
<p id="sentence" role="alert">{sentence}</p><button id="restart">Restart TensorBoard</button>
<script>
document.getElementById("restart").addEventListener("click", async (event) => {
  event.target.disabled = true;
  const reply = await fetch({restart}, { method: "POST", headers: { "X-XSRFToken": {xsrf} } });
  if (reply.ok) return location.reload();
  document.getElementById("sentence").textContent = (await reply.json()).message;
  event.target.disabled = false;
});
</script></body></html>
"""


def routes(backend: Backend, boards: TensorBoardService) -> list[Route]:
    """The REST routes under the API's prefix, and the tab's own."""
    context = {"backend": backend, "boards": boards}
    return [
        route("api/tensorboards", BoardsHandler, **context),
        route("api/tensorboards/ID", BoardHandler, **context),
        route("api/tensorboards/ID/stop", BoardStopHandler, **context),
        route("api/tensorboards/ID/restart", BoardRestartHandler, **context),
        route("api/tensorboards/ID/runs", BoardRunsHandler, **context),
        route("tensorboard/ID/PATH", BoardProxyHandler, boards=boards),
    ]
