"""One TensorBoard on a unix socket: `python -m imgcls_lab.tensorboards.serve LOGDIR SOCKET IDLE_SECONDS`.

Started by `manager.py` alone. TensorBoard has no option for a unix socket and no idle time-out. So this module gives it
a server class over werkzeug's `unix://`, and a watchdog that ends the process when no request has come for a while or
when its parent has ended. It opens no TCP port, and reads nothing but its log folder.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
from tensorboard import default, program
from tensorboard.backend.event_processing import io_wrapper
from tensorboard.program import TensorBoardServer
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from imgcls_lab import private_sockets
from imgcls_lab.errors import UnsafeFolderError

WATCH_SECONDS = 1.0
RELOAD_SECONDS = 3
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
MAX_FOLDERS, MAX_DEPTH = 1_000, 8  # of one run
SCALARS = 10_000  # a tag; the engine writes about 6,000 of a million steps, so nothing is dropped


class _Handler(WSGIRequestHandler):
    """HTTP/1.1 as TensorBoard's own handler has it. It logs nothing: the Jupyter server logs requests already."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


class Activity:
    """WSGI middleware that remembers the time of the last request."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self.last = time.monotonic()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.last = time.monotonic()
        return self._app(environ, start_response)


class RelativeFonts:
    """WSGI middleware: TensorBoard's page asks for its fonts at the root of the host, where Jupyter has none."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") not in ("/", "/index.html"):
            return self._app(environ, start_response)
        page = Response.from_app(self._app, environ)
        page.set_data(page.get_data().replace(b"url(/font-roboto/", b"url(font-roboto/"))
        return page(environ, start_response)


def server_class(path: Path, idle_seconds: float) -> Callable[[Any, Any], TensorBoardServer]:
    """A TensorBoard server class for the unix socket `path`, which serves this user's processes alone.

    The server ends after `idle_seconds` without a request (0: never).
    """

    class BoardServer(ThreadedWSGIServer, TensorBoardServer):  # type: ignore[misc]
        daemon_threads = True

        def __init__(self, wsgi_app: Any, _flags: Any) -> None:
            activity = Activity(RelativeFonts(wsgi_app))
            with socket.socket(socket.AF_UNIX) as listener:  # the server keeps a copy of the descriptor
                private_sockets.bind(listener, path)
                listener.listen(128)
                super().__init__(f"unix://{path}", 0, activity, _Handler, fd=listener.fileno())
            threading.Thread(target=self._watch, args=(activity, psutil.Process(os.getppid())), daemon=True).start()

        def verify_request(self, request: Any, _address: Any) -> bool:
            try:
                private_sockets.require_own_peer(request)
            except UnsafeFolderError as error:
                print(error, file=sys.stderr, flush=True)
                return False
            return True

        def _watch(self, activity: Activity, parent: psutil.Process) -> None:
            while self._has(parent) and not (idle_seconds and time.monotonic() - activity.last > idle_seconds):
                time.sleep(WATCH_SECONDS)
            path.unlink(missing_ok=True)  # first: the next request starts another process
            self.shutdown()

        @staticmethod
        def _has(parent: psutil.Process) -> bool:
            return os.getppid() == parent.pid and parent.is_running()  # a dead parent may stay a zombie that “runs”

        def get_url(self) -> str:
            return f"unix://{path}"

        def print_serving_message(self) -> None:
            """Print nothing: nobody opens this address by hand."""

    return BoardServer


def event_folders(logdir: str) -> Iterator[tuple[str, list[str]]]:
    """(folder, its files) below a log folder. Its own links, one a run, are followed, and no link below them is.

    A link in a run's folder could lead through the whole disk, and a pipe would stop TensorBoard.
    """
    with os.scandir(logdir) as entries:
        runs = [entry.path for entry in entries if entry.is_dir()]
    yield logdir, []
    for run in runs:
        for number, (folder, _, _) in enumerate(os.walk(run)):
            if number >= MAX_FOLDERS or folder.count(os.sep) - run.count(os.sep) > MAX_DEPTH:
                break
            yield folder, event_files(folder)


def event_files(folder: str) -> list[str]:
    """The plain files in a folder. Raises OSError as TensorBoard's own function does."""
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries if entry.is_file(follow_symlinks=False)]


def main(logdir: Path, path: Path, idle_seconds: float) -> None:
    """Serve until idle, orphaned or terminated. The socket goes with the process, and its folder with the manager."""
    io_wrapper.ListRecursivelyViaWalking, io_wrapper.ListDirectoryAbsolute = event_folders, event_files
    board = program.TensorBoard(default.get_plugins(), server_class=server_class(path, idle_seconds))
    board.configure(
        argv=[
            "tensorboard",
            f"--logdir={logdir}",
            "--load_fast=false",  # the fast data loader opens a TCP port
            f"--reload_interval={RELOAD_SECONDS}",
            f"--samples_per_plugin=scalars={SCALARS},images=50,pr_curves=100,histograms=100",
        ]
    )
    server = board._make_server()
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    try:
        server.serve_forever()
    finally:
        server.server_close()
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
