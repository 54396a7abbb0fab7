"""Runs whose folders came from elsewhere: what they would execute, and their user's word that they are his own.

Called by `store.runs`, by a rebuild, and by whoever must refuse such a run. It executes nothing, and takes no
interpreter from a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlmodel import Session, col

from imgcls_lab import run_changes, signing
from imgcls_lab.config.fields import split_names
from imgcls_lab.errors import ConflictError
from imgcls_lab.events import ENDED, RunKind
from imgcls_lab.proofs import BISECT, VERIFY
from imgcls_lab.run_layout import CONFIG, RUN_INFO, SOURCE, write_atomic
from imgcls_lab.run_paths import read_plain
from imgcls_lab.schemas import ClaimedFile, ClaimView, RunDetail, RunView
from imgcls_lab.settings import Settings
from imgcls_lab.signing import PLUGINS
from imgcls_lab.store import audit, homes, rights, states, submitted
from imgcls_lab.store.folder_rows import read_info
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Run


def refuse_view_only(run: Run | RunView) -> None:
    """Raises ConflictError for a run that nothing may be done with but looking."""
    if run.view_only:
        raise ConflictError(
            f"The run “{run.name}” is view only: its folder came from elsewhere, so nothing of it is executed. If it "
            f"is yours, look at what it would execute and claim it: `imgcls-lab claim {run.id}`, "
            f'lab.run("{run.id}").claim(), or Claim… on its page.',
            reason="view_only",
            run=run.id,
        )


def config_to_reuse(run: RunDetail) -> dict[str, Any]:
    """The config that another run may begin with: what the run trains with, or trained with in the end."""
    changes = run_changes.in_force([each.model_dump() for each in run.changes], run.state)
    return {**submitted_config(run), **changes}


def submitted_config(run: RunDetail) -> dict[str, Any]:
    """A run's config as it was submitted; without plugins where they are somebody else's code."""
    foreign = run.view_only or run.elsewhere is not None
    return {**run.config, PLUGINS: []} if foreign and run.config.get(PLUGINS) else run.config


def view_of(settings: Settings, run: Run) -> ClaimView:
    """What a view-only run would execute. Raises ConflictError for another run."""
    if not run.view_only:
        raise ConflictError(f"The run “{run.name}” is your own already.", reason="not_view_only")
    folder = settings.run_dir(run.id)
    shown: dict[str, Any] = {
        "run_id": run.id,
        "name": run.name,
        "kind": run.kind,
        "folder": str(folder),
        "python": sys.executable,
        "plugins": [*_plugins(folder, run)],
        **_notebook(settings, folder, run),
        "root": run.root,
        "model_flavour": run.model_flavour,
    }
    all_of_it = json.dumps([shown | {"plugins": [*map(str, shown["plugins"])]}, run.config, run.payload], default=str)
    return ClaimView(**shown, digest=hashlib.sha256(all_of_it.encode()).hexdigest())


def claim(session: Session, settings: Settings, text: str, digest: str | None) -> str:
    """Make a view-only run its user's own, as it lies there. Its folder is signed with the commit. Returns its id.

    Raises ConflictError: see `Runs.claim`.
    """
    run = find_run(session, text)
    rights.check(session, "claimed", run)
    homes.check_here(session, run)
    shown = view_of(settings, run)
    if digest is not None and digest != shown.digest:
        raise ConflictError(
            f"What the run “{run.name}” would execute has changed since you looked. Look again.", reason="claim_changed"
        )
    folder = settings.run_dir(run.id)
    _check_folder(settings.home_path, folder)
    folder.chmod(0o700)
    signing.sign_plugins(settings.home_path, folder)
    submitted.note(session, run.id)
    ended, same = col(Run.state).in_(states.texts(ENDED)), col(Run.view_only)
    if not states.change_run(session, run.id, ended, same, view_only=False, python=shown.python):
        raise ConflictError(f"The run “{run.name}” is being read in. Try again in a moment.", reason="claim_changed")
    audit.record(session, "claimed", run)
    return run.id


def sign_folder(home: Path, folder: Path) -> None:
    """Sign a folder that no database knows, on its user's word. Raises ConflictError as `claim` does, OSError."""
    _check_folder(home, folder)
    signing.sign_plugins(home, folder)
    info = {**read_info(folder), "id": folder.name, "python": ""}
    config = None if "row" in info else read_plain(folder, CONFIG)
    write_atomic(folder / RUN_INFO, signing.signed_text(home, info, config))


# ── what is executed ────────────────────────────────────────────────────────────────────────────────────────────
def named_plugins(run: Run | RunDetail) -> list[str]:
    """The plugins that a training's config names, or that any trial of a sweep gets, in whatever form they stand."""
    if run.kind == RunKind.TRAIN:
        given = [run.config.get(PLUGINS)]
    elif run.kind == RunKind.TASK:  # a proof executes those of its runs
        both = _mapping(run.payload.get(BISECT)).get("runs")
        proved = [run.payload.get(VERIFY), *(both if isinstance(both, list) else ())]
        given = [_mapping(_mapping(each).get("config")).get(PLUGINS) for each in proved]
    else:
        request = _mapping(run.payload.get("request")) if run.kind == RunKind.SWEEP else {}
        base, space = _mapping(request.get("base")), _mapping(request.get("space"))
        tried = _mapping(space.get(PLUGINS)).get("values")
        given = [base.get(PLUGINS), *(tried if isinstance(tried, list) else ())]
    names = [str(name) for value in given if isinstance(value, str | list) for name in split_names(value)]
    return list(dict.fromkeys(names))


def _plugins(folder: Path, run: Run) -> Iterator[ClaimedFile]:
    """The copies in the folder. For what makes none of them, also the files that are named."""
    recorded = signing.recorded_plugins(folder)
    yield from (_file(folder / PLUGINS / os.path.basename(item["name"])) for item in recorded)
    if not recorded or run.kind != RunKind.TRAIN.value:
        yield from (_file(Path(name).expanduser()) for name in named_plugins(run))


def _notebook(settings: Settings, folder: Path, run: Run) -> dict[str, Any]:
    """What is shown of the notebook that a run executes, or that each trial of a sweep does."""
    if run.kind == RunKind.NOTEBOOK.value:
        made, file, parameters = run.payload, folder / SOURCE, run.payload.get("parameters")
    elif run.kind == RunKind.SWEEP.value and run.payload.get("notebook"):
        made, parameters = _mapping(run.payload["notebook"]), run.payload.get("request")
        file = settings.notebooks_dir / os.path.basename(f"{made.get('digest', '')}.ipynb")
    else:
        return {"notebook": None, "notebook_folder": "", "parameters": {}}
    return {
        "notebook": _file(file),
        "notebook_folder": str(Path(str(made.get("notebook", ""))).parent),
        "parameters": _mapping(parameters),
    }


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _file(path: Path) -> ClaimedFile:
    try:
        return ClaimedFile(path=str(path), sha256=hashlib.sha256(read_plain(path.parent, path.name)).hexdigest())
    except (OSError, ValueError):
        return ClaimedFile(path=str(path), sha256="")


# ── the folder itself ───────────────────────────────────────────────────────────────────────────────────────────
def _check_folder(home: Path, folder: Path) -> None:
    """Raises ConflictError for what belongs to another user, leads out of the folder, or is no plain file."""
    if not signing.is_own_place(home, folder):
        raise _foreign(folder)
    own, real = {os.geteuid(), os.stat(home).st_uid}, folder.resolve()
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            facts = path.lstat()
            if facts.st_uid not in own:
                raise _foreign(path)
            if stat.S_ISLNK(facts.st_mode):
                target = Path(os.path.realpath(path))
                if target.is_symlink() or not target.is_relative_to(real):
                    raise ConflictError(
                        f"{path} is a link to {target}, and to nothing inside the run's folder: the run would write "
                        "there. Remove the link, or put a copy of what it names in its place.",
                        reason="link_outside",
                    )
            elif not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                raise ConflictError(f"{path} is no plain file. Remove it.", reason="link_outside")


def _foreign(path: Path) -> ConflictError:
    return ConflictError(
        f"{path} belongs to another user, who could change it at any time. Copy the run's folder (`cp -r`) to own it.",
        reason="foreign_folder",
    )
