"""A sweep as a matrix of trials: what its driver has written, with the present state of each run. Changes nothing.

Called by API, server and the driver itself. A trial whose run failed, was stopped by hand, was deleted, or never began
is a hole. To fill a sweep is to run its holes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from imgcls_lab import run_layout, run_paths
from imgcls_lab.batch.sweep_spec import grid, higher_is_better, pruner_of, trials_budget
from imgcls_lab.config import title_of
from imgcls_lab.config.saved import upgraded
from imgcls_lab.errors import NotFoundError
from imgcls_lab.events import ACTIVE, RunKind, RunState
from imgcls_lab.schemas import CurvePoint, RunDetail, RunView, Scalar, SweepRequest, SweepView, TrialView
from imgcls_lab.store import Store


class TrialRecord(BaseModel):
    """A trial as the driver writes it into trials.json."""

    number: int
    params: dict[str, Scalar]
    identity: str | None = None
    run_id: str | None = None
    pruned: bool = False
    value: float | None = None
    curve: list[CurvePoint] = []
    message: str | None = None  # why it could not be run


class SweepRecord(BaseModel):
    """trials.json: all that the driver writes for readers."""

    trials: list[TrialRecord] = []
    importance: dict[str, float] = {}


_RECORD = TypeAdapter(SweepRecord)


def request_of(run: RunDetail) -> SweepRequest:
    """The request of a sweep. Raises NotFoundError for a run that is not a sweep."""
    if run.kind is not RunKind.SWEEP:
        raise NotFoundError(f"The run “{run.name}” is no sweep.")
    return SweepRequest.model_validate(run.payload["request"])


def read_record(store: Store, run_id: str, request: SweepRequest) -> SweepRecord:
    """What the driver wrote last, also of an earlier version; an empty record before it has written anything."""
    try:
        record = _RECORD.validate_json(run_paths.read_plain(store.settings.run_dir(run_id), run_layout.TRIALS))
    except (OSError, ValueError):
        return SweepRecord()
    if request.notebook is None:  # the parameters of its trials are fields of a config
        record.importance = upgraded(record.importance)
        for trial in record.trials:
            trial.params = upgraded(trial.params)
    return record


def sweep_view(store: Store, text: str) -> SweepView:
    """The sweep of a run's id. Raises NotFoundError."""
    run = store.runs.get(text)
    if run.elsewhere is not None:
        raise NotFoundError(run.elsewhere, reason="another_home")
    request = request_of(run)
    record = read_record(store, run.id, request)
    runs = store.runs.by_id({trial.run_id for trial in record.trials if trial.run_id})
    live = run.state in ACTIVE
    cells: dict[str, TrialView] = {}
    if request.strategy == "grid":
        for params in grid(request.space):
            cells[_key(params)] = _trial(len(cells), TrialRecord(number=len(cells), params=params), None, live)
    for recorded in record.trials:  # a trial that fills a hole comes after the trial that it replaces
        known = cells.get(_key(recorded.params))
        number = known.number if known else len(cells)
        cells[_key(recorded.params)] = _trial(number, recorded, runs.get(recorded.run_id or ""), live)
    trials = list(cells.values())
    return SweepView(
        run_id=run.id,
        name=run.name,
        trials=trials,
        epochs_done=sum(view.epoch for view in runs.values()),
        best=_best(trials, higher_is_better(request)),
        importance=record.importance,
        holes=sum(trial.hole for trial in trials),
        **_plan(request),
    )


def _plan(request: SweepRequest) -> dict[str, Any]:
    """The fields of a view that only depend on the request."""
    return {
        "strategy": request.strategy,
        "pruner": pruner_of(request),
        "metric": request.metric,
        "higher_is_better": higher_is_better(request),
        "notebook": request.notebook,
        "space": request.space,
        "titles": {name: title_of(name) if request.notebook is None else name for name in request.space},
        "planned": trials_budget(request),
        "epochs_budget": request.epochs,
    }


def _trial(number: int, recorded: TrialRecord, run: RunView | None, live: bool) -> TrialView:
    state, hole = _state(recorded, run, live)
    message = recorded.message or (run.message if run else None)
    of_record = {name: getattr(recorded, name) for name in ("params", "identity", "value", "curve")}
    return TrialView(number=number, state=state, hole=hole, message=message, **of_record, **_of_run(run))


def _of_run(run: RunView | None) -> dict[str, Any]:
    """The fields of a trial's view that come from its run."""
    if run is None:
        return dict.fromkeys(("run_id", "run_name", "device", "started_at", "ended_at", "ran"))
    return {
        "run_id": run.id,
        "run_name": run.name,
        "device": run.devices[0] if run.devices else None,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "ran": run.seconds(time.time()),
    }


def _state(recorded: TrialRecord, run: RunView | None, live: bool) -> tuple[Any, bool]:
    """A trial's state, and whether it is a hole."""
    if recorded.message:
        return "failed", True
    if run is None:
        return ("missing", True) if recorded.run_id else ("waiting", not live)
    match run.state:
        case RunState.QUEUED:
            return "queued", False
        case RunState.SUCCEEDED:
            return "succeeded", False
        case RunState.FAILED:
            return "failed", True
        case RunState.STOPPED | RunState.CANCELLED:
            return ("pruned", False) if recorded.pruned else ("stopped", True)
        case _:
            return "running", False


def _best(trials: Iterable[TrialView], higher: bool) -> int | None:
    done = [trial for trial in trials if trial.state == "succeeded" and trial.value is not None]
    best = (max if higher else min)(done, key=lambda trial: trial.value or 0.0, default=None)
    return best.number if best else None


def _key(params: Mapping[str, Scalar]) -> str:
    return json.dumps(params, sort_keys=True)
