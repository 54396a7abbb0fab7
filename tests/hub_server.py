"""A Hugging Face hub of one model on this machine, which sends half of the weights and then waits.

Programs that are to ask it get `environment`: the hub's library reads it when it is imported.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = "org/model"
COMMIT = 40 * "a"
WEIGHTS = "model.safetensors"
MOST = 120.0  # s that it waits for `go_on`


class Hub:
    """half_sent: a program waits for the rest of the weights; go_on: they are sent whole from now on."""

    def __init__(self, model: Path, cache: Path) -> None:
        self.half_sent, self.go_on = threading.Event(), threading.Event()
        self.cache = cache
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(model))
        self._server.daemon_threads = True

    @property
    def environment(self) -> dict[str, str]:
        port = self._server.server_address[1]
        return {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_HUB_CACHE": str(self.cache), "HF_HUB_OFFLINE": "0"}

    def half_files(self) -> list[Path]:
        """What downloads that ended in the middle have left in the cache."""
        return [*self.cache.rglob("*.incomplete")]

    def serve(self) -> None:
        self._server.serve_forever()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self, model: Path) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                content = self._answer()
                if content is None:
                    return
                with suppress(BrokenPipeError, ConnectionResetError):  # who gave it up
                    if self.path.endswith(WEIGHTS) and not hub.go_on.is_set():
                        self.wfile.write(content[: len(content) // 2])
                        self.wfile.flush()
                        hub.half_sent.set()
                        hub.go_on.wait(MOST)
                        content = content[len(content) // 2 :]
                    self.wfile.write(content)

            def _answer(self) -> bytes | None:
                """The head of the answer; the content of the file that it is about."""
                place, _, name = self.path.partition("/resolve/")
                file = model / name.partition("/")[2]
                content = file.read_bytes() if place == f"/{NAME}" and file.is_file() else None
                self.send_response(200 if content is not None else 404)
                self.send_header("X-Repo-Commit", COMMIT)
                if content is None:
                    self.send_header("X-Error-Code", "EntryNotFound")
                else:
                    self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                return content

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def serving(model: Path, cache: Path) -> Iterator[Hub]:
    """The hub of a model's folder, and the cache into which programs download from it."""
    hub = Hub(model, cache)
    thread = threading.Thread(target=hub.serve, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.close()
        thread.join(10)
