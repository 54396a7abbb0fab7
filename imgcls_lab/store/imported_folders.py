"""What the record of a run from an archive may say. Called by `project_imports`."""

from __future__ import annotations

from typing import Any

from imgcls_lab.events import RunKind
from imgcls_lab.project_archive import ArchivedRun
from imgcls_lab.run_layout import is_run_id
from imgcls_lab.schemas.limits import MAX_NAME, MAX_NOTE
from imgcls_lab.store.run_tags import tags_in
from imgcls_lab.store.saved import FORMAT

LARGEST = 1e12  # of a time in seconds, and of an epoch


def plain_info(info: dict[str, Any], run: ArchivedRun, project: str) -> dict[str, Any]:
    """A new `run.json` from one of an archive: what people gave the run, and no signature.

    Nothing that a database would take for its own record is left, such as states, owners, interpreters or devices.
    """
    created = info.get("created_at")
    parent, payload = info.get("parent_id"), info.get("payload")
    return {
        "format": FORMAT,
        "id": run.id,
        "kind": info["kind"] if info.get("kind") in [*RunKind] else RunKind.TRAIN.value,
        "name": run.name if run.notes is not None else _text(info.get("name"), MAX_NAME) or run.name,
        "project": project,
        "parent_id": parent if isinstance(parent, str) else None,
        "notes": _text(info.get("notes"), MAX_NOTE) if run.notes is None else run.notes,
        "payload": payload if isinstance(payload, dict) else {},
        **({"created_at": created} if _is_number(created) else {}),
        "row": {"tags": tags_in(info.get("row") if run.tags is None else {"tags": [*run.tags]}), **_tree(info)},
    }


def _tree(info: dict[str, Any]) -> dict[str, Any]:
    """Where a fork stands in its tree, as far as its `parent.json` does not say it."""
    row = info.get("row")
    lineage, epoch = (row.get("lineage"), row.get("fork_epoch")) if isinstance(row, dict) else (None, None)
    first = {"lineage": lineage} if isinstance(lineage, str) and is_run_id(lineage) else {}
    return {**first, "fork_epoch": epoch} if _is_number(epoch) else first


def _text(value: object, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST
