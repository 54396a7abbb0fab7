"""`store.proofs`: queue what computes steps of runs again, follow it, and read what it finds. Called through `Store`.

A verification and a bisection are runs of the kind `task`. Their process knows no database: all that it needs stands
in its payload.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from sqlmodel import Session, col, select

from imgcls_lab.errors import ConflictError, InputError
from imgcls_lab.events import ACTIVE, RunKind, RunState
from imgcls_lab.proofs import BISECT, VERIFY, BisectTask, ProvedRun, VerifyTask
from imgcls_lab.run_layout import BISECTION, CERTIFICATE, new_run_id
from imgcls_lab.run_paths import read_plain
from imgcls_lab.schemas import (
    Bisection,
    BisectionReply,
    Certificate,
    ProofView,
    RunView,
    SubmitRequest,
    VerifyRequest,
)
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import claims, homes, queries, rights, submitted
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run, new_run
from imgcls_lab.store.runs import Runs
from imgcls_lab.store.submitting import add_run
from imgcls_lab.store.tables import Run

Found = TypeVar("Found", bound=BaseModel)

_LOOKED_AT = 200  # newest tasks on the run's data set


class Proofs:
    """Verifications of runs, and searches for where two of them part."""

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
            self._check(session, run, "Verify", "verified")
            task = _newest(session, {run.root}, _verifies(run))
            if task is not None and RunState(task.state) in ACTIVE:
                return queries.run_view(session, task.id)
            asked = VerifyTask(**self._proved(run).model_dump(), request=wanted)
            task_id = _add(session, run, f"Verification of {run.name}", asked.to_payload())
        return self._runs.get(task_id)

    def bisect(self, text: str, other: str) -> RunView:
        """Queue the search for where two runs part; one that waits or runs is joined. Returns its run.

        Raises NotFoundError; InputError for one and the same run; ConflictError as `verify` does, for either.
        """
        with self._database.write() as session:
            runs = find_run(session, text), find_run(session, other)
            for run in runs:
                self._check(session, run, "Compare", "compared step by step")
            if runs[0].id == runs[1].id:
                raise InputError("A run does not part from itself. Name another one that should be equal.")
            task = _newest(session, {run.root for run in runs}, _bisects(runs))
            if task is not None and RunState(task.state) in ACTIVE:
                return queries.run_view(session, task.id)
            asked = BisectTask(runs=(self._proved(runs[0]), self._proved(runs[1])))
            name = f"Where {runs[0].name} and {runs[1].name} part"
            task_id = _add(session, runs[0], name, asked.to_payload())
        return self._runs.get(task_id)

    def view(self, text: str) -> ProofView:
        """The newest certificate of a run, and the newest task that verifies it. Raises NotFoundError."""
        with self._database.read() as session:
            run = find_run(session, text)
            task = _newest(session, {run.root}, _verifies(run))
            shown = None if task is None else queries.run_view(session, task.id)
            own = not homes.elsewhere(session, [run]) and not run.view_only
        found = _read(self._settings.run_dir(run.id), CERTIFICATE, Certificate) if own else None
        return ProofView(certificate=found if found and found.run == run.id else None, task=shown)

    def bisection(self, text: str, other: str) -> BisectionReply:
        """The newest task that searches for where two runs part, and what it has found. Raises NotFoundError."""
        with self._database.read() as session:
            runs = find_run(session, text), find_run(session, other)
            task = _newest(session, {run.root for run in runs}, _bisects(runs))
            shown = None if task is None else queries.run_view(session, task.id)
        found = None if shown is None else _read(self._settings.run_dir(shown.id), BISECTION, Bisection)
        same = found is not None and {found.one, found.other} == {run.id for run in runs}
        return BisectionReply(found=found if same else None, task=shown)

    def _proved(self, run: Run) -> ProvedRun:
        named = {name: run.config.get(name) for name in ("root", "model_flavour", "plugins")}
        return ProvedRun(run=run.id, title=run.name, folder=str(self._settings.run_dir(run.id)), config=named)

    def _check(self, session: Session, run: Run, do: str, done: str) -> None:
        """do, done: what is asked for, "Verify" and "verified"."""
        rights.check(session, "verified", run)
        claims.refuse_view_only(run)
        homes.check_here(session, run)
        submitted.check(session, self._settings, run)  # its plugins are executed again
        if run.kind != RunKind.TRAIN.value:
            raise ConflictError(
                f"Only a training can be {done}, and “{run.name}” is a {run.kind}. {do} one of its trainings, if "
                "these are runs of their own.",
                reason="no_training",
            )
        if RunState(run.state) in ACTIVE:
            raise ConflictError(
                f"“{run.name}” is {run.state}. {do} it when it has ended, or stop it first.", reason="running"
            )
        if run.step < 1:
            raise ConflictError(
                f"“{run.name}” has trained no step, so there is nothing to compare. Resume it first.",
                reason="no_steps",
            )


def _add(session: Session, run: Run, name: str, payload: dict[str, Any]) -> str:
    """Queue a task on the device that a run asks for. Returns its id."""
    device = str(run.config.get("device") or "auto")
    submit = SubmitRequest(kind=RunKind.TASK, name=name[:MAX_NAME], payload=payload, device=device)
    row = new_run(session, new_run_id(), None, submit, None)
    row.root = run.root
    return add_run(session, row, submit)


def _read(folder: Path, name: str, model: type[Found]) -> Found | None:
    """None where there is none, or what is there is damaged."""
    try:
        return model.model_validate_json(read_plain(folder, name))
    except (OSError, ValidationError):
        return None


def _verifies(run: Run) -> Callable[[dict[str, Any]], bool]:
    def is_it(payload: dict[str, Any]) -> bool:
        found = payload.get(VERIFY)
        return isinstance(found, dict) and found.get("run") == run.id

    return is_it


def _bisects(runs: tuple[Run, Run]) -> Callable[[dict[str, Any]], bool]:
    """In either order: what is found is the same."""

    def is_it(payload: dict[str, Any]) -> bool:
        found = payload.get(BISECT)
        both = found.get("runs") if isinstance(found, dict) else None
        ids = [each.get("run") for each in both if isinstance(each, dict)] if isinstance(both, list) else []
        return sorted(map(str, ids)) == sorted(run.id for run in runs)

    return is_it


def _newest(session: Session, roots: set[str], is_it: Callable[[dict[str, Any]], bool]) -> Run | None:
    """The newest task of this home on one of these data sets whose payload is the wanted one."""
    own = (Run.kind == RunKind.TASK.value, col(Run.view_only).is_(False), homes.is_here(session))
    tasks = select(Run).where(col(Run.root).in_(roots), *own)
    newest = session.exec(tasks.order_by(col(Run.number).desc()).limit(_LOOKED_AT))
    return next((task for task in newest if is_it(task.payload)), None)
