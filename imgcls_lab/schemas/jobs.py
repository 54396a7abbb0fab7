"""Long work of the server that a page starts, watches and cancels; and projects as files that such work writes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import MAX_ARCHIVE, MAX_NAME, MAX_PATH
from imgcls_lab.schemas.projects import ProjectExport, ProjectImport
from imgcls_lab.schemas.run_contents import FreedSpace

JobState = Literal["waiting", "running", "succeeded", "failed", "cancelled"]
JobKind = Literal["export", "import", "free"]
KeptCheckpoints = Literal["best", "all", "none"]


class JobView(Wire):
    """Work of the server. subject: the project, file or part of the storage that it is about.

    done, total: bytes; 0 of 0 until it is known. message: why it failed. The last
    three: what it came to, by its kind. It is gone with the server: what it had not finished leaves nothing behind.
    """

    id: str
    kind: JobKind
    subject: str
    state: JobState
    done: int
    total: int
    message: str
    started_at: float
    ended_at: float | None
    exported: ProjectExport | None
    imported: ProjectImport | None
    freed: FreedSpace | None


class ArchiveView(Wire):
    """A file of a project in the home's folder of exports. name: by which it is downloaded and deleted."""

    name: str
    size: int
    made_at: float


class ProjectArchiveRequest(Wire):
    """Which checkpoints of each run go into the file."""

    checkpoints: KeptCheckpoints = "best"


class ProjectImportRequest(Wire):
    """A file to import: `archive`, one that was uploaded or exported here, or `path`, below an allowed root.

    name: of the new project, by default its own; into: the name of a project that is there, instead.
    """

    archive: str | None = Field(None, max_length=MAX_ARCHIVE)
    path: str | None = Field(None, max_length=MAX_PATH)
    name: str | None = Field(None, min_length=1, max_length=MAX_NAME)
    into: str | None = Field(None, min_length=1, max_length=MAX_NAME)
