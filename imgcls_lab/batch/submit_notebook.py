"""Puts a notebook into the queue. Called by `lab.launch_notebook` and the server."""

from __future__ import annotations

from imgcls_lab.batch.notebook_source import NotebookSource, store_text
from imgcls_lab.batch.parameters import checked, warnings
from imgcls_lab.events import RunKind
from imgcls_lab.schemas import NotebookRequest, Queued, SubmitRequest
from imgcls_lab.store import Store

WARNINGS = "warnings"  # of a payload: what the run's page says


def submit_notebook(store: Store, source: NotebookSource, request: NotebookRequest) -> Queued:
    """Queue it. Raises InputError for a wrong parameter, NotFoundError, ConflictError; nothing is queued then."""
    values = checked(source.parameters, request.parameters, source.name)
    given = request.model_dump(exclude={"path", "parameters", "name"})
    found = warnings(source.parameters, source.derived, request.parameters)
    payload = {**store_text(source, store.settings), "parameters": values, WARNINGS: found}
    name = request.name or source.path.stem
    queued = store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload=payload, name=name, **given))
    return queued.model_copy(update={"warnings": found})
