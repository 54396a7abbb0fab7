"""The folders outside of a run's own in which its config puts checkpoints and event files: `ckpt_dir` and `tb_root`.

A submit and the engine refuse those that belong to the home, to a run or to the data set. The engine claims the run's
part of such a folder by a file in it, and a deletion removes only what that very run has claimed. Nothing else makes or
removes them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout, run_paths
from imgcls_lab.errors import ConfigError, ConflictError, Problem
from imgcls_lab.settings import Settings

_FIRST_EVENTS = run_layout.events_name(1)
CLAIM = ".imgcls-run"  # in the folder of one run; holds the path of the run's folder


def problems(config: Mapping[str, Any], settings: Settings) -> list[Problem]:
    """A problem for each folder of a config that a run must not write to."""
    found = []
    for field in run_layout.OUTPUT_FOLDERS:
        text = config.get(field)
        if isinstance(text, str) and text.strip():
            # as the system reads it, and as it is kept: they differ where .. stands behind a link
            plain = os.path.expanduser(text)
            try:
                reasons = [_reason(path, config.get("root"), settings) for path in (plain, os.path.abspath(plain))]
            except (OSError, ValueError):  # no file system takes this name
                reasons = ["has a name that no folder can have. Name another one."]
            reason = next(filter(None, reasons), None)
            if reason:
                found.append(Problem(field, f"The folder “{text[:200]}” {reason}"))
    return found


def check(config: Mapping[str, Any], settings: Settings) -> None:
    """Raises ConfigError for a config with such a folder."""
    found = problems(config, settings)
    if found:
        sentences = " ".join(problem.message for problem in found)
        raise ConfigError(sentences, found, reason="output_folder")


def claim(place: Path, folder: Path, *, linked: bool) -> None:
    """Make a run's part of an output folder, and note in it that it is this run's.

    place: as `run_layout.external_folder` gives it; folder: of the run; linked: whether the run's folder leads there
    already. Raises ConflictError for a folder of another run or one that holds other files, and OSError.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.is_symlink():
        raise ConflictError(f"“{place}” is a link. Remove it, or name another folder.", reason="link")
    owner = _owner(place)
    if owner is not None and _same(owner, folder):
        return
    if owner is not None and owner.is_dir() and _leads_to(owner, place):
        raise ConflictError(
            f"“{place}” holds the files of the run in {owner}. Name another folder.", reason="other_run", run=str(owner)
        )
    if owner is None and not linked and any(place.iterdir()):
        raise ConflictError(f"“{place}” holds other files. Name another folder, or move them away.", reason="not_empty")
    if owner is None:
        try:  # of two runs at once, one makes it
            descriptor = os.open(place / CLAIM, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            raise ConflictError(f"“{place}” was just taken by another run.", reason="other_run") from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.fsencode(folder))
        return
    run_layout.write_atomic(place / CLAIM, os.fsencode(folder))  # its run was moved here


def claimed(folder: Path, config: Mapping[str, Any]) -> list[Path]:
    """The folders outside that a run has claimed, and those of the trainings inside a notebook's run."""
    found: list[Path] = []
    for owner, of_owner in ((folder, config), *_trainings(folder)):
        for place in run_layout.elsewhere(of_owner, owner):
            by = _owner(place) if place.is_dir() and not place.is_symlink() else None
            if by is not None and _same(by, owner):
                found.append(place)
    return found


def remove(places: list[Path]) -> None:
    """Remove what `claimed` found, and what is empty of the folders of a notebook's run around it."""
    for place in places:
        run_paths.remove(place)
        if run_layout.is_run_id(place.parent.name):
            try:
                place.parent.rmdir()
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _reason(path: str, root: object, settings: Settings) -> str | None:
    """Why a run must not write into a folder; None if it may. root: of its data set.

    Links are followed, and folders are compared, not their names.
    """
    target = Path(os.path.realpath(path))
    if isinstance(root, str) and root.strip() and _holds(Path(os.path.realpath(os.path.expanduser(root))), target):
        return "lies inside the data set, where a run must not write. Name another folder."
    own = (settings.home_path, Path(settings.datasets_dir).expanduser(), settings.cache_path)
    for place in own:
        real = Path(os.path.realpath(place))
        if _holds(real, target):
            return f"belongs to imgcls-lab itself ({place}). Name a folder elsewhere; empty: the run's own folder."
        if _holds(target, real):
            return f"is around a folder of imgcls-lab itself ({place}). Name a folder beside it."
    for around in (target, *target.parents):
        if _is_run(around):
            return f"lies in the folder of a run ({around}). Name a folder elsewhere; empty: the run's own folder."
    return None


def _holds(outer: Path, inner: Path) -> bool:
    """Whether a folder is another one or around it, also under another name of it (case, mount)."""
    if inner.is_relative_to(outer):
        return True
    try:
        known = os.stat(outer)
    except OSError:
        return False
    for path in (inner, *inner.parents):
        try:
            if os.path.samestat(known, os.stat(path)):
                return True
        except OSError:  # it is not made yet
            continue
    return False


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run's. One that this user may not look into counts as none."""
    config, *others = (os.path.isfile(folder / n) for n in (run_layout.CONFIG, run_layout.RUN_INFO, _FIRST_EVENTS))
    return config and any(others)


def _owner(place: Path) -> Path | None:
    """The folder of the run that has claimed a folder."""
    try:
        return Path(os.fsdecode(run_paths.read_plain(place, CLAIM)))
    except OSError:
        return None


def _same(one: Path, other: Path) -> bool:
    """Whether two names are those of one folder: a home may be reached by a link."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _leads_to(folder: Path, place: Path) -> bool:
    return any(_target(folder / name) == str(place) for name in run_layout.OUTPUT_FOLDERS.values())


def _target(link: Path) -> str | None:
    try:
        return os.path.normpath(os.readlink(link))
    except OSError:
        return None


def _trainings(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The trainings inside a notebook's run, each with its config."""
    for name in run_paths.names_in(folder, run_layout.TRAININGS):
        training = folder / run_layout.TRAININGS / name
        try:
            config = run_paths.read_json(folder, f"{run_layout.TRAININGS}/{name}/{run_layout.CONFIG}")
        except (OSError, ValueError):
            continue
        if isinstance(config, Mapping):
            yield training, config
