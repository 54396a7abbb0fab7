"""Checkpoints and reports of a run as rows, brought up to date with a batch of its events. Called by `ingest`.

Read once and written once a batch: of a database that was away for a while there may be hundreds of checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sqlalchemy import or_
from sqlmodel import Session, col, select

from imgcls_lab.events import AnyEvent, CheckpointSaved, EpochEnded
from imgcls_lab.run_layout import elsewhere
from imgcls_lab.run_paths import is_folder, size
from imgcls_lab.run_state import move_links
from imgcls_lab.store.tables import Artifact, Run


@dataclass
class Artifacts:
    session: Session
    folder: Path  # of the run
    run_id: str
    attempt: int
    elsewhere: tuple[Path, ...]  # folders outside in which the run's config puts its files
    _rows: dict[tuple[str, str], Artifact] = field(default_factory=dict)  # by kind and name
    _changed: list[Artifact] = field(default_factory=list)
    _newest: Artifact | None = None  # the checkpoint that was saved last

    @classmethod
    def read(cls, session: Session, folder: Path, run: Run, attempt: int, events: Sequence[AnyEvent]) -> Self:
        """The run's checkpoints and what is known of the reports in these events."""
        run_id = run.id
        made = cls(session, folder, run_id, attempt, elsewhere(run.config, folder))
        reports = [Path(event.report).stem for event in events if isinstance(event, EpochEnded) and event.report]
        if reports or any(isinstance(event, CheckpointSaved) for event in events):
            wanted = or_(col(Artifact.kind) == "checkpoint", col(Artifact.name).in_(reports))
            known = session.exec(select(Artifact).where(Artifact.run_id == run_id, wanted)).all()
            made._rows = {(row.kind, row.name): row for row in known}
        return made

    def checkpoint(self, event: CheckpointSaved) -> None:
        """A checkpoint was saved; it takes its links from those before."""
        self._newest = self._set("checkpoint", Path(event.folder).name, event.folder, event)
        move_links((row for (kind, _), row in self._rows.items() if kind == "checkpoint"), self._newest, event.links)

    def report(self, event: EpochEnded) -> None:
        """An epoch was evaluated."""
        if event.report:
            self._set("report", Path(event.report).stem, event.report, event)

    def write(self) -> None:
        """Only the last few checkpoints stay on disk; the rows of the others go."""
        for row in self._changed:
            row.size = size(self.folder, row.path, self.elsewhere)
        if not self._changed:
            return
        for (kind, _), row in self._rows.items():
            if kind != "checkpoint" or row is self._newest or is_folder(self.folder, row.path, self.elsewhere):
                self.session.add(row)
            elif row.id is not None:
                self.session.delete(row)

    def _set(self, kind: str, name: str, path: str, event: CheckpointSaved | EpochEnded) -> Artifact:
        values: dict[str, Any] = {
            "path": path, "attempt": self.attempt, "step": event.step, "epoch": event.epoch, "created_at": event.t,
        }  # fmt: skip
        row = self._rows.setdefault(
            (kind, name), Artifact(run_id=self.run_id, kind=kind, name=name, links=[], **values)
        )
        for column, value in values.items():
            setattr(row, column, value)
        self._changed.append(row)
        return row
