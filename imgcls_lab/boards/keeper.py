"""Boards: which runs a TensorBoard shows, and the life of the process that serves it.

A board is a folder `<home>/tensorboard/<id>/`: `board.json` says what was chosen, `logdir/` holds a link a run, named
as the run is in the panel, so that adding a run needs no restart. Its process is started when somebody asks for the
board and ends by itself when nobody does (`serve.py`). Used by the server extension, from threads; all methods block.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel, ValidationError

from imgcls_lab.errors import ImgclsError, InputError, NotFoundError
from imgcls_lab.layout import TENSORBOARD, write_atomic
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.wire import BoardRequest, BoardView, RunView

START_SECONDS = 30.0
_ID = re.compile(r"[a-z]+-[0-9a-z-]{1,40}")
_UNSAFE = re.compile(r"[^\w .,+=()-]+")
# What the process needs of our environment; nothing that may hold a secret.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")


class _Spec(BaseModel):
    """What `board.json` holds."""

    id: str
    title: str
    project_id: int | None
    run_ids: list[str]


class _Process:
    """The process of one board, and the lock under which it is started and stopped."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.socket = path
        self.popen: subprocess.Popen[bytes] | None = None
        self.started_at: float | None = None
        self.message: str | None = None

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def serving(self) -> bool:
        """Whether somebody listens. A process that is about to end has taken its socket away first."""
        if not self.alive:
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True


class Boards:
    """All boards of one Jupyter server."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._root = settings.home_path / "tensorboard"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep_sockets()
        # A socket's path may have about 100 bytes, less than a home's path can have; mkdtemp gives a 0700 folder.
        self._sockets = Path(tempfile.mkdtemp(prefix=f"imgcls-tb-{os.getpid()}-"))
        self._processes: dict[str, _Process] = {}
        self._lock = threading.Lock()

    # ── what is chosen ──────────────────────────────────────────────────────────────────────────────────────────
    def open(self, request: BoardRequest) -> BoardView:
        """The board of these runs or this project; made if there is none. Raises NotFoundError, InputError."""
        if request.project_id is not None:
            project = self._store.project(request.project_id)
            spec = _Spec(id=f"project-{project.id}", title=project.name, project_id=project.id, run_ids=[])
        elif request.run_ids:
            runs = [self._store.run(run_id) for run_id in dict.fromkeys(request.run_ids)]
            ids = [run.id for run in runs]
            digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12]
            spec = _Spec(
                id=f"run-{ids[0]}" if len(ids) == 1 else f"runs-{digest}",
                title=_title(runs),
                project_id=None,
                run_ids=ids,
            )
        else:
            raise InputError("Name the runs or the project that TensorBoard should show.")
        if not (self._root / spec.id / "board.json").exists():
            self._save(spec)
        self._link(self._spec(spec.id))
        return self._view(spec.id)

    def add(self, board_id: str, run_ids: list[str]) -> BoardView:
        """Add runs to a board of runs; a running TensorBoard shows them within seconds."""
        spec = self._spec(board_id)
        added = [self._store.run(run_id).id for run_id in run_ids]
        spec = spec.model_copy(update={"run_ids": list(dict.fromkeys([*spec.run_ids, *added]))})
        self._save(spec)
        self._link(spec)
        return self._view(board_id)

    def choose(self, board_id: str, run_ids: list[str]) -> BoardView:
        """Let a board show these runs and no others; a running TensorBoard follows within seconds."""
        spec = self._spec(board_id)
        if spec.project_id is not None:
            raise InputError(f"This TensorBoard shows the project “{spec.title}”; open one for the runs instead.")
        runs = [self._store.run(run_id) for run_id in dict.fromkeys(run_ids)]
        if not runs:
            raise InputError("A TensorBoard shows one run at least.")
        spec = spec.model_copy(update={"run_ids": [run.id for run in runs], "title": _title(runs)})
        self._save(spec)
        self._link(spec)
        return self._view(board_id)

    def all(self) -> list[BoardView]:
        """All boards, those that run first."""
        ids = [path.parent.name for path in self._root.glob("*/board.json")]
        views = [self._view(board_id) for board_id in sorted(ids, reverse=True)]
        return sorted(views, key=lambda view: view.state != "running")

    def delete(self, board_id: str) -> None:
        """Stop and forget a board; the runs stay."""
        self._spec(board_id)
        self.stop(board_id)
        shutil.rmtree(self._root / board_id)

    # ── the process ─────────────────────────────────────────────────────────────────────────────────────────────
    def ensure(self, board_id: str) -> Path:
        """The socket of the board's TensorBoard, started if it sleeps. Raises ImgclsError when it cannot start."""
        process = self._process(board_id)
        if process.serving:  # the way of nearly every request: no lock, no disk
            return process.socket
        with process.lock:
            if not process.serving:
                self._end(process)
                self._link(self._spec(board_id))
                self._start(board_id, process)
        return process.socket

    def stop(self, board_id: str) -> BoardView:
        """End the board's TensorBoard and free its memory; opening the board starts it again."""
        spec = self._spec(board_id)
        process = self._process(board_id)
        with process.lock:
            self._end(process)
            process.message = None
        return self._view(spec.id)

    def restart(self, board_id: str) -> BoardView:
        """Stop, then start anew."""
        self.stop(board_id)
        self.ensure(board_id)
        return self._view(board_id)

    def refresh(self) -> None:
        """Show new runs of a project, and new names, in the boards that run. Called every few seconds."""
        for board_id, process in [*self._processes.items()]:
            if process.alive:
                self._link(self._spec(board_id))

    def close(self) -> None:
        """End all processes and remove the sockets; at the end of the Jupyter server."""
        for board_id in [*self._processes]:
            if (self._root / board_id).exists():
                self.stop(board_id)
        shutil.rmtree(self._sockets, ignore_errors=True)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _process(self, board_id: str) -> _Process:
        with self._lock:
            if board_id not in self._processes:
                self._spec(board_id)
                self._processes[board_id] = _Process(self._sockets / hashlib.sha256(board_id.encode()).hexdigest()[:12])
            return self._processes[board_id]

    @staticmethod
    def _end(process: _Process) -> None:
        if process.popen is not None:
            process.popen.terminate()
            try:
                process.popen.wait(5)
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()
        process.popen = None
        with contextlib.suppress(OSError):  # gone, or a name no socket can have
            process.socket.unlink()

    def _start(self, board_id: str, process: _Process) -> None:
        self._sockets.mkdir(mode=0o700, exist_ok=True)  # the last process to end removes it
        log = self._root / board_id / "log"
        arguments = [str(self._root / board_id / "logdir"), str(process.socket), str(self._settings.tb_idle_timeout)]
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            process.popen = subprocess.Popen(
                [sys.executable, "-m", "imgcls_lab.boards.serve", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                start_new_session=True,
            )
        process.started_at, process.message = time.time(), None
        deadline = time.monotonic() + START_SECONDS
        while not process.serving:
            if process.popen.poll() is not None or time.monotonic() > deadline:
                process.popen.kill()
                process.popen.wait()
                process.message = f"TensorBoard did not start: {_last_line(log)}"
                raise ImgclsError(process.message)
            time.sleep(0.03)

    def _spec(self, board_id: str) -> _Spec:
        path = self._root / board_id / "board.json"
        if not _ID.fullmatch(board_id) or not path.is_file():
            raise NotFoundError("There is no such TensorBoard; open it again from the panel.")
        try:
            return _Spec.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ImgclsError(f"{path} is damaged; delete this TensorBoard and open it again.") from error

    def _save(self, spec: _Spec) -> None:
        folder = self._root / spec.id
        (folder / "logdir").mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_atomic(folder / "board.json", spec.model_dump_json())

    def _runs(self, spec: _Spec) -> list[RunView]:
        if spec.project_id is not None:
            return self._store.runs(project_id=spec.project_id, limit=1000).items
        runs: list[RunView] = []
        for run_id in spec.run_ids:
            try:
                runs.append(self._store.run(run_id))
            except NotFoundError:  # deleted since: a board shows what is left of its choice
                continue
        return runs

    def _link(self, spec: _Spec) -> None:
        """Make `logdir/` hold exactly one link a run, under the run's name."""
        folder = self._root / spec.id / "logdir"
        folder.mkdir(mode=0o700, exist_ok=True)
        wanted: dict[str, Path] = {}
        for run in self._runs(spec):
            name = _UNSAFE.sub("_", run.name).strip(" .")[:80] or run.id
            target = self._settings.run_dir(run.id) / TENSORBOARD
            wanted[name if name not in wanted else f"{name} {run.id[-6:]}"] = target
        present = {path.name: path for path in folder.iterdir()}
        for name, path in present.items():
            if wanted.get(name) != path.readlink():
                path.unlink()
                present[name] = folder
        for name, target in wanted.items():
            if present.get(name, folder) == folder:
                (folder / name).symlink_to(target)

    def _view(self, board_id: str) -> BoardView:
        spec = self._spec(board_id)
        process = self._processes.get(board_id)
        memory = None
        message = process.message if process else None
        if process and process.popen and not message and process.popen.poll():
            message = "TensorBoard ended unexpectedly. Restart it; the runs are not touched."
        if process is not None and process.alive and process.popen is not None:
            try:
                memory = psutil.Process(process.popen.pid).memory_info().rss
            except psutil.NoSuchProcess:  # ended between the two questions
                memory = None
        return BoardView(
            id=spec.id,
            title=spec.title,
            project_id=spec.project_id,
            run_ids=spec.run_ids,
            state="running" if memory is not None else "failed" if message else "asleep",
            message=message,
            memory=memory,
            started_at=process.started_at if process and memory is not None else None,
        )


def _title(runs: Sequence[RunView]) -> str:
    return runs[0].name if len(runs) == 1 else f"{len(runs)} runs"


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing."


def _sweep_sockets() -> None:
    """Remove the socket folders of this user's servers that are dead (a kill -9 leaves them)."""
    for folder in Path(tempfile.gettempdir()).glob("imgcls-tb-*"):
        pid = folder.name.split("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)) and folder.lstat().st_uid == os.getuid():
            shutil.rmtree(folder, ignore_errors=True)
