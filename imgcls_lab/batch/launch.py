"""Puts a notebook into the queue. Called by `lab.launch_notebook` and the server."""

from __future__ import annotations

from imgcls_lab.batch.parameters import checked
from imgcls_lab.batch.source import Source, keep
from imgcls_lab.protocol import RunKind
from imgcls_lab.store import Store
from imgcls_lab.wire import NotebookRequest, RunView, SubmitRequest


def submit_notebook(store: Store, source: Source, request: NotebookRequest) -> RunView:
    """Queue it; nothing is queued where a parameter is wrong. Raises InputError, NotFoundError, ConflictError."""
    values = checked(source.parameters, request.parameters, source.name)
    given = request.model_dump(exclude={"path", "parameters", "name"})
    payload = {**keep(source, store.settings), "parameters": values}
    name = request.name or source.path.stem
    return store.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload=payload, name=name, **given))
