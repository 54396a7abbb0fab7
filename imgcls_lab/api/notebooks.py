"""`lab.launch_notebook` queues a notebook. papermill executes it in the background, on a device of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgcls_lab.api import context
from imgcls_lab.api.resolving import print_notes
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_list import ids_of
from imgcls_lab.api.run_queue import common_fields
from imgcls_lab.api.validation import request
from imgcls_lab.batch import notebook_source
from imgcls_lab.batch.submit_notebook import submit_notebook
from imgcls_lab.executor import client
from imgcls_lab.schemas import NotebookRequest


def launch_notebook(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    project: str | None = None,
    device: str | None = None,
    notes: str = "",
    priority: int = 0,
    after: Sequence[Run | str] = (),
    host: str | None = None,
    idempotency_key: str | None = None,
) -> Run:
    """Queue a notebook; the run's executed notebook is `run.notebook`, saved as it goes.

    `parameters` are those of its cell with the tag “parameters”. Others, values of another kind, keys that are no texts
    and what looks like a secret raise InputError before anything is queued. A warning names what the parameters cell
    computes from a given value. The text is stored now: later changes of the file do not matter. device: auto, cuda,
    cpu or part of a GPU's name. after: runs that must succeed first. host: the host that it must run on. `lab.train` in
    it trains on the run's device, and its curves are the run's. A resume does not repeat a finished training. Raises
    NotFoundError without the file.

    >>> import nbformat
    >>> nbformat.write(nbformat.v4.new_notebook(), "empty.ipynb")
    >>> lab.launch_notebook("empty.ipynb", name="nothing").name
    'nothing'
    """
    settings, store = context.settings(), context.store()
    wanted = request(
        NotebookRequest,
        path=str(notebook),
        parameters=dict(parameters or {}),
        after=ids_of(after),
        device=device,
        host=host,
        **common_fields(
            store, name=name, project=project, notes=notes, priority=priority, idempotency_key=idempotency_key
        ),
    )
    view = submit_notebook(store, notebook_source.read(notebook), wanted)
    print_notes(*view.warnings)
    client.ensure(settings)
    return Run(view.id, store=store)
