"""Records that an earlier version saved in the folders: `run.json` and `registry.json` under the names of today.

Called by `folder_rows`, which reads both. A record without a format is of the first. The database's own rows are
migrated by the revisions, each of which keeps its names as they were when it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgcls_lab.config.saved import upgraded, upgraded_sweep

FORMAT = 2  # of run.json and registry.json

# table -> former name of a column -> name. Of revision 0006, with which the second format began.
FORMER_COLUMNS = {
    "runs": {
        "desired": "desired_state",
        "losses": "lost_attempts",
        "device_wanted": "requested_device",
        "gpus_wanted": "requested_gpus",
        "host_wanted": "requested_host",
    },
    "alerts": {"hook": "webhook_state"},
    "datasets": {"not_taken": "skipped_files"},
}


def upgraded_row(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table, with the config and the request of a sweep in it."""
    former = FORMER_COLUMNS.get(table, {})
    found = {former.get(name, name): value for name, value in row.items()}
    if isinstance(found.get("config"), Mapping):
        found["config"] = upgraded(found["config"])
    return found


def _is_of_today(found: Mapping[str, Any]) -> bool:
    """Whether a file was written under the names of today; a format that is no number counts as the first."""
    written = found.get("format")
    return isinstance(written, int) and written >= FORMAT


def upgraded_info(info: dict[str, Any]) -> dict[str, Any]:
    """What `run.json` holds, whichever version wrote it."""
    if _is_of_today(info):
        return info
    found = dict(info)
    if isinstance(info.get("row"), dict):
        found["row"] = upgraded_row("runs", info["row"])
    if isinstance(info.get("alerts"), list):
        found["alerts"] = [upgraded_row("alerts", row) for row in info["alerts"] if isinstance(row, dict)]
    payload = info.get("payload")
    if isinstance(payload, dict) and isinstance(payload.get("request"), dict):
        found["payload"] = {**payload, "request": upgraded_sweep(payload["request"])}
    return found


def upgraded_registry(found: dict[str, Any]) -> dict[str, Any]:
    """What `registry.json` holds, whichever version wrote it."""
    if _is_of_today(found):
        return found
    return {
        name: [upgraded_row(name, row) for row in rows if isinstance(row, dict)]
        for name, rows in found.items()
        if isinstance(rows, list)
    }
