"""Steps of a run, computed again in a fresh process: the folder that it trains in, and the process itself.

Called by `verify` and `bisect`. Nothing of the run's folder is changed. The process begins as the run did, or with one
of its checkpoints, as a fork without changes does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcls_lab import forks, run_changes, run_layout, run_paths, working_folders
from imgcls_lab.child_environment import child_environment
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.proofs.record import Record
from imgcls_lab.engine.training import attempt_context, plugins
from imgcls_lab.entry_points import RERUN
from imgcls_lab.errors import ConflictError, ImgclsError, JobCancelledError, ModelError
from imgcls_lab.events import Phase, read_events
from imgcls_lab.forks import Beginning
from imgcls_lab.run_changes import Change
from imgcls_lab.settings import Settings

_POLL = 0.1  # seconds
_PREFIX = ".again-"
_GRACE = 10.0  # seconds that a cancelled process has to end
_NOT_REPEATED = {"log_every", "save_every_epochs"}  # changes that concern no step
_DECIDED = {"threads": "threads", "precision": "precision"}  # field of a config, and what the manifest has decided
OnPhase = Callable[[str, int, int], None]  # what it does, done, of all


@dataclass(frozen=True)
class Rerun:
    """What is computed again. at: the checkpoint that it begins with, None: as the run began; until: the last step.

    every: after how many steps the weights are hashed; watch: a step of which everything is written, 0: none.
    """

    at: Beginning | None
    until: int
    every: int
    watch: int = 0


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder beside the run's own files, on the same disk. Raises ConflictError where the run trains.

    Each verification has its own, so several of a run may be made at the same time.
    """
    if attempt_context.is_locked(folder):
        raise ConflictError(
            f"“{folder.name}” is training. Verify it when it has ended, or stop it first.", reason="running"
        )
    working_folders.remove_left(folder, _PREFIX)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder) as name:
        place = Path(name)
        with working_folders.held(place):
            yield place


def prepare(folder: Path, again: Path, manifest: dict[str, Any], at: Beginning | None) -> TrainConfig:
    """Make a folder that begins as the run did, or with a checkpoint of it. Returns the config. Raises ImgclsError.

    What the first attempt has decided holds, unless the run's config has been changed there.
    """
    try:
        return _prepare(folder, again, manifest, at)
    except OSError as error:
        name = error.filename if isinstance(error.filename, str | os.PathLike) else folder
        raise ModelError(
            f"The run cannot be computed again: “{os.fspath(name)}” cannot be read or written ({error.strerror}). Put "
            "it back from a copy of the run's folder, or free some space.",
            reason="damaged",
        ) from error


def _prepare(folder: Path, again: Path, manifest: dict[str, Any], at: Beginning | None) -> TrainConfig:
    again.mkdir(mode=0o700)
    saved = TrainConfig.parse_saved(run_paths.read_plain(folder, run_layout.CONFIG))
    record: plugins.Record = manifest.get("plugins", [])
    checked = plugins.check(folder, record)
    first = manifest["config"]
    decided = {name: manifest[key] for name, key in _DECIDED.items() if first.get(name) == getattr(saved, name)}
    own: dict[str, Any] = {
        "ckpt_dir": None, "tb_root": None, "tensorboard_evaluation": False, "tensorboard_histograms": False,
        "log_every": first.get("log_every", saved.log_every), "plugins": [*map(str, checked)],
    }  # fmt: skip
    if at is not None:
        saved = run_changes.changed(saved, at.changed)
    config = saved.with_changes(**own, **(decided if at is None else {}))
    run_layout.write_atomic(again / run_layout.CONFIG, config.model_dump_json(indent=1))
    run_changes.write(again, _changes(folder, at))
    if at is not None:
        facts: dict[str, Any] = {"run": folder.name, "name": folder.name, "resume_steps": _resume_steps(folder)}
        forks.fork_of(folder, again, at, (config, config), **facts)
    elif (folder / run_layout.PARENT).is_file():
        run_layout.write_atomic(again / run_layout.PARENT, run_paths.read_plain(folder, run_layout.PARENT))
        shutil.copytree(
            folder / run_layout.PARENT_FOLDER, again / run_layout.PARENT_FOLDER, copy_function=_link, ignore=_links
        )
    overlay = folder / run_layout.DATA_REVISION
    if overlay.is_file() and not (again / overlay.name).exists():
        run_layout.write_atomic(again / overlay.name, run_paths.read_plain(folder, overlay.name))
    return config


def _changes(folder: Path, at: Beginning | None) -> list[Change]:
    """What the run has changed while it trained, behind a checkpoint, each at its step; logging stays as it began."""
    behind = at.last_change if at is not None else 0
    return [each for each in run_changes.obeyed_in(folder) if each.number > behind and each.field not in _NOT_REPEATED]


def _links(folder: str, names: list[str]) -> list[str]:
    """What is left out: a link leads out of the folder, or around in it."""
    return [name for name in names if os.path.islink(os.path.join(folder, name))]


def _link(source: str, target: str) -> None:
    forks.link(Path(source), Path(target))


def _resume_steps(folder: Path) -> dict[int, int]:
    """At which step each attempt has gone on."""
    found = {}
    for path in run_layout.event_files(folder):
        started = next((event for event in read_events(path)[0] if event.type == "started"), None)
        if started is not None:
            found[run_layout.attempt_of(path) or 0] = started.resume_step
    return found


def compute(again: Path, rerun: Rerun, on_phase: OnPhase, stopped: Callable[[], bool]) -> Record:
    """Compute the steps in that folder, in a fresh process. Raises ModelError, JobCancelledError."""
    options = ("--until", str(rerun.until), "--every", str(rerun.every), "--watch", str(rerun.watch))
    argv = RERUN.argv(sys.executable, os.fspath(again), *options)
    with open(again / run_layout.OUTPUT_LOG, "wb") as log:
        process = subprocess.Popen(
            argv, env=child_environment(Settings()), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    record, offset = Record(), 0
    first = rerun.at.step if rerun.at else 0
    try:
        while True:
            over = process.poll() is not None
            events, offset = read_events(again / run_layout.events_name(1), offset)
            for event in events:
                record.add(event)
                if isinstance(event, Phase) and event.total:
                    on_phase(event.name, event.done or 0, event.total)
            if record.steps:
                on_phase("computing steps again", record.steps[-1] - first, rerun.until - first)
            if over:
                break
            if stopped():
                raise JobCancelledError("It was cancelled.")
            time.sleep(_POLL)
    finally:
        _end(process)
    if record.failed is not None:
        raise ModelError(f"The steps cannot be computed again. {record.failed.message}", reason="failed")
    if not record.steps or record.steps[-1] < rerun.until:
        raise _died(again, process.returncode)
    return record


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, so that it ends its own children, too; at once if it does not."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _died(again: Path, code: int) -> ImgclsError:
    lines = (again / run_layout.OUTPUT_LOG).read_text(errors="replace").strip().splitlines()
    last = f" Its last words: {lines[-1][:300]}" if lines else ""
    return ModelError(f"The process that computed the steps again ended with code {code}.{last}", reason="died")
