"""Which runs each board shows, on disk: `<home>/tensorboard/<id>/` with `board.json` and `logdir/`, a link a run.

The links have the names of the runs in the panel, so that TensorBoard shows these names. A run is added without a
restart. Used by `manager.py`; starts nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import TENSORBOARD, elsewhere, write_atomic
from imgcls_lab.run_paths import is_folder
from imgcls_lab.schemas import BoardRequest, RunView
from imgcls_lab.schemas.limits import MAX_RUNS
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.claims import refuse_view_only

MAX_FOLLOWED = 1_000  # runs of a project or sweep, the newest
_ID = re.compile(r"[a-z]+-[0-9a-z-]{1,40}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]+')  # characters that no file name has


class Board(BaseModel):
    """What `board.json` holds: a project or a sweep, whose runs are followed, or some runs."""

    id: str
    title: str
    project_id: int | None = None
    sweep_id: str | None = None
    run_ids: list[str] = []

    @property
    def follows(self) -> bool:
        return self.project_id is not None or self.sweep_id is not None


class BoardRegistry:
    """The boards of a home."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self.root = settings.home_path / "tensorboard"
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._linking = threading.Lock()

    def folder(self, board_id: str) -> Path:
        return self.root / board_id

    def logdir(self, board_id: str) -> Path:
        return self.root / board_id / "logdir"

    def all(self) -> list[Board]:
        """All boards, the newest first."""
        found: list[tuple[float, Board]] = []
        for path in self.root.glob("*/board.json"):
            with contextlib.suppress(OSError, NotFoundError):  # it was deleted meanwhile
                found.append((path.stat().st_mtime, self.read(path.parent.name)))
        return [board for _, board in sorted(found, key=lambda item: item[0], reverse=True)]

    def choose(self, request: BoardRequest) -> Board:
        """The board that a request names, written anew. Raises NotFoundError, InputError."""
        if request.project_id is not None:
            project = self._store.projects.get(request.project_id)
            return self.write(Board(id=f"project-{project.id}", title=project.name, project_id=project.id))
        if request.sweep_id is not None:
            sweep = self._store.runs.get(request.sweep_id)
            return self.write(Board(id=f"sweep-{sweep.id}", title=sweep.name, sweep_id=sweep.id))
        if not request.run_ids:
            raise InputError("Name the runs, the sweep or the project that TensorBoard should show.")
        ids = [self._store.runs.get(run_id).id for run_id in dict.fromkeys(request.run_ids)]
        digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12]
        board_id = f"run-{ids[0]}" if len(ids) == 1 else f"runs-{digest}"
        # runs that were added to this board by hand stay; those that are asked for are there in any case
        kept: list[str] = []
        with contextlib.suppress(NotFoundError):
            kept = [run.id for run in self._existing(self.read(board_id).run_ids)]
        return self.set_runs(Board(id=board_id, title=""), [*kept, *ids])

    def set_runs(self, board: Board, run_ids: Sequence[str]) -> Board:
        """Let a board show these runs and no others. Raises NotFoundError, InputError."""
        if board.follows:
            what = "project" if board.project_id is not None else "sweep"
            raise InputError(f"This TensorBoard shows the {what} “{board.title}”; open one for the runs instead.")
        runs = [self._store.runs.get(run_id) for run_id in dict.fromkeys(run_ids)]
        absent = next((run.elsewhere for run in runs if run.elsewhere is not None), None)
        if absent is not None:
            raise NotFoundError(absent, reason="another_home")
        if not runs:
            raise InputError("A TensorBoard shows one run at least.")
        for run in runs:
            refuse_view_only(run)
        if len(runs) > MAX_RUNS:
            raise InputError(f"A TensorBoard shows {MAX_RUNS} runs at most, not {len(runs)}; leave some out.")
        title = runs[0].name if len(runs) == 1 else counted(len(runs), "run")
        return self.write(board.model_copy(update={"run_ids": [run.id for run in runs], "title": title}))

    def read(self, board_id: str) -> Board:
        """Raises NotFoundError if there is no such board."""
        try:
            if _ID.fullmatch(board_id):
                return Board.model_validate_json((self.root / board_id / "board.json").read_bytes())
        except (OSError, ValidationError):  # opening it again writes it anew
            pass
        raise NotFoundError("There is no such TensorBoard; open it again from the panel.")

    def write(self, board: Board) -> Board:
        folder = self.folder(board.id)
        self.logdir(board.id).mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_atomic(folder / "board.json", board.model_dump_json())
        self.link(board)
        return board

    def delete(self, board_id: str) -> None:
        """Delete a board; its runs stay."""
        with self._linking:
            shutil.rmtree(self.folder(board_id))

    def link(self, board: Board) -> None:
        """Make `logdir/` hold exactly one link a run, under the run's name."""
        wanted: dict[str, Path] = {}
        for run in self._runs(board):
            if run.view_only:
                continue
            name = _UNSAFE.sub("_", run.name).strip(" .")[:80] or run.id
            target = self._settings.run_dir(run.id) / TENSORBOARD
            if target.is_symlink() and not self._leads_where_its_config_says(run):
                continue
            wanted[name if name not in wanted else f"{name} {run.id[-6:]}"] = target
        folder = self.logdir(board.id)
        with self._linking:
            present = {path.name: path.readlink() for path in folder.iterdir()}
            for name in present.keys() - {name for name, target in wanted.items() if present.get(name) == target}:
                (folder / name).unlink()
                del present[name]
            for name in wanted.keys() - present.keys():
                (folder / name).symlink_to(wanted[name])

    def _leads_where_its_config_says(self, run: RunView) -> bool:
        """Whether the link in a run's folder leads to its `tb_root`, or to a training inside the folder."""
        folder = self._settings.run_dir(run.id)
        try:
            config = self._store.runs.get(run.id).config
        except NotFoundError:  # it was deleted meanwhile
            return False
        return is_folder(folder, TENSORBOARD, elsewhere(config, folder))

    def _runs(self, board: Board) -> list[RunView]:
        if board.follows:
            page = self._store.runs.list(project_id=board.project_id, parent_id=board.sweep_id, limit=MAX_FOLLOWED)
            return [run for run in page.items if self._is_here(run)]
        return self._existing(board.run_ids)

    def _is_here(self, run: RunView) -> bool:
        return run.home in ("", self._store.database.home)

    def _existing(self, run_ids: Sequence[str]) -> list[RunView]:
        """Those of the runs that were not deleted since."""
        runs: list[RunView] = []
        for run_id in dict.fromkeys(run_ids):
            try:
                runs.append(self._store.runs.get(run_id))
            except NotFoundError:
                continue
        return runs
