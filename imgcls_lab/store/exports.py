"""`store.exports`: queue the export of a model, as a run of the kind `task`. Called by the server.

Its process knows no database: all that it needs stands in the run's payload.
"""

from __future__ import annotations

import os
from typing import Any

from sqlmodel import Session

from imgcls_lab import model_facts
from imgcls_lab.errors import ConflictError, InputError, NotFoundError, Problem
from imgcls_lab.events import RunKind
from imgcls_lab.model_export import ExportTask
from imgcls_lab.run_layout import BEST, CHECKPOINTS, elsewhere, new_run_id
from imgcls_lab.run_paths import real_path
from imgcls_lab.schemas import ExportRequest, RunView, SubmitRequest
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import claims, homes
from imgcls_lab.store.audits import find_dataset
from imgcls_lab.store.database import Database
from imgcls_lab.store.models import Models, find_checkpoint
from imgcls_lab.store.run_rows import find_run, new_run, own_best_epoch
from imgcls_lab.store.runs import Runs
from imgcls_lab.store.submitting import add_run


class Exports:
    """Writes models of runs and of the registry for other programs."""

    def __init__(self, database: Database, settings: Settings, runs: Runs, models: Models) -> None:
        self._database = database
        self._settings = settings
        self._runs = runs
        self._models = models

    def task(self, request: ExportRequest) -> ExportTask:
        """What a request asks for. Raises NotFoundError, InputError, ConflictError."""
        if (request.run_id is None) is (request.model_id is None):
            raise InputError("Name a run or a registered model.")
        out = os.path.join(os.path.abspath(os.path.expanduser(request.folder)), request.name)
        if os.path.lexists(out):
            raise ConflictError(f"“{out}” is there already. Choose another name, or remove it.", reason="exists")
        run_id, checkpoint = request.run_id, request.checkpoint
        title = folder = ""
        if request.model_id is not None:
            model = self._models.get(request.model_id)
            found = model_facts.folder_of(model.flavour, model.revision)
            if model.problem or found is None:
                raise InputError(
                    model.problem or f"“{model.flavour}” is not on this machine. A run that starts with it brings it."
                )
            if model.facts.parameters is None:
                raise InputError(f"The model “{model.name}” has no weights on this machine to export.")
            title, folder = model.name, str(found)
            if model.made_by:
                run_id, checkpoint = model.made_by.run_id, model.made_by.checkpoint
        root = self._root(request.dataset_id)
        task = ExportTask(title=title, folder=folder, form=request.form, out=out, root=root)
        if run_id is not None:
            with self._database.read() as session:
                task = self._of_run(session, task, run_id, checkpoint)
        if not task.root:
            sentence = "Choose a data set: an export is checked on real images."
            raise InputError(sentence, [Problem("dataset_id", sentence)])
        return task

    def start(self, task: ExportTask) -> RunView:
        """Queue it."""
        name = f"Export of {task.title}"[:MAX_NAME]
        request = SubmitRequest(kind=RunKind.TASK, name=name, payload=task.to_payload())
        with self._database.write() as session:
            run = new_run(session, new_run_id(), None, request, None)
            run.root = task.root  # it begins with no model: lists of what did would count it
            run_id = add_run(session, run, request)
        return self._runs.get(run_id)

    def _root(self, dataset_id: int | None) -> str:
        if dataset_id is None:
            return ""
        with self._database.read() as session:
            return find_dataset(session, dataset_id).root

    def _of_run(self, session: Session, task: ExportTask, run_id: str, checkpoint: str) -> ExportTask:
        """The export of a checkpoint, checked on images that its run validated where no data set is named."""
        run = find_run(session, run_id)
        claims.refuse_view_only(run)
        homes.check_here(session, run)
        row = find_checkpoint(session, run.id, checkpoint)
        if row is None:
            raise NotFoundError(f"The run “{run.name}” has no checkpoint “{checkpoint}”.", reason="no_checkpoint")
        run_folder = self._settings.run_dir(run.id)
        try:
            place = real_path(run_folder, f"{CHECKPOINTS}/{row.name}", elsewhere(run.config, run_folder))
        except (OSError, ValueError):
            raise NotFoundError(f"The files of “{row.name}” are not there any more.", reason="no_checkpoint") from None
        found: dict[str, Any] = {"title": task.title or f"{run.name} · {checkpoint}", "folder": str(place)}
        epoch = own_best_epoch(run)
        if not task.root and epoch is not None:
            root = os.path.expanduser(str(run.config.get("root", "")))
            found |= {"root": root, "run_folder": str(run_folder), "epoch": epoch}
            found["reported"] = BEST in row.links
        return task.model_copy(update=found)
