"""`store.proofs`: queue the verification of a run, follow it, and read its certificate. Called through `Store`.

A verification is a run of the kind `task`. Its process knows no database: all that it needs stands in its payload.
"""

from __future__ import annotations

from pydantic import ValidationError
from sqlmodel import Session, col, select

from imgcls_lab.errors import ConflictError
from imgcls_lab.events import ACTIVE, RunKind, RunState
from imgcls_lab.proofs import VERIFY, VerifyTask
from imgcls_lab.run_layout import CERTIFICATE, new_run_id
from imgcls_lab.run_paths import read_plain
from imgcls_lab.schemas import Certificate, ProofView, RunView, SubmitRequest, VerifyRequest
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import claims, homes, queries, rights, submitted
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run, new_run
from imgcls_lab.store.runs import Runs
from imgcls_lab.store.submitting import add_run
from imgcls_lab.store.tables import Run

_LOOKED_AT = 200  # newest tasks on the run's data set


class Proofs:
    """Verifications of runs."""

    def __init__(self, database: Database, settings: Settings, runs: Runs) -> None:
        self._database = database
        self._settings = settings
        self._runs = runs

    def verify(self, text: str, request: VerifyRequest | None = None) -> RunView:
        """Queue a verification; one that waits or runs is joined. Returns its run.

        Raises NotFoundError; ConflictError for what is no training, is live, or is not this home's user's own.
        """
        wanted = request or VerifyRequest.model_validate({})
        with self._database.write() as session:
            run = find_run(session, text)
            rights.check(session, "verified", run)
            self._check(session, run)
            task = _newest(session, run)
            if task is not None and RunState(task.state) in ACTIVE:
                return queries.run_view(session, task.id)
            asked = VerifyTask(
                run=run.id, title=run.name, folder=str(self._settings.run_dir(run.id)), request=wanted,
                config={name: run.config.get(name) for name in ("root", "model_flavour", "plugins")},
            )  # fmt: skip
            name = f"Verification of {run.name}"[:MAX_NAME]
            device = str(run.config.get("device") or "auto")
            submit = SubmitRequest(kind=RunKind.TASK, name=name, payload=asked.to_payload(), device=device)
            row = new_run(session, new_run_id(), None, submit, None)
            row.root = run.root
            task_id = add_run(session, row, submit)
        return self._runs.get(task_id)

    def view(self, text: str) -> ProofView:
        """The newest certificate of a run, and the newest task that verifies it. Raises NotFoundError."""
        with self._database.read() as session:
            run = find_run(session, text)
            task = _newest(session, run)
            shown = None if task is None else queries.run_view(session, task.id)
            own = not homes.elsewhere(session, [run]) and not run.view_only
        return ProofView(certificate=self._certificate(run.id) if own else None, task=shown)

    def _certificate(self, run_id: str) -> Certificate | None:
        """None where there is none, or one of another run."""
        try:
            found = Certificate.model_validate_json(read_plain(self._settings.run_dir(run_id), CERTIFICATE))
        except (OSError, ValidationError):
            return None
        return found if found.run == run_id else None

    def _check(self, session: Session, run: Run) -> None:
        claims.refuse_view_only(run)
        homes.check_here(session, run)
        submitted.check(session, self._settings, run)  # its plugins are executed again
        if run.kind != RunKind.TRAIN.value:
            raise ConflictError(
                f"Only a training can be verified, and “{run.name}” is a {run.kind}. Verify one of its trainings, if "
                "these are runs of their own.",
                reason="no_training",
            )
        if RunState(run.state) in ACTIVE:
            raise ConflictError(
                f"“{run.name}” is {run.state}. Verify it when it has ended, or stop it first.", reason="running"
            )
        if run.step < 1:
            raise ConflictError(
                f"“{run.name}” has trained no step, so there is nothing to compare. Resume it first.",
                reason="no_steps",
            )


def _newest(session: Session, run: Run) -> Run | None:
    """The newest task that verifies a run."""
    own = (Run.kind == RunKind.TASK.value, Run.root == run.root, col(Run.view_only).is_(False), homes.is_here(session))
    tasks = select(Run).where(*own)
    for task in session.exec(tasks.order_by(col(Run.number).desc()).limit(_LOOKED_AT)):
        found = task.payload.get(VERIFY)
        if isinstance(found, dict) and found.get("run") == run.id:
            return task
    return None
