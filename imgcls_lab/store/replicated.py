"""Which runs of a sweep with replicates are one trial. Called by `run_groups`, for the row of a sweep.

Trainings of a trial differ in their seed alone, and so do notebooks in their parameter `seed`. Of a sweep that
extends another one, or shares a trial with it, the runs that were there before are children of the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from imgcls_lab.events import RunKind, RunState
from imgcls_lab.store.run_rows import TRIAL_KEY
from imgcls_lab.store.tables import Run

_SEED = "seed"  # the field of a config, and the parameter of a notebook


class Member(NamedTuple):
    """What a group is summed up from."""

    number: int
    id: str
    name: str
    state: str
    lr: float | None
    best_metric: str | None
    best_value: float | None
    size: int | None
    created_at: float
    model_flavour: str
    lineage: str
    repetition: str


class Head(NamedTuple):
    """The run whose row a group is. replicates: of a sweep, the runs of each of its trials; seed: of the first."""

    id: str
    name: str
    ended: bool
    replicates: int
    seed: int


COLUMNS = [col(getattr(Run, name)) for name in Member._fields]


def whole_trials(session: Session, rated: Sequence[Member], sweep: Head) -> list[list[Member]]:
    """The trials all of whose runs have succeeded, each as these runs. rated: runs of the sweep that have a value.

    A run whose settings were changed while it trained is of no trial: it differs in more than its seed.
    """
    done = {run.number: run for run in rated if run.state == RunState.SUCCEEDED.value and run.repetition}
    places = _places(session, [col(Run.number).in_(done)])
    trials: dict[str, list[Member]] = {}
    for place in places:
        trials.setdefault(place.point, []).append(done[place.run.number])
    short = [runs for runs in trials.values() if len(runs) < sweep.replicates]
    if short and sweep.ended:  # until then a run of its own may still come
        _complete(session, sweep, trials, short)
    # more of them are several trials that differ in something that no config has: their mean would say nothing
    return [runs for runs in trials.values() if len(runs) == sweep.replicates]


class _Place(NamedTuple):
    """Which run of which trial a run is. sweep: its parent; point: what it shares with the other runs of the trial."""

    run: Member
    sweep: str | None
    point: str
    seed: object


def _places(session: Session, where: Sequence[ColumnElement[bool]]) -> list[_Place]:
    """Of a notebook the parameters count: they may decide on more than what its training's config says."""
    columns = (col(Run.kind), col(Run.parent_id), col(Run.config)[_SEED], col(Run.payload)["parameters"])
    asked = sa_select(*columns, *COLUMNS).where(*where).order_by(col(Run.number))
    found = []
    for kind, parent, seed, parameters, *rest in session.execute(asked):
        run = Member(*rest)
        if kind != RunKind.NOTEBOOK.value:
            found.append(_Place(run, parent, run.repetition, seed))
        elif isinstance(parameters, dict):
            others = {name: value for name, value in parameters.items() if name != _SEED}
            found.append(_Place(run, parent, json.dumps(others, sort_keys=True), parameters.get(_SEED)))
    return found


def _complete(
    session: Session, sweep: Head, trials: Mapping[str, list[Member]], short: Sequence[Sequence[Member]]
) -> None:
    """Add to trials the runs that the sweep has found with another one, of the seeds that it has no run of."""
    metric = short[0][0].best_metric
    seeds = range(sweep.seed, sweep.seed + sweep.replicates)
    is_trial = col(Run.idempotency_key).startswith(TRIAL_KEY, autoescape=True)
    repetitions = {run.repetition for runs in short for run in runs}
    places = _places(session, [col(Run.repetition).in_(repetitions), is_trial, col(Run.view_only).is_(False)])
    taken = {(place.point, place.seed) for place in places if place.sweep == sweep.id}
    for place in places:
        run, here = place.run, (place.point, place.seed)
        counts = run.state == RunState.SUCCEEDED.value and run.best_metric == metric and run.best_value is not None
        if counts and here not in taken and place.seed in seeds and place.point in trials:
            taken.add(here)
            trials[place.point].append(run)
