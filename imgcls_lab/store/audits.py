"""`store.audits`: start an audit of a data set, follow it, and read what it found. Called through `Store`.

An audit is a run of the kind `task`; the row of the data set names the newest one. Its process knows no database: all
that it needs stands in the run's payload.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab.audits import results
from imgcls_lab.audits.results import Summary
from imgcls_lab.audits.task import PHASES, TASK, AuditTask, FeatureModel
from imgcls_lab.data_revision import Changes, in_force
from imgcls_lab.errors import ConflictError, InputError, NotFoundError
from imgcls_lab.events import ACTIVE, DesiredState, RunKind, RunState
from imgcls_lab.run_layout import BEST, CHECKPOINTS, new_run_id
from imgcls_lab.run_paths import is_folder
from imgcls_lab.schemas import AuditRequest, AuditView, ProblemPage, ProblemView, SubmitRequest
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import claims, homes
from imgcls_lab.store.database import Database
from imgcls_lab.store.registry import Datasets
from imgcls_lab.store.revision_rows import newest_number, overlay_of
from imgcls_lab.store.run_rows import find_run, new_run
from imgcls_lab.store.runs import Runs
from imgcls_lab.store.submitting import add_run
from imgcls_lab.store.tables import Dataset, Model, Run

_STAGES = {said: stage for stage, said in PHASES.items()}


class Audits:
    """The audits of registered data sets."""

    def __init__(self, database: Database, settings: Settings, runs: Runs) -> None:
        self._database = database
        self._settings = settings
        self._runs = runs

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────
    def start(self, dataset_id: int, request: AuditRequest | None = None) -> AuditView:
        """Queue an audit. One that is under way and does as much is joined.

        Raises NotFoundError for a data set, model, run or revision that is not there; InputError and ConflictError for
        what cannot be looked at, with the reason.
        """
        with self._database.write() as session:
            row = find_dataset(session, dataset_id, lock=True)  # of two that start one at once the second joins
            if not os.path.isdir(row.root):
                raise InputError(
                    f"The folder “{row.root}” of the data set “{row.name}” is not there any more. Put it back, or edit "
                    "the data set.",
                    reason="no_folder",
                )
            task = self._task(session, row, request or AuditRequest())
            if not _is_under_way(_newest(session, row), task):
                _queue(session, row, task)
        return self.view(dataset_id)

    def refresh(self, dataset_id: int, *, rescan: bool = True) -> None:
        """Look at the files again, after a data set was added or its files changed; with the model of the last audit.

        rescan: also where there was an audit of this folder. Does nothing for a folder that is not there.
        """
        with self._database.write() as session:
            row = find_dataset(session, dataset_id, lock=True)
            last = _newest(session, row)
            before = AuditTask.of(last.payload) if last is not None else None
            known = before is not None and before.root == row.root
            if not os.path.isdir(row.root) or (known and not rescan):
                return
            task = self._task(session, row, AuditRequest())
            if before is not None and known and _is_there(before.model):
                task = task.model_copy(update={"model": before.model, "device": before.device})
            if not _is_under_way(last, task):
                _queue(session, row, task)

    def cancel(self, dataset_id: int) -> AuditView:
        """Stop the audit that is under way; what it found so far stays. Raises NotFoundError where there is none."""
        with self._database.read() as session:
            run = _newest(session, find_dataset(session, dataset_id))
            if run is None or RunState(run.state) not in ACTIVE:
                raise NotFoundError("No audit of this data set is under way.", reason="no_audit")
            run_id = run.id
        self._runs.set_desired_state(run_id, DesiredState.STOP)
        return self.view(dataset_id)

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────
    def view(self, dataset_id: int) -> AuditView:
        """The newest audit of a data set, running or done. Raises NotFoundError."""
        with self._database.read() as session:
            row = find_dataset(session, dataset_id)
            run, root = _newest(session, row), row.root
        summary = None if run is None else results.read_summary(self._settings.run_dir(run.id))
        stale = summary is not None and self.is_stale(root, summary)
        return AuditView.model_validate({**_of_run(run), **_of_summary(summary), "stale": stale})

    def problems(
        self, dataset_id: int, kind: str | None = None, *, leak: bool | None = None, offset: int = 0, limit: int = 200
    ) -> ProblemPage:
        """A page of what the newest audit found so far. Raises NotFoundError for the data set."""
        with self._database.read() as session:
            run = _newest(session, find_dataset(session, dataset_id))
            if run is None:
                return ProblemPage(items=[], offset=offset, total=0)
            newest = newest_number(session, dataset_id)
            task = AuditTask.of(run.payload)
            changes = overlay_of(session, dataset_id, newest).by_key if newest > task.revision else {}
        folder = self._settings.run_dir(run.id)
        items, total = results.read_problems(folder, kind, leak=leak, offset=offset, limit=limit)
        for problem in items:
            apply_changes(problem, changes)
        return ProblemPage(items=items, offset=offset, total=total)

    def folder(self, dataset_id: int) -> Path | None:
        """The folder of the newest audit's run; None: there is none. Raises NotFoundError for the data set."""
        with self._database.read() as session:
            run = _newest(session, find_dataset(session, dataset_id))
            return None if run is None else self._settings.run_dir(run.id)

    def summary(self, dataset_id: int) -> Summary | None:
        """What the newest audit found so far. Raises NotFoundError for the data set."""
        folder = self.folder(dataset_id)
        return None if folder is None else results.read_summary(folder)

    @staticmethod
    def is_stale(root: str, summary: Summary) -> bool:
        """Whether files changed since an audit, or it was one of another folder."""
        return summary.root != root or results.changed_since(Path(root), summary)

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────

    def _task(self, session: Session, row: Dataset, request: AuditRequest) -> AuditTask:
        overlay = overlay_of(session, row.id or 0, request.revision) if request.revision else None
        return AuditTask(
            overlay=overlay.model_dump(mode="json") if overlay is not None else {},
            revision_digest=overlay.digest if overlay is not None else "",
            dataset=row.name,
            dataset_id=row.id or 0,
            root=row.root,
            model=self._model(session, request),
            revision=request.revision or 0,
            device=request.device or "auto",
        )

    def _model(self, session: Session, request: AuditRequest) -> FeatureModel | None:
        if request.model_id is not None and request.run_id is not None:
            raise InputError("Name a model or a run for the features, not both.")
        if request.model_id is not None:
            model = session.get(Model, request.model_id)
            if model is None:
                raise NotFoundError(f"There is no model {request.model_id}.")
            found = model.model_dump(include={"flavour", "revision", "load_pretrained"})
            return FeatureModel(title=model.name, **found)
        if request.run_id is None:
            return None
        run = find_run(session, request.run_id)
        claims.refuse_view_only(run)
        homes.check_here(session, run)
        folder, name = self._settings.run_dir(run.id), f"{CHECKPOINTS}/{BEST}"
        if not is_folder(folder, name):
            raise ConflictError(
                f"The run “{run.name}” has no best checkpoint, so it gives no features. Choose another run or a model.",
                reason="no_checkpoint",
                run=run.id,
            )
        return FeatureModel(
            title=run.name, flavour=run.model_flavour, run_id=run.id, checkpoint=str((folder / name).resolve())
        )


def apply_changes(problem: ProblemView, changes: Changes) -> None:
    """Show the images of a problem as a newer revision has them, and whether that settled it."""
    touched = False
    for image in problem.images:
        change = in_force(changes, (image.image, image.split))
        if change is None:
            continue
        touched, image.excluded = True, change.excluded
        image.label = image.label if change.excluded else change.label or image.label
    left = [image for image in problem.images if not image.excluded]
    if not touched or problem.kind not in results.LEAKING:
        problem.settled = touched
        return
    leak, across = len({image.split for image in left}) > 1, len({image.label for image in left}) > 1
    reasons = [still for was, still in ((problem.leak, leak), (problem.across_classes, across)) if was]
    problem.settled = len(left) < 2 or (bool(reasons) and not any(reasons))


def find_dataset(session: Session, dataset_id: int, *, lock: bool = False) -> Dataset:
    """The row of a data set; lock: nobody else changes it until this transaction ends. Raises NotFoundError."""
    row = session.get(Dataset, dataset_id, with_for_update=lock)
    if row is None:
        raise NotFoundError(f"There is no {Datasets.noun} {dataset_id}.")
    return row


def _newest(session: Session, row: Dataset) -> Run | None:
    """The newest audit whose folder this home wrote itself; None: there is none, or it was deleted.

    Another user of the database audits the data set in a home of his own: that takes nothing away from this one's.
    """
    if row.audit_run_id is None:
        return None
    run = session.exec(select(Run).where(Run.id == row.audit_run_id)).first()
    if run is not None and homes.elsewhere(session, [run]):
        here = select(Run).where(Run.root == row.root, Run.kind == RunKind.TASK.value, homes.is_here(session))
        run = session.exec(here.order_by(col(Run.number).desc()).limit(1)).first()
    return run if run is not None and not run.view_only and TASK in run.payload else None


def _queue(session: Session, row: Dataset, task: AuditTask) -> None:
    """Queue an audit, and name it in the row of its data set."""
    name, device = f"Audit of {row.name}"[:MAX_NAME], task.device if task.model else None
    request = SubmitRequest(kind=RunKind.TASK, name=name, payload=task.to_payload(), device=device)
    run = new_run(session, new_run_id(), None, request, None)
    run.root, run.model_flavour = row.root, task.model.flavour if task.model else ""
    row.audit_run_id = add_run(session, run, request)
    session.add(row)


def _is_there(model: FeatureModel | None) -> bool:
    """Whether a model can still be loaded, as far as its folder tells."""
    return model is None or model.checkpoint is None or os.path.isdir(model.checkpoint)


def _is_under_way(run: Run | None, task: AuditTask) -> bool:
    """Whether this run will do all that the task asks for."""
    return run is not None and RunState(run.state) in ACTIVE and AuditTask.of(run.payload).covers(task)


def _of_run(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {
            **dict.fromkeys(("run_id", "state", "seconds_left", "message", "ended_at")),
            "phase": "", "done": 0, "total": 0, "model": "", "revision": 0,
        }  # fmt: skip
    task = AuditTask.of(run.payload)
    ended = RunState(run.state) is RunState.SUCCEEDED
    return {
        "run_id": run.id,
        "state": run.state,
        "phase": "done" if ended else _STAGES.get(run.phase or "", ""),
        "done": run.step,
        "total": run.total_steps or 0,
        **{name: getattr(run, name) for name in ("seconds_left", "message", "ended_at")},
        "model": task.model.title if task.model else "",
        "revision": task.revision,
    }


def _of_summary(summary: Summary | None) -> dict[str, Any]:
    if summary is None:
        return {"fingerprint": "", "counts": {}, "leaks": 0, "has_map": False, "notes": []}
    return {
        **summary.model_dump(include={"fingerprint", "counts", "leaks", "notes"}),
        "has_map": "map" in summary.stages,
    }
