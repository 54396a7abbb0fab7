"""One TensorBoard on a unix socket: `python -m imgcls_lab.boards.serve LOGDIR SOCKET IDLE_SECONDS`.

Started by `keeper.py` and by nobody else. TensorBoard has no unix-socket option and no idle time-out, so this gives
it a server class over werkzeug's `unix://`, and a watchdog that ends the process when nobody has asked for anything
for a while or when its parent is gone. It opens no TCP port and reads nothing but its log folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tensorboard import default, program
from tensorboard.program import TensorBoardServer
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

WATCH_SECONDS = 1.0
RELOAD_SECONDS = 3


class _Handler(WSGIRequestHandler):
    """HTTP/1.1 as TensorBoard's own handler has it, and silence: the Jupyter server logs requests already."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class Activity:
    """WSGI middleware that remembers when somebody last asked for something."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self.last = time.monotonic()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.last = time.monotonic()
        return self._app(environ, start_response)


def server_class(path: Path, idle_seconds: float) -> Callable[[Any, Any], TensorBoardServer]:
    """A TensorBoard server class that listens on `path` (mode 0600) and ends after `idle_seconds` (0: never)."""

    class UnixServer(ThreadedWSGIServer, TensorBoardServer):  # type: ignore[misc]
        daemon_threads = True

        def __init__(self, wsgi_app: Any, _flags: Any) -> None:
            activity = Activity(wsgi_app)
            before = os.umask(0o177)  # the socket is 0600 from its first moment
            try:
                super().__init__(f"unix://{path}", 0, activity, _Handler)
            finally:
                os.umask(before)
            threading.Thread(target=self._watch, args=(activity, os.getppid()), daemon=True).start()

        def _watch(self, activity: Activity, parent: int) -> None:
            while os.getppid() == parent and not (idle_seconds and time.monotonic() - activity.last > idle_seconds):
                time.sleep(WATCH_SECONDS)
            path.unlink(missing_ok=True)  # first: who comes now starts another process
            self.shutdown()

        def get_url(self) -> str:
            return f"unix://{path}"

        def print_serving_message(self) -> None:
            """Say nothing: nobody opens this address by hand."""

    return UnixServer


def main(logdir: Path, path: Path, idle_seconds: float) -> None:
    """Serve until idle, orphaned or terminated; the socket and its folder go with the process."""
    board = program.TensorBoard(default.get_plugins(), server_class=server_class(path, idle_seconds))
    # The fast data loader opens a TCP port. 2,000 scalars a tag are what a screen shows.
    board.configure(
        argv=[
            "tensorboard",
            f"--logdir={logdir}",
            "--load_fast=false",
            f"--reload_interval={RELOAD_SECONDS}",
            "--samples_per_plugin=scalars=2000,images=50,pr_curves=100",
        ]
    )
    server = board._make_server()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever()
    finally:
        server.server_close()
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # other boards still have theirs in it
            path.parent.rmdir()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
