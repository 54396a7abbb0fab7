"""`store.events`: the record of who did what, as lists and pages show it. Called through `Store`; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col

from imgcls_lab.schemas import AuditEventView
from imgcls_lab.store import audit
from imgcls_lab.store.database import Database
from imgcls_lab.store.tables import AuditEvent


class Events:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self,
        *,
        run: str | None = None,
        user: str | None = None,
        since: float | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[AuditEventView]:
        """Events, newest first.

        run: of the runs whose id begins so, deleted ones too; user: who did it; since: a Unix time; before: the id of
        an event, for the page after it.
        """
        wanted = []
        if run is not None:
            wanted += [AuditEvent.kind == "run", col(AuditEvent.subject_id).startswith(run, autoescape=True)]
        if user is not None:
            wanted.append(AuditEvent.user == user)
        if since is not None:
            wanted.append(col(AuditEvent.time) >= since)
        if before is not None:
            wanted.append(col(AuditEvent.id) < before)
        with self._database.read() as session:
            return audit.views(session, wanted, limit)
