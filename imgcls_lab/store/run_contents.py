"""`store.run_contents`: what a run's folder holds, for its page and for downloads. Nothing of it is executed.

A file is asked for by an id that the list gave, never by a path: the list is made anew and searched for it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from imgcls_lab.errors import NotFoundError
from imgcls_lab.events import TERMINAL, Began, Phase, Started, read_events
from imgcls_lab.run_layout import (
    CERTIFICATE,
    CHECKPOINTS,
    CONFIG,
    DATA_REVISION,
    DUPLICATES,
    FAILURE,
    MANIFEST,
    OUTPUT_LOG,
    PREDICTIONS,
    REPORTS,
    TENSORBOARD,
    TRIALS,
    attempt_of,
    elsewhere,
    event_files,
)
from imgcls_lab.run_paths import is_folder, names_in, open_plain
from imgcls_lab.schemas import FileKind, LogMatches, RunFile, RunFiles, RunManifest, StartPhase
from imgcls_lab.schemas.run_contents import CodeChanges
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes, log_search, queries
from imgcls_lab.store.code_changes import Recorded, changes
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run

EXPORTS = "exports"
MAX_FILES = 2000  # that are listed
MAX_DEPTH = 5
START_BYTES = 2**18  # of an attempt's events that are read for what came before its first step
MAX_ATTEMPTS = 20  # whose starts are shown
# What is listed. The rest is notes of the executor, notebooks, which Jupyter's contents show, and copies of code.
_FILES: dict[str, FileKind] = {
    CONFIG: "config", MANIFEST: "config", DATA_REVISION: "config", DUPLICATES: "report", TRIALS: "report",
    CERTIFICATE: "report", OUTPUT_LOG: "log",
}  # fmt: skip
_PATTERNS: dict[re.Pattern[str], FileKind] = {
    re.compile(r"(node|job)-\d{3,}\.log"): "log",
    re.compile(r"events-\d{3,}\.jsonl"): "events",
    re.compile(r"indices-\d{3,}-\d+\.jsonl"): "other",
}
_FOLDERS: dict[str, FileKind] = {
    CHECKPOINTS: "checkpoint", REPORTS: "report", PREDICTIONS: "predictions", TENSORBOARD: "tensorboard",
    EXPORTS: "export", FAILURE: "failure",
}  # fmt: skip


class Opened(NamedTuple):
    """A file of a run to send. name: what it is saved as."""

    file: BufferedReader
    size: int
    name: str


class RunContents:
    """The files of runs that lie in this home."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def files(self, text: str) -> RunFiles:
        """The files of a run. Raises NotFoundError where its folder lies in another home."""
        folder, config = self._folder(text)
        found: list[RunFile] = []
        more = 0
        for file in _files(folder, elsewhere(config, folder)):
            if len(found) < MAX_FILES:
                found.append(file)
            else:
                more += 1
        return RunFiles(files=found, more=more, size=sum(file.size for file in found))

    def open_file(self, text: str, file_id: str) -> Opened:
        """A listed file to read; the caller closes it. Raises NotFoundError."""
        folder, config = self._folder(text)
        outside = elsewhere(config, folder)
        wanted = next((file for file in _files(folder, outside) if file.id == file_id), None)
        if wanted is None:
            raise NotFoundError("This file is not there any more. Look at the list again.", reason="no_file")
        try:
            file = open_plain(folder, wanted.name, outside)
        except OSError:
            raise NotFoundError(f"“{wanted.name}” was just removed.", reason="no_file") from None
        return Opened(file, os.fstat(file.fileno()).st_size, f"{folder.name}-{wanted.name.replace('/', '-')}")

    def manifest(self, text: str) -> RunManifest:
        """All that the run recorded before its first step. Raises NotFoundError."""
        return RunManifest(manifest=queries.manifest_of(self._settings, self._folder(text)[0].name))

    def code_changes(self, text: str, against: str) -> CodeChanges:
        """What the code of a run has otherwise than that of another one. Raises NotFoundError."""
        before, after = self._recorded(against), self._recorded(text)
        return changes(before, after, self._settings.home_path)

    def search_log(self, text: str, words: str, node: int = 0) -> LogMatches:
        """Lines of the run's log, or of that of a further node, that hold a text. Raises NotFoundError, InputError."""
        return log_search.search(self._folder(text)[0], words, node)

    def start_phases(self, text: str) -> list[StartPhase]:
        """What each of the last attempts did before its first step, and for how long. Raises NotFoundError."""
        folder, _ = self._folder(text)
        return [phase for path in event_files(folder)[-MAX_ATTEMPTS:] for phase in _phases(path)]

    def _recorded(self, text: str) -> Recorded:
        with self._database.read() as session:
            run = find_run(session, text)
            homes.check_here(session, run)
            name, run_id, trusted = run.name, run.id, not run.view_only
        return Recorded(name, queries.manifest_of(self._settings, run_id) or {}, trusted)

    def _folder(self, text: str) -> tuple[Path, Mapping[str, Any]]:
        with self._database.read() as session:
            run = find_run(session, text)
            homes.check_here(session, run)
            # a stranger's config names no folder of ours
            return self._settings.run_dir(run.id), {} if run.view_only else dict(run.config)


def _files(folder: Path, outside: tuple[Path, ...]) -> Iterator[RunFile]:
    """All files that are listed, those of the folder itself first. The links to checkpoints are left out."""
    for name in names_in(folder.parent, folder.name):
        kind = _FILES.get(name) or next((kind for pattern, kind in _PATTERNS.items() if pattern.fullmatch(name)), None)
        if kind is not None and (file := _file(folder, name, kind, outside)):
            yield file
    for name, kind in _FOLDERS.items():
        yield from _below(folder, name, kind, outside, MAX_DEPTH)


def _below(folder: Path, place: str, kind: FileKind, outside: tuple[Path, ...], depth: int) -> Iterator[RunFile]:
    for part in names_in(folder, place, outside):
        name = f"{place}/{part}"
        if part.startswith(".") or (folder / name).is_symlink():
            continue
        if file := _file(folder, name, kind, outside):
            yield file
        elif depth > 1 and is_folder(folder, name, outside):
            yield from _below(folder, name, kind, outside, depth - 1)


def _file(folder: Path, name: str, kind: FileKind, outside: tuple[Path, ...]) -> RunFile | None:
    try:
        with open_plain(folder, name, outside) as file:
            facts = os.fstat(file.fileno())
    except (OSError, ValueError):  # a folder, a link that leads out, or gone
        return None
    file_id = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    shown = name.encode(errors="surrogateescape").decode(errors="replace")
    return RunFile(id=file_id, name=shown, kind=kind, size=facts.st_size, modified_at=facts.st_mtime)


def _phases(path: Path) -> Iterator[StartPhase]:
    """Each phase of an attempt until its first step begins. Its progress comes as events of the same name."""
    attempt = attempt_of(path) or 0
    events, _ = read_events(path, limit=START_BYTES)
    name, since = "", 0.0
    for event in events:
        over = isinstance(event, (Started, Began, *TERMINAL))
        if not over and (not isinstance(event, Phase) or event.name == name):
            continue  # a notice, or the progress of the phase
        if name:
            yield StartPhase(attempt=attempt, name=name, since=since, seconds=max(0.0, event.t - since))
        if over:
            return
        name, since = getattr(event, "name", ""), event.t
    if name:
        yield StartPhase(attempt=attempt, name=name, since=since, seconds=None)
