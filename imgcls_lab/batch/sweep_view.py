"""A sweep as a matrix of trials: what its driver wrote down, with where each run stands now. Changes nothing.

Called by API, server and the driver itself. A run that failed, was stopped by hand, was deleted, or never began is a
hole; `holes` are what a fill runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from imgcls_lab import run_layout
from imgcls_lab.batch.sweep_spec import grid, higher_is_better, pruner_of, trials_budget
from imgcls_lab.errors import NotFoundError
from imgcls_lab.events import ACTIVE, RunKind, RunState
from imgcls_lab.schemas import CurvePoint, RunDetail, RunView, Scalar, SweepRequest, SweepView, TrialView
from imgcls_lab.store import Store


class Noted(BaseModel):
    """A trial as the driver writes it into trials.json."""

    number: int
    params: dict[str, Scalar]
    identity: str | None = None
    run_id: str | None = None
    pruned: bool = False
    value: float | None = None
    curve: list[CurvePoint] = []
    message: str | None = None  # why it could not be run


class Notes(BaseModel):
    """All that the driver writes down for readers."""

    trials: list[Noted] = []
    importance: dict[str, float] = {}


_NOTES = TypeAdapter(Notes)


def request_of(run: RunDetail) -> SweepRequest:
    """What a sweep was asked to do. Raises NotFoundError for a run that is none."""
    if run.kind is not RunKind.SWEEP:
        raise NotFoundError(f"The run “{run.name}” is no sweep.")
    return SweepRequest.model_validate(run.payload["request"])


def read_notes(store: Store, run_id: str) -> Notes:
    """What its driver wrote last; nothing while there is nothing."""
    try:
        return _NOTES.validate_json(run_layout.read_plain(store.settings.run_dir(run_id) / run_layout.TRIALS))
    except (OSError, ValueError):
        return Notes()


def sweep_view(store: Store, text: str) -> SweepView:
    """The sweep of a run's id. Raises NotFoundError."""
    run = store.runs.get(text)
    request, notes = request_of(run), read_notes(store, run.id)
    runs = store.runs.by_id({trial.run_id for trial in notes.trials if trial.run_id})
    live = run.state in ACTIVE
    cells: dict[str, TrialView] = {}
    if request.strategy == "grid":
        for params in grid(request.space):
            cells[_key(params)] = _trial(len(cells), Noted(number=len(cells), params=params), None, live)
    for noted in notes.trials:  # one that fills a hole comes after the one it stands for
        known = cells.get(_key(noted.params))
        number = known.number if known else len(cells)
        cells[_key(noted.params)] = _trial(number, noted, runs.get(noted.run_id or ""), live)
    trials = list(cells.values())
    return SweepView(
        run_id=run.id,
        name=run.name,
        strategy=request.strategy,
        pruner=pruner_of(request),
        metric=request.metric,
        higher_is_better=higher_is_better(request),
        notebook=request.notebook,
        space=request.space,
        planned=trials_budget(request),
        epochs_budget=request.epochs,
        epochs_done=sum(view.epoch for view in runs.values()),
        trials=trials,
        best=_best(trials, higher_is_better(request)),
        importance=notes.importance,
        holes=sum(trial.hole for trial in trials),
    )


def _trial(number: int, noted: Noted, run: RunView | None, live: bool) -> TrialView:
    state, hole = _state(noted, run, live)
    return TrialView(
        number=number,
        params=noted.params,
        identity=noted.identity,
        run_id=noted.run_id if run else None,
        run_name=run.name if run else None,
        state=state,
        hole=hole,
        value=noted.value,
        curve=noted.curve,
        message=noted.message or (run.message if run else None),
        device=run.devices[0] if run and run.devices else None,
        started_at=run.started_at if run else None,
        ended_at=run.ended_at if run else None,
        ran=run.seconds(time.time()) if run else None,
    )


def _state(noted: Noted, run: RunView | None, live: bool) -> tuple[Any, bool]:
    """A trial's state, and whether it is a hole."""
    if noted.message:
        return "failed", True
    if run is None:
        return ("missing", True) if noted.run_id else ("waiting", not live)
    match run.state:
        case RunState.QUEUED:
            return "queued", False
        case RunState.SUCCEEDED:
            return "succeeded", False
        case RunState.FAILED:
            return "failed", True
        case RunState.STOPPED | RunState.CANCELLED:
            return ("pruned", False) if noted.pruned else ("stopped", True)
        case _:
            return "running", False


def _best(trials: Iterable[TrialView], higher: bool) -> int | None:
    done = [trial for trial in trials if trial.state == "succeeded" and trial.value is not None]
    best = (max if higher else min)(done, key=lambda trial: trial.value or 0.0, default=None)
    return best.number if best else None


def _key(params: Mapping[str, Scalar]) -> str:
    return json.dumps(params, sort_keys=True)
