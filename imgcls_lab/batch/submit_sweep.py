"""Queues a sweep. The whole sweep is checked first, so that no trial fails for something that was known before.

Called by `lab.sweep`, the command line and the server. The sweep's driver (`sweep_driver.py`) is a run of its own.
"""

from __future__ import annotations

from typing import Any

from imgcls_lab import cpu, output_folders
from imgcls_lab.batch.notebook_source import NotebookSource, store_text
from imgcls_lab.batch.submit_notebook import WARNINGS
from imgcls_lab.batch.sweep_spec import check_space, check_trials, sweep_warnings
from imgcls_lab.events import RunKind
from imgcls_lab.schemas import Queued, SubmitRequest, SweepRequest
from imgcls_lab.store import Store

_OF_THE_RUN = {"name", "project_id", "notes", "priority", "idempotency_key"}


def submit_sweep(store: Store, request: SweepRequest, source: NotebookSource | None) -> Queued:
    """Queue its driver. `request.base` is resolved: absolute folders. Raises InputError, ConfigError, ConflictError."""
    check_space(request)
    output_folders.check(request.base, store.settings)
    if source is None:
        request = request.model_copy(update={"base": {**request.base, "threads": _threads(store, request)}})
    check_trials(request, source)
    # the processor decides on the precision and the last bits; for a notebook's trainings the threads do, too
    computes = cpu.arithmetic()
    payload: dict[str, Any] = {"request": request.model_dump(mode="json", exclude=_OF_THE_RUN), "computes": computes}
    if source is not None:
        payload["notebook"] = store_text(source, store.settings)
        payload["computes"] += f", {cpu.share_of_cores(store.settings.cpu_slots)} threads"
    payload[WARNINGS] = found = sweep_warnings(request, source)
    queued = store.runs.submit(
        SubmitRequest(
            kind=RunKind.SWEEP,
            payload=payload,
            name=request.name or f"sweep of {', '.join(request.space)}"[:200],
            project_id=request.project_id,
            notes=request.notes,
            priority=request.priority,
            idempotency_key=request.idempotency_key,
        )
    )
    return queued.model_copy(update={"warnings": found})


def _threads(store: Store, request: SweepRequest) -> int | None:
    """Fixed for all trials: on a CPU one and two threads give different bits, and are not the same trial."""
    threads = request.base.get("threads")
    return threads if isinstance(threads, int) else cpu.share_of_cores(store.settings.cpu_slots)
