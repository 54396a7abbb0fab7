"""Which runs each board shows, on disk: `<home>/tensorboard/<id>/` with `board.json` and `logdir/`, a link a run.

Links are named as the runs are in the panel, so that TensorBoard shows names, and a run is added without a restart.
Used by `keeper.py`; starts nothing.
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
from imgcls_lab.run_layout import TENSORBOARD, write_atomic
from imgcls_lab.schemas import MOST_BOARD_RUNS, BoardRequest, RunView
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

MOST_FOLLOWED = 1_000  # runs of a project or sweep, the newest
_ID = re.compile(r"[a-z]+-[0-9a-z-]{1,40}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\<>:"|?*]+')  # what no file name holds, on any system


class Choice(BaseModel):
    """What `board.json` holds: a project or a sweep, whose runs are followed, or some runs."""

    id: str
    title: str
    project_id: int | None = None
    sweep_id: str | None = None
    run_ids: list[str] = []

    @property
    def follows(self) -> bool:
        return self.project_id is not None or self.sweep_id is not None


class Shelf:
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

    def all(self) -> list[Choice]:
        """The choices that are kept, the newest first."""
        found: list[tuple[float, Choice]] = []
        for path in self.root.glob("*/board.json"):
            with contextlib.suppress(OSError, NotFoundError):  # forgotten meanwhile
                found.append((path.stat().st_mtime, self.read(path.parent.name)))
        return [choice for _, choice in sorted(found, key=lambda item: item[0], reverse=True)]

    def choose(self, request: BoardRequest) -> Choice:
        """The choice that a request names, written anew. Raises NotFoundError, InputError."""
        if request.project_id is not None:
            project = self._store.projects.get(request.project_id)
            return self.write(Choice(id=f"project-{project.id}", title=project.name, project_id=project.id))
        if request.sweep_id is not None:
            sweep = self._store.runs.get(request.sweep_id)
            return self.write(Choice(id=f"sweep-{sweep.id}", title=sweep.name, sweep_id=sweep.id))
        if not request.run_ids:
            raise InputError("Name the runs, the sweep or the project that TensorBoard should show.")
        ids = [self._store.runs.get(run_id).id for run_id in dict.fromkeys(request.run_ids)]
        digest = hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12]
        board_id = f"run-{ids[0]}" if len(ids) == 1 else f"runs-{digest}"
        # runs that were added to this board by hand stay; those that are asked for are there in any case
        kept: list[str] = []
        with contextlib.suppress(NotFoundError):
            kept = [run.id for run in self._existing(self.read(board_id).run_ids)]
        return self.set_runs(Choice(id=board_id, title=""), [*kept, *ids])

    def set_runs(self, choice: Choice, run_ids: Sequence[str]) -> Choice:
        """Let a board show these runs and no others. Raises NotFoundError, InputError."""
        if choice.follows:
            what = "project" if choice.project_id is not None else "sweep"
            raise InputError(f"This TensorBoard shows the {what} “{choice.title}”; open one for the runs instead.")
        runs = [self._store.runs.get(run_id) for run_id in dict.fromkeys(run_ids)]
        if not runs:
            raise InputError("A TensorBoard shows one run at least.")
        if len(runs) > MOST_BOARD_RUNS:
            raise InputError(f"A TensorBoard shows {MOST_BOARD_RUNS} runs at most, not {len(runs)}; leave some out.")
        title = runs[0].name if len(runs) == 1 else counted(len(runs), "run")
        return self.write(choice.model_copy(update={"run_ids": [run.id for run in runs], "title": title}))

    def read(self, board_id: str) -> Choice:
        """Raises NotFoundError for a board that is none."""
        try:
            if _ID.fullmatch(board_id):
                return Choice.model_validate_json((self.root / board_id / "board.json").read_bytes())
        except (OSError, ValidationError):  # opening it again writes it anew
            pass
        raise NotFoundError("There is no such TensorBoard; open it again from the panel.")

    def write(self, choice: Choice) -> Choice:
        folder = self.folder(choice.id)
        self.logdir(choice.id).mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        write_atomic(folder / "board.json", choice.model_dump_json())
        self.link(choice)
        return choice

    def delete(self, board_id: str) -> None:
        """Forget a choice; its runs stay."""
        with self._linking:
            shutil.rmtree(self.folder(board_id))

    def link(self, choice: Choice) -> None:
        """Make `logdir/` hold exactly one link a run, under the run's name."""
        wanted: dict[str, Path] = {}
        for run in self._runs(choice):
            name = _UNSAFE.sub("_", run.name).strip(" .")[:80] or run.id
            target = self._settings.run_dir(run.id) / TENSORBOARD
            wanted[name if name not in wanted else f"{name} {run.id[-6:]}"] = target
        folder = self.logdir(choice.id)
        with self._linking:
            present = {path.name: path.readlink() for path in folder.iterdir()}
            for name in present.keys() - {name for name, target in wanted.items() if present.get(name) == target}:
                (folder / name).unlink()
                del present[name]
            for name in wanted.keys() - present.keys():
                (folder / name).symlink_to(wanted[name])

    def _runs(self, choice: Choice) -> list[RunView]:
        if choice.follows:
            page = self._store.runs.list(project_id=choice.project_id, parent_id=choice.sweep_id, limit=MOST_FOLLOWED)
            return page.items
        return self._existing(choice.run_ids)

    def _existing(self, run_ids: Sequence[str]) -> list[RunView]:
        """The runs that are left of a choice: some may have been deleted since."""
        runs: list[RunView] = []
        for run_id in dict.fromkeys(run_ids):
            try:
                runs.append(self._store.runs.get(run_id))
            except NotFoundError:
                continue
        return runs
