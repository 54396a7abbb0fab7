"""`lab.launch_export`: write a model for other programs in the background, as the panel does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from imgcls_lab.api import context
from imgcls_lab.api.audits import find_dataset
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.validation import request
from imgcls_lab.executor import client
from imgcls_lab.schemas import ExportRequest

if TYPE_CHECKING:
    from imgcls_lab.engine.inference.export import Format


def launch_export(
    model: Run | str,
    out: str | os.PathLike[str],
    *,
    format: Format = "hf",
    checkpoint: str = "best",
    dataset: str | os.PathLike[str] | int | None = None,
) -> Run:
    """Queue the export of a run's checkpoint, or of a registered model by its name; the run that writes it.

    out: the new folder. format: hf, onnx or torch-export. checkpoint: of a run: best, last, or the name of one.
    dataset: whose images it is checked on, by default some that the run validated. `Run.export` does the same at once.
    Raises NotFoundError, InputError, ConflictError for a folder that is there.

    >>> lab.launch_export(run, "for production").name
    'Export of first digits · best'
    """
    store, place = context.store(), Path(os.path.abspath(os.path.expanduser(out)))
    of_run = isinstance(model, Run)
    task = store.exports.task(
        request(
            ExportRequest,
            run_id=model.id if isinstance(model, Run) else None,
            model_id=None if isinstance(model, Run) else store.models.find(model).id,
            checkpoint=checkpoint if of_run else "best",
            form=format,
            folder=str(place.parent),
            name=place.name,
            dataset_id=None if dataset is None else find_dataset(store, dataset).id,
        )
    )
    queued = store.exports.start(task)
    client.ensure(store.settings)
    return Run(queued.id, store=store)
