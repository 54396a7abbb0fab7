"""The page of a project: what is in it, what went well, and what its deletion would take along."""

from __future__ import annotations

from imgcls_lab.events import RunState
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.registry import ConfigView, ProjectView
from imgcls_lab.schemas.runs import RefusedRun, RunView


class DayCount(Wire):
    """Runs that were launched on a day. day: 2026-01-31, as the server's clock has it."""

    day: str
    runs: int


class ProjectDetail(Wire):
    """A project with all that its page shows. Archived runs are counted apart and stand in no list of it.

    metric: that most of its runs decide by; best: the best of these, the best first; sweeps: the newest of them;
    activity: the last weeks, a value a day, the days without a launch included.
    """

    project: ProjectView
    states: dict[RunState, int]
    archived: int
    size: int  # bytes of the folders that are counted
    uncounted: int  # runs whose folders are not
    metric: str | None
    best: list[RunView]
    activity: list[DayCount]
    configs: list[ConfigView]
    sweeps: list[RunView]
    sweep_count: int


class ProjectExport(Wire):
    """An archive that was written. size: bytes; left_out: a sentence for each run that it does not hold."""

    path: str
    project: str
    runs: int
    configs: int
    views: int
    size: int
    left_out: list[str]


class ProjectImport(Wire):
    """What came out of an archive. skipped, renamed: a sentence for each run, config or view.

    Its runs are view only: nothing of them is executed until their user claims them.
    """

    project: str
    project_id: int
    runs: list[str]
    configs: list[str]
    views: list[str]
    skipped: list[str]
    renamed: list[str]


class ProjectDeleteRequest(Wire):
    """A project that is to be deleted with all that is in it. dry_run: only say what would be."""

    dry_run: bool = False


class ProjectDeletion(Wire):
    """What was deleted of a project, or would be. It cannot be undone.

    refused: runs that stay, and why; then the project and its configs stay, too. freed: bytes of the runs' folders.
    """

    deleted: bool
    runs: int
    configs: int
    refused: list[RefusedRun]
    freed: int
    dry_run: bool
