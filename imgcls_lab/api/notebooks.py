"""Notebooks in the queue: `lab.launch_notebook`. papermill executes them in the background, each on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imgcls_lab.api import context
from imgcls_lab.api.configs import print_notes
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.validation import project_id, request
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

    `parameters` are those of its cell that is tagged “parameters”; others, and values of another kind, are refused
    with InputError before anything is queued, and so are keys that are no texts and what looks like a secret. What its
    parameters cell computes from a given one is said. The text is taken now: later changes of the file do not matter.
    device: auto, cuda, cpu or part of a GPU's name. after: runs that must succeed first. host: the one that it must
    run on. `lab.train` in it trains on the run's device, and its curves are the run's; resumed, a finished training is
    not done again. Raises NotFoundError without the file.
    """
    settings, store = context.settings(), context.store()
    wanted = request(
        NotebookRequest,
        path=str(notebook),
        parameters=dict(parameters or {}),
        name=name,
        project_id=project_id(store, project, make=True) if project else None,
        device=device,
        host=host,
        notes=notes,
        priority=priority,
        after=[item.id if isinstance(item, Run) else item for item in after],
        idempotency_key=idempotency_key,
    )
    view = submit_notebook(store, notebook_source.read(notebook), wanted)
    print_notes(*view.warnings)
    client.ensure(settings)
    return Run(view.id, store=store)
