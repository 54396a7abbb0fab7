"""Who did what: `lab.audit_events`. Called by users and by the command line; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from imgcls_lab.api import context
from imgcls_lab.api.run_handle import Run
from imgcls_lab.schemas import AuditEventView


def audit_events(
    run: Run | str | None = None, *, user: str | None = None, since: float | None = None, limit: int = 100
) -> Sequence[AuditEventView]:
    """Who launched, stopped, edited or deleted what, newest first; `text` of an event says it.

    run: a run, or the beginning of the id of one, deleted ones too; since: a Unix time.

    >>> len(lab.audit_events(run, limit=1))
    1
    """
    run_id = run.id if isinstance(run, Run) else run
    return context.store().events.list(run=run_id, user=user, since=since, limit=limit)
