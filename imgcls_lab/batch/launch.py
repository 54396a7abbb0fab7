"""Puts a notebook into the queue. Called by `lab.launch_notebook`, the server and the sweep's driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgcls_lab.batch.parameters import checked
from imgcls_lab.batch.source import Source, keep
from imgcls_lab.protocol import RunKind
from imgcls_lab.store import Store
from imgcls_lab.wire import RunView, SubmitRequest


def submit_notebook(
    store: Store,
    source: Source,
    parameters: Mapping[str, Any],
    *,
    name: str | None = None,
    project_id: int | None = None,
    device: str | None = None,
    host: str | None = None,
    notes: str = "",
    priority: int = 0,
    after: Sequence[str] = (),
    idempotency_key: str | None = None,
) -> RunView:
    """Queue it; nothing is queued where a parameter is wrong. Raises InputError, NotFoundError, ConflictError."""
    values = checked(source.parameters, parameters, source.name)
    request = SubmitRequest(
        kind=RunKind.NOTEBOOK,
        payload={**keep(source, store.settings), "parameters": values},
        name=name or source.path.stem,
        project_id=project_id,
        device=device,
        host=host,
        notes=notes,
        priority=priority,
        after=list(after),
        idempotency_key=idempotency_key,
    )
    return store.submit(request)
