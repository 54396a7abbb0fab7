"""Puts a notebook into the queue. Called by `lab.launch_notebook` and the server."""

from __future__ import annotations

from imgcls_lab.batch.notebook_source import Source, keep
from imgcls_lab.batch.parameters import checked, warnings
from imgcls_lab.events import RunKind
from imgcls_lab.schemas import NotebookRequest, Queued, SubmitRequest
from imgcls_lab.store import Store

WARNINGS = "warnings"  # of a payload: what the run's page says


def submit_notebook(store: Store, source: Source, request: NotebookRequest) -> Queued:
    """Queue it; nothing is queued where a parameter is wrong. Raises InputError, NotFoundError, ConflictError."""
    values = checked(source.parameters, request.parameters, source.name)
    given = request.model_dump(exclude={"path", "parameters", "name"})
    told = warnings(source.parameters, source.derived, request.parameters)
    payload = {**keep(source, store.settings), "parameters": values, WARNINGS: told}
    name = request.name or source.path.stem
    view = store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload=payload, name=name, **given))
    return Queued(**dict(view), warnings=told)
