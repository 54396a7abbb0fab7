"""A sweep as a matrix of trials: what its driver has written, with the present state of each run. Changes nothing.

Called by API, server and the driver itself. A trial whose run failed, was stopped by hand, was deleted, or never began
is a hole. To fill a sweep is to run its holes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from imgcls_lab import run_layout, run_paths
from imgcls_lab.batch.replicates import deviation_of
from imgcls_lab.batch.rungs import eta_of, halves
from imgcls_lab.batch.sweep_spec import (
    brackets,
    epochs_budget,
    grid,
    higher_is_better,
    point_of,
    pruner_of,
    trials_budget,
)
from imgcls_lab.config import title_of
from imgcls_lab.config.saved import upgraded
from imgcls_lab.errors import NotFoundError
from imgcls_lab.events import ACTIVE, ENDED, RunKind, RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import (
    CurvePoint,
    ReplicateView,
    RunDetail,
    RunView,
    Scalar,
    SweepRequest,
    SweepView,
    TrialView,
)
from imgcls_lab.store import Store

# What a trial with replicates is: the first of these that one of its runs is. While the sweep runs, those that wait
# come before those that have failed, afterwards the other way round.
_FIRST_OF = ("running", "queued", "failed", "missing", "stopped", "waiting", "succeeded")


class ReplicateRecord(BaseModel):
    """A run of a trial with replicates."""

    seed: int
    run_id: str | None = None
    value: float | None = None


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
    bracket: int | None = None  # of a sweep with rungs, from 0
    rung: int | None = None  # from 1: to which it trains, at which it waits, or at which it was left
    waits_for: int | None = None  # how many others have still to come to its rung; None: it does not wait
    rank: int | None = None  # with which it was left at its rung
    of: int | None = None  # trials that came to that rung
    replicates: list[ReplicateRecord] = []  # empty where it is one run

    def run_ids(self) -> list[str]:
        ids = [each.run_id for each in self.replicates] or [self.run_id]
        return [run_id for run_id in ids if run_id]


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
    runs = store.runs.by_id({run_id for trial in record.trials for run_id in trial.run_ids()})
    live, higher = run.state in ACTIVE, higher_is_better(request)
    cells: dict[str, TrialView] = {}
    if request.strategy == "grid":
        for params in grid(request.space):
            cells[point_of(params)] = _trial(
                len(cells), TrialRecord(number=len(cells), params=params), runs, live, higher
            )
    for recorded in record.trials:  # a trial that fills a hole comes after the trial that it replaces
        known = cells.get(point_of(recorded.params))
        number = known.number if known else len(cells)
        cells[point_of(recorded.params)] = _trial(number, recorded, runs, live, higher)
    trials = list(cells.values())
    return SweepView(
        run_id=run.id,
        name=run.name,
        trials=trials,
        epochs_done=sum(view.epoch for view in runs.values()),
        best=_best(trials, higher),
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
        "replicates": request.replicates,
        "planned": trials_budget(request),
        "epochs_budget": epochs_budget(request),
        "eta": eta_of(request) if halves(request) else None,
        "brackets": brackets(request),
    }


def _trial(number: int, recorded: TrialRecord, runs: Mapping[str, RunView], live: bool, higher: bool) -> TrialView:
    names = ("params", "identity", "value", "curve", "bracket", "rung")
    known = {"number": number, **{name: getattr(recorded, name) for name in names}}
    if recorded.replicates:
        return TrialView(**known | _of_replicates(recorded, runs, live, higher))
    run = runs.get(recorded.run_id or "")
    state, hole = _state(recorded, run, live)
    message = recorded.message or _of_rung(recorded, state) or (run.message if run else None)
    known |= {"state": state, "hole": hole, "message": message, "deviation": None, "replicates": []}
    return TrialView(**known, **_of_run(run))


def _of_replicates(recorded: TrialRecord, runs: Mapping[str, RunView], live: bool, higher: bool) -> dict[str, Any]:
    """The fields of a trial's view that come from its replicates. Its run is the best of them so far."""
    each: list[ReplicateView] = []
    states: list[tuple[Any, bool]] = []
    for replicate in recorded.replicates:
        run = runs.get(replicate.run_id or "")
        states.append(_state(recorded.model_copy(update={"run_id": replicate.run_id}), run, live))
        known = {"state": states[-1][0], "message": run.message if run else None}
        each.append(ReplicateView(seed=replicate.seed, value=replicate.value, **known, **_of_run(run)))
    first = ("running", "queued", "waiting") if live else ()
    order = list(dict.fromkeys([*first, *_FIRST_OF]))
    state, hole = min(states, key=lambda of: order.index(of[0]))
    rated = [one for one in each if one.value is not None and one.run_id is not None]
    best = (max if higher else min)(rated, key=lambda one: one.value or 0.0, default=None)
    shown = best or next((one for one in each if one.run_id is not None), each[0])
    values = [one.value for one in each if one.value is not None]
    began = [one.started_at for one in each if one.started_at is not None]
    ended = [one.ended_at for one in each if one.ended_at is not None]
    ran = [one.ran for one in each if one.ran is not None]
    return {
        "state": state,
        "hole": hole,
        "message": recorded.message or next((one.message for one in each if one.state == state and one.message), None),
        "deviation": deviation_of(values) if len(values) == len(each) else None,
        "replicates": each,
        "run_id": shown.run_id,
        "run_name": shown.run_name,
        "device": shown.device,
        "started_at": min(began, default=None),
        "ended_at": max(ended) if len(ended) == len(each) else None,
        "ran": sum(ran) if ran else None,
    }


def _of_rung(recorded: TrialRecord, state: str) -> str | None:
    """What a trial that is paused or was left says of its rung."""
    if state == "pruned" and recorded.rank is not None:
        return f"Left at rung {recorded.rung}: rank {recorded.rank} of {recorded.of}."
    if state == "waiting" and recorded.waits_for is not None:
        return f"Waits at rung {recorded.rung} for {counted(recorded.waits_for, 'other')}."
    if state == "stopped" and recorded.waits_for is not None:
        return f"Stands at rung {recorded.rung}. Fill the sweep, and it is compared with the others there."
    return None


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
    if recorded.rank is not None and run.state in ENDED:
        return "pruned", False
    if recorded.waits_for is not None and run.state is RunState.STOPPED:
        return ("waiting", False) if live else ("stopped", True)
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
