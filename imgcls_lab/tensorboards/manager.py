"""The TensorBoards of one Jupyter server: which runs each shows, and the process that serves it.

The boards lie on disk (`registry.py`). A process is started for the first request to its board (`socket_process.py`)
and ends by itself without requests (`serve.py`). Used by the server extension, from threads; all methods block.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
from pathlib import Path

from imgcls_lab.entry_points import TENSORBOARD
from imgcls_lab.errors import NotFoundError, TensorBoardError
from imgcls_lab.private_folder import SOCKET_NAME, RuntimeFolder
from imgcls_lab.schemas import BoardRequest, BoardView
from imgcls_lab.settings import Settings
from imgcls_lab.socket_process import SocketProcess
from imgcls_lab.store import Store
from imgcls_lab.tensorboards.registry import Board, BoardRegistry

MAX_ASLEEP = 20  # boards without a process that are remembered


class TensorBoardManager:
    """All boards of one Jupyter server."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._registry = BoardRegistry(settings, store)
        self._sockets = RuntimeFolder(settings.home_path, "tb")
        self._processes: dict[str, SocketProcess] = {}
        self._lock = threading.Lock()

    # ── the boards ──────────────────────────────────────────────────────────────────────────────────────────────
    def open(self, request: BoardRequest) -> BoardView:
        """The board of these runs, this sweep or project; made if there is none. Raises NotFoundError, InputError."""
        board = self._registry.choose(request)
        for old in [view for view in self.all() if view.state == "asleep" and view.id != board.id][MAX_ASLEEP:]:
            self.delete(old.id)
        return self._view(board)

    def add(self, board_id: str, run_ids: list[str]) -> BoardView:
        """Add runs to a board of runs; a running TensorBoard shows them within seconds."""
        board = self._registry.read(board_id)
        return self._view(self._registry.set_runs(board, [*board.run_ids, *run_ids]))

    def choose(self, board_id: str, run_ids: list[str]) -> BoardView:
        """Let a board show these runs and no others; a running TensorBoard follows within seconds."""
        return self._view(self._registry.set_runs(self._registry.read(board_id), run_ids))

    def all(self) -> list[BoardView]:
        """All boards: those that run first, then the newest."""
        return sorted(map(self._view, self._registry.all()), key=lambda view: view.state != "running")

    def delete(self, board_id: str) -> None:
        """Stop and delete a board; the runs stay."""
        self.stop(board_id)
        with self._lock:
            self._processes.pop(board_id, None)
        self._registry.delete(board_id)

    # ── the process ─────────────────────────────────────────────────────────────────────────────────────────────
    def ensure(self, board_id: str) -> Path:
        """The socket of the board's TensorBoard; started if it sleeps. Raises ImgclsError if it cannot start."""
        process = self._process(board_id)
        if (serving := process.serving) is not None:  # nearly every request comes here, without a lock
            return serving
        with process.lock:
            if (serving := process.serving) is not None:
                return serving
            process.end()
            self._registry.link(self._registry.read(board_id))
            log = self._registry.folder(board_id) / "log"
            logdir, idle = str(self._registry.logdir(board_id)), str(self._settings.tb_idle_timeout)
            return process.start(lambda path: TENSORBOARD.argv(sys.executable, logdir, str(path), idle), log)

    def stop(self, board_id: str) -> BoardView:
        """End the board's TensorBoard and free its memory; opening the board starts it again."""
        board = self._registry.read(board_id)
        process = self._process(board_id)
        with process.lock:
            process.end()
        return self._view(board)

    def restart(self, board_id: str) -> BoardView:
        """Stop, then start anew."""
        self.stop(board_id)
        self.ensure(board_id)
        return self._view(self._registry.read(board_id))

    def refresh(self) -> None:
        """Show new runs of a project, and new names, in the boards that run. Called every few seconds."""
        for board_id, process in [*self._processes.items()]:
            if process.alive:
                with contextlib.suppress(NotFoundError):  # it was deleted meanwhile
                    self._registry.link(self._registry.read(board_id))

    def close(self) -> None:
        """End all processes and remove the sockets; at the end of the Jupyter server."""
        for process in [*self._processes.values()]:
            with process.lock:
                process.end()
        self._sockets.remove()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _process(self, board_id: str) -> SocketProcess:
        with self._lock:
            if board_id not in self._processes:
                self._registry.read(board_id)
                name = hashlib.sha256(board_id.encode()).hexdigest()[:SOCKET_NAME]
                self._processes[board_id] = SocketProcess(self._sockets, name, "TensorBoard", TensorBoardError)
            return self._processes[board_id]

    def _view(self, board: Board) -> BoardView:
        process = self._processes.get(board.id)
        message, memory = (process.message, process.memory) if process else (None, None)
        return BoardView(
            **board.model_dump(),
            state="running" if memory is not None else "failed" if message else "asleep",
            message=message,
            memory=memory,
            started_at=process.started_at if process and memory is not None else None,
        )
