"""What a run executes is what its home's user has submitted, whatever its row says.

Everybody with the password of a team's database can change its rows, and add some. So a daemon starts a run only if
`run.json` in the run's folder, signed by the home's key, says the same of it. That file is written anew with each
change of the row; what it says of the execution is signed only in a transaction that got it from this home's user.
A SQLite file lies in the home, and whoever can change it has the home's key, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, update

from imgcls_lab import signing
from imgcls_lab.errors import ConflictError
from imgcls_lab.events import RunKind
from imgcls_lab.run_layout import RUN_INFO
from imgcls_lab.settings import Settings
from imgcls_lab.store.saved import upgraded_info
from imgcls_lab.store.tables import Run


def note(session: Session, run_id: str) -> None:
    """Note that this transaction got what the run executes from this home's user, or from a folder that it signed."""
    session.info.setdefault("submitted", set()).add(run_id)


def may_sign(session: Session, home: Path, folder: Path, info: Mapping[str, Any]) -> bool:
    """Whether `info`, which is made of the run's row, may be signed: it executes nothing but what was submitted."""
    shared = session.get_bind().dialect.name != "sqlite"
    noted = folder.name in session.info.get("submitted", ())
    return not shared or noted or _signed(home, folder) == _executed(info)


def check(session: Session, settings: Settings, run: Run) -> None:
    """Raises ConflictError for a run whose row says something else than what this home's user has submitted."""
    if not is_as_submitted(session, settings, run):
        file = settings.run_dir(run.id) / RUN_INFO
        raise ConflictError(
            f"The run “{run.name}” was not submitted from this home as the database has it now: {file}, "
            "which this home has signed, says otherwise or is missing. So nothing of it is executed. Submit it anew. "
            "If it waits since a version that signed nothing, run `imgcls-lab db rebuild --mine` and resume it.",
            reason="not_submitted",
            run=run.id,
        )


def is_as_submitted(session: Session, settings: Settings, run: Run) -> bool:
    """Whether a run executes what this home's user has submitted; a run of another home or from elsewhere does not."""
    if session.get_bind().dialect.name == "sqlite":
        return not run.view_only
    row = {"kind": run.kind, "python": run.python, "payload": run.payload, "row": {"config": run.config}}
    return not run.view_only and _signed(settings.home_path, settings.run_dir(run.id)) == _executed(row)


def take_python(session: Session, signed: Mapping[str, Any]) -> None:
    """Where a folder was signed on its user's word, and so names no interpreter, the row of a server names none either.

    signed: the run's columns by its folder. The daemon then takes its own interpreter.
    """
    if session.get_bind().dialect.name != "sqlite" and not signed["python"]:
        session.execute(update(Run).where(col(Run.id) == signed["id"]).values(python=""))


def _signed(home: Path, folder: Path) -> dict[str, Any] | None:
    """What a run executes by its folder; None if this home did not sign it."""
    info = signing.own_info(home, folder)
    return None if info is None else _executed(upgraded_info(info))


def _executed(info: Mapping[str, Any]) -> dict[str, Any]:
    """What of a `run.json` says which code runs. The config of a notebook is told by its own trainings later."""
    row = info.get("row")
    config = row.get("config") if isinstance(row, Mapping) and info.get("kind") == RunKind.TRAIN.value else None
    return {**{name: info.get(name) for name in ("kind", "python", "payload")}, "config": config}
