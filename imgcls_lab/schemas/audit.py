"""The record of who did what, as lists and pages show it."""

from __future__ import annotations

from typing import Any, Literal

from imgcls_lab.schemas.base import Wire

# By which way something was changed: REST, command line, notebook or script, a sweep's driver, a daemon.
Way = Literal["panel", "cli", "python", "sweep", "executor"]


class AuditEventView(Wire):
    """Who did what, or was refused it."""

    id: int
    time: float
    user: str
    host: str
    way: str
    action: str  # launched, stopped ...
    refused: bool
    kind: str  # of the subject: run, project, config, dataset, model, user
    subject_id: str
    subject_name: str
    project_id: int | None
    details: dict[str, Any]
    text: str  # what happened to the subject: “stopped by ada from the panel”
