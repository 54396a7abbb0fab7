"""Deleted runs whose objects are still in an object store: noted before the folder goes, removed by the daemon.

Called by whoever deletes a run, which need not reach the store; `executor/mirror/removal.py` removes and forgets. A
note is a file of the home, so it outlives a daemon that is down and a database that is made anew.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from imgcls_lab import private_folder
from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import MIRRORED, is_run_id, write_atomic
from imgcls_lab.run_paths import read_json
from imgcls_lab.settings import Settings

PROBLEM = "problem.json"  # beside the notes: why the last removal did not work


class Left(NamedTuple):
    """The objects of a deleted run. store: the URL below which they lie; size: bytes, as far as the head knew."""

    run_id: str
    store: str
    size: int


def of_folder(settings: Settings, run_id: str) -> Left | None:
    """The objects of a run whose folder is still there; None for one that no store has."""
    try:
        known = read_json(settings.run_dir(run_id), MIRRORED)
        return Left(run_id, str(known["store"]), _size(known))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def note(settings: Settings, objects: Left) -> None:
    """Note them for the daemon. Raises OSError."""
    folder = _folder(settings)
    private_folder.make(folder)
    write_atomic(folder / objects.run_id, json.dumps({"store": objects.store, "size": objects.size}))


def left(settings: Settings) -> list[Left]:
    """What is noted, oldest runs first."""
    found = []
    folder = _folder(settings)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_run_id(path.name):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                data = read_json(folder, path.name)
                found.append(Left(path.name, str(data["store"]), int(data["size"])))
    return found


def forget(settings: Settings, run_id: str) -> None:
    """No object of the run is left. Raises OSError."""
    (_folder(settings) / run_id).unlink(missing_ok=True)


def say_problem(settings: Settings, sentence: str | None) -> None:
    """Write down why objects could not be removed; None: nothing is in the way. Raises OSError."""
    path = _folder(settings) / PROBLEM
    if sentence is None:
        path.unlink(missing_ok=True)
    else:
        write_atomic(path, json.dumps(sentence))


def problem(settings: Settings) -> str | None:
    """Why the daemon could not remove them when it tried last."""
    try:
        return str(read_json(_folder(settings), PROBLEM))
    except (OSError, ValueError):
        return None


def status_sentence(settings: Settings) -> str | None:
    """What waits to be removed, and why it still does; None: nothing waits."""
    found = left(settings)
    if not found:
        return None
    size = sum(item.size for item in found)
    known = f", {size / 1e6:,.1f} MB as far as known" if size else ""
    text = f"The objects of {counted(len(found), 'deleted run')} still lie in the object store{known}."
    return f"{text} {problem(settings) or 'The executor removes them.'}"


def _folder(settings: Settings) -> Path:
    return settings.executor_dir / "deleted-objects"


def _size(known: dict[str, Any]) -> int:
    return sum(int(part["size"]) for parts in known["manifest"]["files"].values() for part in parts)
