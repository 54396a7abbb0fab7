"""The Python that does again what a request of the panel does: one table by verb and route.

`CODE` has a function for each request that leaves something behind, `NOT_RECORDED` the reason for each other one; a
test holds both together against the table of permissions. The code is the public API of `import imgcls_lab as lab`.
Handlers and this table read the same wire models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel

from imgcls_lab.errors import NotFoundError
from imgcls_lab.schemas import (
    ActionRequest,
    AuditRequest,
    BisectRequest,
    BoardRequest,
    ChangeRequest,
    CheckpointModel,
    ConfigEdit,
    DatasetEdit,
    DeleteRequest,
    ExportRequest,
    ForkRequest,
    MemberRequest,
    ModelEdit,
    NotebookRequest,
    ProjectArchiveRequest,
    ProjectDeleteRequest,
    ProjectEdit,
    ProjectImportRequest,
    ReplicatesRequest,
    ResumeRequest,
    RetrainRequest,
    RevisionEdit,
    RunEdit,
    RunEdits,
    SubmitRequest,
    SweepRequest,
    VerifyRequest,
)
from imgcls_lab.server import recorded_registries as registries
from imgcls_lab.server import recorded_runs as runs
from imgcls_lab.server.permissions import TABLE
from imgcls_lab.server.recording_names import Ids, Recording

Writer = Callable[[Recording, Ids, Any], str]


class Recorded(NamedTuple):
    """How a request is read, and what writes its code; an empty text: it left nothing behind."""

    write: Writer
    body: type[BaseModel] | None = None


# verb and route -> its code
CODE: dict[tuple[str, str], Recorded] = {
    ("POST", "api/demo"): Recorded(registries.demo),
    ("POST", "api/runs"): Recorded(runs.launch, SubmitRequest),
    ("POST", "api/runs/replicates"): Recorded(runs.launch, ReplicatesRequest),
    ("PATCH", "api/runs"): Recorded(runs.edit_many, RunEdits),
    ("POST", "api/runs/actions"): Recorded(runs.act, ActionRequest),
    ("POST", "api/runs/delete"): Recorded(runs.delete_many, DeleteRequest),
    ("PATCH", "api/runs/ID"): Recorded(runs.edit_one, RunEdit),
    ("DELETE", "api/runs/ID"): Recorded(runs.delete),
    ("POST", "api/runs/ID/stop"): Recorded(runs.stop),
    ("POST", "api/runs/ID/kill"): Recorded(runs.kill),
    ("POST", "api/runs/ID/resume"): Recorded(runs.resume, ResumeRequest),
    ("POST", "api/runs/ID/changes"): Recorded(runs.change, ChangeRequest),
    ("POST", "api/runs/ID/retrain"): Recorded(runs.retrain, RetrainRequest),
    ("POST", "api/runs/ID/fork"): Recorded(runs.fork, ForkRequest),
    ("POST", "api/runs/ID/verification"): Recorded(runs.verify, VerifyRequest),
    ("POST", "api/runs/ID/bisection"): Recorded(runs.bisect, BisectRequest),
    ("POST", "api/runs/ID/claim"): Recorded(runs.claim),
    ("DELETE", "api/runs/ID/checkpoints/ID"): Recorded(runs.delete_checkpoint),
    ("POST", "api/notebooks"): Recorded(runs.launch_notebook, NotebookRequest),
    ("POST", "api/sweeps"): Recorded(runs.sweep, SweepRequest),
    ("POST", "api/projects"): Recorded(registries.add_project, ProjectEdit),
    ("PATCH", "api/projects/ID"): Recorded(registries.edit_project, ProjectEdit),
    ("DELETE", "api/projects/ID"): Recorded(registries.delete_project),
    ("POST", "api/projects/ID/delete"): Recorded(registries.delete_whole_project, ProjectDeleteRequest),
    ("POST", "api/projects/ID/members"): Recorded(registries.join, MemberRequest),
    ("DELETE", "api/projects/ID/members/ID"): Recorded(registries.leave),
    ("POST", "api/projects/ID/export"): Recorded(registries.export_project, ProjectArchiveRequest),
    ("POST", "api/archives/import"): Recorded(registries.import_project, ProjectImportRequest),
    ("POST", "api/configs"): Recorded(registries.add_config, ConfigEdit),
    ("PATCH", "api/configs/ID"): Recorded(registries.edit_config, ConfigEdit),
    ("DELETE", "api/configs/ID"): Recorded(registries.delete_config),
    ("POST", "api/configs/ID/versions/ID/restore"): Recorded(registries.restore_config),
    ("POST", "api/datasets"): Recorded(registries.add_dataset, DatasetEdit),
    ("PATCH", "api/datasets/ID"): Recorded(registries.edit_dataset, DatasetEdit),
    ("DELETE", "api/datasets/ID"): Recorded(registries.delete_dataset),
    ("POST", "api/datasets/ID/rescan"): Recorded(registries.rescan),
    ("POST", "api/datasets/ID/audit"): Recorded(registries.audit, AuditRequest),
    ("DELETE", "api/datasets/ID/audit"): Recorded(registries.cancel_audit),
    ("POST", "api/datasets/ID/revisions"): Recorded(registries.correct, RevisionEdit),
    ("POST", "api/datasets/ID/revisions/ID/undo"): Recorded(registries.undo),
    ("POST", "api/models"): Recorded(registries.add_model, ModelEdit),
    ("PATCH", "api/models/ID"): Recorded(registries.edit_model, ModelEdit),
    ("DELETE", "api/models/ID"): Recorded(registries.delete_model),
    ("POST", "api/models/checkpoints"): Recorded(registries.register, CheckpointModel),
    ("POST", "api/exports"): Recorded(runs.export, ExportRequest),
    ("POST", "api/tensorboards"): Recorded(runs.board, BoardRequest),
}

_ASKS = "It asks for something and changes nothing."
_BOARD = "It is about a process that shows curves; opening it is recorded."
_VIEW = "A saved list is how a person looks at runs; it changes none."
_ALERT = "It says what a person has seen."
_MACHINE = "It is about the machine as it was then; the API starts an executor where one is needed."

# verb and route -> why it is not recorded
NOT_RECORDED: dict[tuple[str, str], str] = {
    ("POST", "api/code"): _ASKS,
    ("POST", "api/configs/check"): _ASKS,
    ("POST", "api/sweeps/check"): _ASKS,
    ("POST", "api/datasets/ID/versions"): _ASKS,
    ("POST", "api/runs/ID/fork/preview"): _ASKS,
    ("POST", "api/runs/ID/predict"): _ASKS,
    ("POST", "api/configs/trial"): "It measures how fast a config trains, for the form that shows it.",
    ("POST", "api/archives"): "The file comes from the browser; its import is recorded.",
    ("DELETE", "api/archives/ID"): "The file is one that an export has written; a notebook writes its own.",
    ("DELETE", "api/jobs/ID"): "In a notebook a task is the call that does it; an interrupt cancels it.",
    ("POST", "api/tensorboards/ID/stop"): _BOARD,
    ("POST", "api/tensorboards/ID/restart"): _BOARD,
    ("POST", "api/tensorboards/ID/runs"): _BOARD,
    ("PUT", "api/tensorboards/ID/runs"): _BOARD,
    ("DELETE", "api/tensorboards/ID"): _BOARD,
    ("POST", "tensorboard/ID/PATH"): _ASKS,
    ("POST", "api/views"): _VIEW,
    ("PATCH", "api/views/ID"): _VIEW,
    ("DELETE", "api/views/ID"): _VIEW,
    ("POST", "api/alerts/dismiss"): _ALERT,
    ("POST", "api/alerts/restore"): _ALERT,
    ("POST", "api/executor/start"): _MACHINE,
    ("POST", "api/executor/stop"): _MACHINE,
    ("POST", "api/storage/free"): _MACHINE,
}


def _pattern(path: str) -> re.Pattern[str]:
    parts = ({"ID": "([^/]+)", "PATH": "(.*)"}.get(part, re.escape(part)) for part in path.split("/"))
    return re.compile("/".join(parts))


# the more exact a route is, the earlier it is tried: runs/actions before runs/ID
_ROUTES = sorted(((path, _pattern(path)) for path in TABLE), key=lambda item: item[0].split("/").count("ID"))


def matched(verb: str, path: str) -> tuple[tuple[str, str], Ids]:
    """The route of a request, and the ids in its path. Raises NotFoundError for a request that no route takes."""
    for known, pattern in _ROUTES:
        found = pattern.fullmatch(f"api/{path}")
        if found and verb in TABLE[known]:
            return (verb, known), [unquote(part) for part in found.groups()]
    raise NotFoundError("There is no such request.")


def code_of(recording: Recording, recorded: Recorded, ids: Ids, body: Any) -> str:
    """The code of a cell: what it waits for, and the action."""
    action = recorded.write(recording, ids, body)
    return "\n".join([*recording.waits, action]) if action else ""
