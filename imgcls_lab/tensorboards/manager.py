"""Boards: which runs a TensorBoard shows, and the life of the process that serves it.

What is chosen lies on disk (`shelf.py`); a process is started when somebody asks for its board (`process.py`) and ends
by itself when nobody does (`serve.py`). Used by the server extension, from threads; all methods block.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from imgcls_lab.errors import NotFoundError
from imgcls_lab.schemas import BoardRequest, BoardView
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.tensorboards.address import Address, Target, address
from imgcls_lab.tensorboards.process import BoardProcess
from imgcls_lab.tensorboards.registry import Choice, Shelf

MOST_ASLEEP = 20  # boards without a process that are remembered
_SOCKETS = "imgcls-tb"


class Boards:
    """All boards of one Jupyter server."""

    def __init__(self, settings: Settings, store: Store, *, make_address: Callable[[Path], Address] = address) -> None:
        self._settings = settings
        self._shelf = Shelf(settings, store)
        self._make_address = make_address
        _sweep_sockets()
        # A socket's path may have about 100 bytes, less than a home's path can have; mkdtemp gives a 0700 folder.
        me = psutil.Process()
        self._sockets = Path(tempfile.mkdtemp(prefix=f"{_SOCKETS}-{me.pid}-{int(me.create_time())}-"))
        self._processes: dict[str, BoardProcess] = {}
        self._lock = threading.Lock()

    # ── what is chosen ──────────────────────────────────────────────────────────────────────────────────────────
    def open(self, request: BoardRequest) -> BoardView:
        """The board of these runs, this sweep or project; made if there is none. Raises NotFoundError, InputError."""
        choice = self._shelf.choose(request)
        for old in [view for view in self.all() if view.state == "asleep" and view.id != choice.id][MOST_ASLEEP:]:
            self.delete(old.id)
        return self._view(choice)

    def add(self, board_id: str, run_ids: list[str]) -> BoardView:
        """Add runs to a board of runs; a running TensorBoard shows them within seconds."""
        choice = self._shelf.read(board_id)
        return self._view(self._shelf.set_runs(choice, [*choice.run_ids, *run_ids]))

    def choose(self, board_id: str, run_ids: list[str]) -> BoardView:
        """Let a board show these runs and no others; a running TensorBoard follows within seconds."""
        return self._view(self._shelf.set_runs(self._shelf.read(board_id), run_ids))

    def all(self) -> list[BoardView]:
        """All boards: those that run first, then the newest."""
        return sorted(map(self._view, self._shelf.all()), key=lambda view: view.state != "running")

    def delete(self, board_id: str) -> None:
        """Stop and forget a board; the runs stay."""
        self.stop(board_id)
        with self._lock:
            self._processes.pop(board_id, None)
        self._shelf.delete(board_id)

    # ── the process ─────────────────────────────────────────────────────────────────────────────────────────────
    def ensure(self, board_id: str) -> Target:
        """Where the board's TensorBoard answers; started if it sleeps. Raises ImgclsError when it cannot start."""
        process = self._process(board_id)
        if process.serving:  # the way of nearly every request: no lock
            return process.target
        with process.lock:
            if not process.serving:
                process.end()
                self._shelf.link(self._shelf.read(board_id))
                log = self._shelf.folder(board_id) / "log"
                process.start(self._shelf.logdir(board_id), log, self._settings.tb_idle_timeout)
            return process.target

    def stop(self, board_id: str) -> BoardView:
        """End the board's TensorBoard and free its memory; opening the board starts it again."""
        choice = self._shelf.read(board_id)
        process = self._process(board_id)
        with process.lock:
            process.end()
        return self._view(choice)

    def restart(self, board_id: str) -> BoardView:
        """Stop, then start anew."""
        self.stop(board_id)
        self.ensure(board_id)
        return self._view(self._shelf.read(board_id))

    def refresh(self) -> None:
        """Show new runs of a project, and new names, in the boards that run. Called every few seconds."""
        for board_id, process in [*self._processes.items()]:
            if process.alive:
                with contextlib.suppress(NotFoundError):  # forgotten meanwhile
                    self._shelf.link(self._shelf.read(board_id))

    def close(self) -> None:
        """End all processes and remove the sockets; at the end of the Jupyter server."""
        for process in [*self._processes.values()]:
            with process.lock:
                process.end()
        shutil.rmtree(self._sockets, ignore_errors=True)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _process(self, board_id: str) -> BoardProcess:
        with self._lock:
            if board_id not in self._processes:
                self._shelf.read(board_id)
                path = self._sockets / hashlib.sha256(board_id.encode()).hexdigest()[:12]
                self._processes[board_id] = BoardProcess(self._make_address(path))
            return self._processes[board_id]

    def _view(self, choice: Choice) -> BoardView:
        process = self._processes.get(choice.id)
        message, memory = (process.message, process.memory) if process else (None, None)
        return BoardView(
            **choice.model_dump(),
            state="running" if memory is not None else "failed" if message else "asleep",
            message=message,
            memory=memory,
            started_at=process.started_at if process and memory is not None else None,
        )


def _sweep_sockets() -> None:
    """Remove the socket folders of this user's servers that are dead (a kill -9 leaves them)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SOCKETS}-*-*-*"):
        pid, born = folder.name.split("-")[2:4]
        own = not hasattr(os, "getuid") or folder.lstat().st_uid == os.getuid()
        if own and pid.isdigit() and born.isdigit() and not _lives(int(pid), int(born)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int, born: int) -> bool:
    try:
        return int(psutil.Process(pid).create_time()) == born
    except psutil.Error:
        return False
