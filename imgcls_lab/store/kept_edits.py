"""What people gave a run whose folder came from elsewhere: kept in `edits.json` beside what came, so that a rebuild of
the database loses none of it. Signed: a folder cannot say it of itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imgcls_lab import signing
from imgcls_lab.run_layout import EDITS
from imgcls_lab.run_paths import read_json

PARTS = ("name", "notes", "tags", "archived")  # columns of the run; beside these its project, by its name


def of(run: dict[str, Any], project: str) -> dict[str, Any]:
    """What is kept of the row of a run."""
    return {**{part: run[part] for part in PARTS}, "project": project}


def text(home: Path, run_id: str, edits: dict[str, Any]) -> str:
    """What the file is to hold."""
    return json.dumps({**edits, signing.SIGNATURE: signing.sign_edits(home, run_id, edits)}, ensure_ascii=False)


def read(home: Path, folder: Path) -> dict[str, Any]:
    """What is kept of a run, if this home's own processes wrote it for this very folder; else nothing."""
    try:
        found = read_json(folder, EDITS)
    except (OSError, ValueError, RecursionError):
        return {}
    signature = found.pop(signing.SIGNATURE, None) if isinstance(found, dict) else None
    return found if signature is not None and signing.are_own_edits(home, folder.name, found, signature) else {}


def change(edits: dict[str, Any], info: dict[str, Any]) -> bool:
    """Whether people gave a run something else than its folder came with."""
    row = info.get("row")
    came = {
        "name": info.get("name"),
        "notes": info.get("notes") or "",
        "tags": row.get("tags", []) if isinstance(row, dict) else [],
        "archived": False,
        "project": info.get("project"),
    }
    return edits != came
