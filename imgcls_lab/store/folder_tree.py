"""Where a run stands in its tree, as its folder says it. Called by `run_folders` for a folder that no row is of yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlmodel import Session, select

from imgcls_lab.errors import ModelError
from imgcls_lab.forks import Fork
from imgcls_lab.run_layout import is_run_id
from imgcls_lab.store import rights, states
from imgcls_lab.store.tables import Run


def tree_columns(session: Session, folder: Path, info: dict[str, Any]) -> dict[str, Any]:
    """The columns about the tree of a run. A fork repeats no other run: its first steps had another config.

    A fork whose `parent.json` cannot be read is shown as a run without a past.
    """
    try:
        fork = Fork.of_folder(folder)
    except ModelError:
        return {"repetition": ""}
    if fork is None:
        forked = session.exec(select(Run.id).where(Run.lineage == folder.name).limit(1)).first()
        return {"lineage": folder.name if forked else ""}  # its forks were here before it
    row = info.get("row")
    noted: dict[str, Any] = row if isinstance(row, dict) else {}
    epoch, named = noted.get("fork_epoch"), noted.get("lineage")
    lineage = named if isinstance(named, str) and is_run_id(named) else fork.run
    parent = session.exec(select(Run).where(Run.id == fork.run)).first()
    if parent is not None:
        lineage = parent.lineage or parent.id
    first = session.exec(select(Run).where(Run.id == lineage, Run.lineage == "")).first()
    if first is not None and rights.rights_of(session).may_change(first.owner, first.project_id):
        states.change_run(session, first.id, lineage=first.id)
    fork_epoch = epoch if _is_epoch_of(fork, epoch) else float(fork.epoch)
    return {"fork_step": fork.step, "fork_epoch": fork_epoch, "lineage": lineage, "repetition": ""}


def _is_epoch_of(fork: Fork, epoch: object) -> bool:
    """Whether a number can be the epoch at which a fork left its parent."""
    if isinstance(epoch, bool) or not isinstance(epoch, int | float):
        return False
    return fork.epoch <= epoch < fork.epoch + 1
