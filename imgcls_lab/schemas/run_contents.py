"""What a run's folder holds, for its page: files to download, lines of a log that were searched, what a start took."""

from __future__ import annotations

from typing import Any, Literal

from imgcls_lab.schemas.base import Wire

FileKind = Literal[
    "config", "log", "events", "checkpoint", "report", "predictions", "tensorboard", "export", "failure", "other"
]


class RunFile(Wire):
    """A file of a run. `id` is what a download asks for; `name` is shown, and no request holds it."""

    id: str
    name: str  # below the run's folder
    kind: FileKind
    size: int
    modified_at: float


class RunFiles(Wire):
    files: list[RunFile]  # at most MAX_FILES
    more: int  # files that are not listed
    size: int  # bytes of those that are


class RunManifest(Wire):
    """What a run recorded before its first step. manifest: None where it has recorded nothing yet."""

    manifest: dict[str, Any] | None


class CodeChanges(Wire):
    """What the code of a run has otherwise than that of another one, as both recorded it before their first step.

    before, after: commits, of the other run and of this one; None where it recorded none. diff: between the commits, as
    git prints it; None where `sentence` says why there is none. changed, added, removed: its files and lines. files:
    those of imgcls-lab that both loaded, and that differ; None where a run recorded none.
    """

    before: str | None
    after: str | None
    diff: str | None
    diff_cut: bool  # there is more of it
    changed: int
    added: int
    removed: int
    sentence: str
    files: list[str] | None


class LogMatch(Wire):
    line: int  # from 1, of what was searched
    offset: int  # byte at which the line begins
    text: str  # at most MAX_LINE characters


class LogMatches(Wire):
    """Lines of a log that hold a text, whatever its case, in their order; the last MAX_MATCHES of them."""

    matches: list[LogMatch]
    total: int
    searched: int  # bytes, from the end of the log back
    size: int  # of the whole log


class StartPhase(Wire):
    """What an attempt did before its first step. seconds: null while it does it."""

    attempt: int
    name: str  # scanning images, loading the model ...
    since: float
    seconds: float | None


class FreedSpace(Wire):
    """What a deletion freed."""

    freed: int  # bytes
