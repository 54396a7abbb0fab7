"""Runs of sweeps that were queued when a trial did not yet name its sweep as its parent: linked by what the sweep
recorded. Called after a migration and by a rebuild.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from imgcls_lab.events import RunKind
from imgcls_lab.run_layout import TRIALS, is_run_id
from imgcls_lab.run_paths import read_json
from imgcls_lab.settings import Settings
from imgcls_lab.store.database import touch
from imgcls_lab.store.tables import Run

_NOTE = re.compile(r"A trial of the sweep ([0-9a-z-]+)\.")


def link_trials(session: Session, settings: Settings) -> int:
    """Give each run without a parent that is a trial of a sweep this sweep as its parent; how many these are."""
    noted = col(Run.notes).startswith("A trial of the sweep ")
    orphans: dict[str, str] = dict(
        session.execute(select(col(Run.id), col(Run.notes)).where(col(Run.parent_id).is_(None), noted)).all()
    )
    owners: dict[str, str] = dict(
        session.execute(select(col(Run.id), col(Run.owner)).where(Run.kind == RunKind.SWEEP.value)).all()
    )
    found = {run: match[1] for run, notes in orphans.items() if (match := _NOTE.match(notes))}
    for sweep in owners:
        found = dict.fromkeys(_recorded(settings, sweep), sweep) | found
    linked = 0
    for run, sweep in found.items():
        if sweep not in owners or run == sweep:
            continue
        orphan = (col(Run.id) == run, col(Run.parent_id).is_(None), col(Run.owner) == owners[sweep])
        changed: Any = session.execute(
            update(Run).where(*orphan).values(parent_id=sweep).execution_options(synchronize_session=False)
        )
        if changed.rowcount:
            touch(session, run)
            linked += 1
    return linked


def _recorded(settings: Settings, sweep: str) -> list[str]:
    """The runs that a sweep's own record names; none where there is no record here."""
    try:
        record = read_json(settings.run_dir(sweep), TRIALS)
    except (OSError, ValueError, RecursionError):
        return []
    trials = record.get("trials") if isinstance(record, dict) else None
    named = [trial.get("run_id") for trial in trials if isinstance(trial, dict)] if isinstance(trials, list) else []
    return [run for run in named if isinstance(run, str) and is_run_id(run)]
