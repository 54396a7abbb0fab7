"""Settings of a run that are changed while it trains: what may be asked for, and the number that it gets.

Called by `store.runs.change` in its transaction. The daemon passes them on, the engine obeys them (`run_changes.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlmodel import Session, select

from imgcls_lab import run_changes
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ConflictError, InputError, Problem
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ChangeRequest, RunChange
from imgcls_lab.store import audit, claims, rights, states
from imgcls_lab.store.run_rows import TRIAL_KEY, find_run
from imgcls_lab.store.tables import Run

_TAKES = frozenset({RunState.QUEUED, RunState.STARTING, RunState.RUNNING, RunState.LOST})
_REMEDIES = {
    RunState.STOPPING: "It is stopping; wait until it has stopped, resume it, and change it then.",
    RunState.STOPPED: "It has stopped; resume it, and change it then, or fork it.",
    RunState.FAILED: "It has failed; resume it, and change it then, or fork it.",
    RunState.CANCELLED: "It was cancelled; resume it, and change it then, or fork it.",
    RunState.SUCCEEDED: "It has ended; fork it from a checkpoint, or extend it to more epochs.",
}


def change(session: Session, text: str, request: ChangeRequest) -> str:
    """Note what a run is asked to change. Raises ConfigError, ConflictError, ForbiddenError. Returns its id."""
    run = session.exec(select(Run).where(Run.id == find_run(session, text).id).with_for_update()).one()
    rights.check(session, "changed", run)
    claims.refuse_view_only(run)
    if request.key and any(entry.get("key") == request.key for entry in run.changes):
        return run.id
    _check_takes(run)
    now = settings_of(run)
    wanted = _wanted(now, request)
    _check(run, now, wanted)
    fields = {name: value for name in request_fields(request) if (value := getattr(wanted, name)) != getattr(now, name)}
    _append(session, run, now, fields, key=request.key or "")
    return run.id


def settings_of(run: Run) -> TrainConfig:
    """A run's config with all that it was asked to change."""
    return run_changes.changed(TrainConfig.parse_saved(run.config), {e["field"]: e["new"] for e in run.changes})


def request_fields(request: ChangeRequest) -> list[str]:
    """The fields that a request names, in its order."""
    return [*(["lr"] if request.lr_factor is not None else []), *request.fields]


def at_resume(session: Session, run: Run, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A run's changes where it resumes with other settings, which count more than what it was asked for before."""
    before = {entry["field"] for entry in run.changes}
    common = {name: value for name, value in changes.items() if name in before}
    if not common:
        return run.changes
    now = settings_of(run)
    after = now.with_changes(**common)
    return _with(session, run, now, {name: getattr(after, name) for name in common}, key="")


def _check_takes(run: Run) -> None:
    """Raises ConflictError for a run that takes no change now, with what to do instead."""
    if run.kind != RunKind.TRAIN.value:
        raise ConflictError(
            f"Only a training can be changed while it runs, and “{run.name}” is a {run.kind}. Change one of its "
            "trainings, if these are runs of their own.",
            reason="no_training",
        )
    state = RunState(run.state)
    if state not in _TAKES:
        raise ConflictError(f"“{run.name}” takes no change now. {_REMEDIES[state]}", reason="ended", state=state.value)


def _wanted(now: TrainConfig, request: ChangeRequest) -> TrainConfig:
    """The config that is asked for. Raises InputError, ConfigError."""
    fields = dict(request.fields)
    if request.lr_factor is not None:
        if "lr" in fields:
            raise InputError("Give the learning rate as a factor or as a number, not both.")
        fields["lr"] = now.lr * request.lr_factor
    if not fields:
        raise InputError(f"Say what to change: {_listed()}.")
    fixed = [
        Problem(name, f"It stays while a run trains; {_listed()} can be changed. For another value fork the run.")
        for name in fields
        if name not in run_changes.FIELDS and name in TrainConfig.model_fields
    ]
    if fixed:
        raise ConfigError(" ".join(f"{problem.field}: {problem.message}" for problem in fixed), fixed)
    return now.with_changes(**fields)


def _check(run: Run, now: TrainConfig, wanted: TrainConfig) -> None:
    """Raises ConfigError for fewer epochs than are done, and for what a sweep has decided."""
    done = int(run.epoch)
    if wanted.epochs != now.epochs and wanted.epochs <= done:
        text = (
            f"“{run.name}” has {counted(done, 'epoch')} already: give {done + 1} or more. To end it now, stop it; its "
            "checkpoint stays."
        )
        raise ConfigError(text, [Problem("epochs", text)])
    if (run.idempotency_key or "").startswith(TRIAL_KEY) and wanted.result_fields() != now.result_fields():
        text = (
            f"“{run.name}” is a trial of a sweep, which compares it by its settings; only what changes no result can "
            "be changed. Fork it to try something else."
        )
        raise ConfigError(text, [Problem(name, text) for name in wanted.changes_from(now.model_dump(mode="json"))])


def _append(session: Session, run: Run, now: TrainConfig, fields: Mapping[str, Any], *, key: str) -> None:
    if not fields:
        return
    after = now.with_changes(**fields)
    values: dict[str, Any] = {"changes": _with(session, run, now, fields, key=key)}
    if after.result_fields() != now.result_fields():
        values["repetition"] = ""  # it differs from others in more than its seed
    states.change_run(session, run.id, **values)
    audit.record(session, "changed", run, changed=audit.changes({name: getattr(now, name) for name in fields}, fields))


def _with(session: Session, run: Run, now: TrainConfig, fields: Mapping[str, Any], *, key: str) -> list[dict[str, Any]]:
    number, user = max((entry["number"] for entry in run.changes), default=0), audit.actor_of(session).user
    added = [
        RunChange(
            number=place, field=name, old=getattr(now, name), new=value,
            asked_at=time.time(), asked_by=user, key=key,
        ).model_dump()
        for place, (name, value) in enumerate(fields.items(), number + 1)
    ]  # fmt: skip
    if len(run.changes) + len(added) > run_changes.MAX_RUN_CHANGES:  # the engine would read none of them
        raise ConflictError(
            f"“{run.name}” was changed {counted(len(run.changes), 'time')}; more than {run_changes.MAX_RUN_CHANGES:,} "
            "changes of a run are not taken. Fork it.",
            reason="too_many",
        )
    return [*run.changes, *added]


def _listed() -> str:
    names = [*run_changes.FIELDS]
    return f"{', '.join(names[:-1])} and {names[-1]}"
