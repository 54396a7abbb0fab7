"""A sweep's request: read, checked and resolved before anything is queued. Called by API, CLI and server."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from imgcls_lab.batch import replicates, rungs
from imgcls_lab.batch.derived_parameters import unreached
from imgcls_lab.batch.notebook_source import NotebookSource
from imgcls_lab.batch.parameters import checked, warnings
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, InputError, Problem
from imgcls_lab.schemas import BracketView, Choices, Pruner, Range, Scalar, SweepRequest
from imgcls_lab.schemas.limits import MAX_ALL_CHOICES, MAX_TRIALS, MAX_WHOLE
from imgcls_lab.validation_errors import closest, field_names, joined, problems

MAX_CELLS = 2000  # of a grid
TOO_MANY = 10**9  # values of a range with a step: no search tells them apart
USUAL_TRIALS = 20  # of a search without a budget


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────
def make_request(**values: Any) -> SweepRequest:
    """A request from what a user wrote; `space` may use short forms. Raises InputError, a sentence a wrong field."""
    space = values.get("space")
    if isinstance(space, Mapping):
        values["space"] = {name: _item(item) for name, item in space.items()}
    try:
        return SweepRequest.model_validate(values)
    except ValidationError as error:
        found = problems(error, lambda: field_names(SweepRequest))
        raise InputError(f"This sweep cannot be used. {joined(found)}", found) from None


def _item(item: Any) -> Any:
    """`[1, 2]` as choices, `(low, high)` or `{"low": .., "high": ..}` as a range, a single value as itself."""
    if type(item).__module__ == "numpy" and hasattr(item, "tolist"):
        item = item.tolist()
    if isinstance(item, Choices | Range) or (isinstance(item, Mapping) and ("values" in item or "low" in item)):
        return item
    if isinstance(item, tuple) and len(item) == 2 and all(_is_number(end) for end in item):
        return {"low": item[0], "high": item[1], "whole": all(isinstance(end, int) for end in item)}
    if isinstance(item, Sequence) and not isinstance(item, str):
        return {"values": [value.item() if _is_scalar_of_numpy(value) else value for value in item]}
    return {"values": [item]}


def _is_scalar_of_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# ── checking ────────────────────────────────────────────────────────────────────────────────────────────────────
def check_space(request: SweepRequest) -> None:
    """Raises InputError for a space that no strategy, or not this one, can search."""
    found: list[Problem] = []
    for name, item in request.space.items():
        if isinstance(item, Choices):
            if not item.values:
                found.append(Problem(name, "There are no values to try."))
            elif len({json.dumps(value) for value in item.values}) < len(item.values):
                found.append(Problem(name, "The same value stands there twice."))
        elif text := _range_problem(item, request.strategy):
            found.append(Problem(name, text))
    values = sum(len(item.values) for item in request.space.values() if isinstance(item, Choices))
    if values > MAX_ALL_CHOICES:
        found.append(Problem("space", f"The sweep has {values:,} values, and {MAX_ALL_CHOICES:,} are the most."))
    if not found and request.strategy == "grid" and grid_size(request.space) > MAX_CELLS:
        found.append(
            Problem("space", f"The grid has more than {MAX_CELLS} cells; take fewer values, or another strategy.")
        )
    if request.strategy == "grid" and (request.trials or request.epochs):
        found.append(Problem("trials", "A grid runs each of its cells; it has no other budget."))
    if not found:
        found += rungs.problems(request, points(request.space))
        trials = None if rungs.halves(request) else trials_budget(request)
        found += replicates.problems(request, trials, pruned=pruner_of(request) != "none")
    if found:
        raise InputError(f"This sweep cannot be used. {joined(found)}", found)


def _range_problem(item: Range, strategy: str) -> str | None:
    if strategy == "grid" and not item.whole and item.step is None:
        return "A grid needs values, or a range with a step."
    if not item.low < item.high:
        return f"The range must rise, not go from {item.low:g} to {item.high:g}."
    if item.step is not None and _count(item) >= TOO_MANY:
        return f"A step of {item.step:g} is none for a range from {item.low:g} to {item.high:g}."
    if item.log and item.low <= 0:
        return "A logarithmic range must begin above 0."
    if item.log and item.step is not None:
        return "A logarithmic range has no step."
    if item.whole and max(abs(item.low), abs(item.high)) > MAX_WHOLE:
        return "A range of whole numbers ends at 2^53."
    if item.whole and any(value != int(value) for value in (item.low, item.high, item.step or 1)):
        return "A range of whole numbers has whole ends and a whole step."
    return None


def check_trials(request: SweepRequest, source: NotebookSource | None) -> None:
    """Raises InputError, ConfigError unless base and space make valid runs: each end of each parameter is tried."""
    if source is not None:
        checked(source.parameters, request.base, source.name)  # those too that the space replaces: they are kept
    if request.replicates > 1:
        replicates.first_seed(request, source)
    for params in corners(request.space):
        if source is not None:
            checked(source.parameters, params, source.name)  # each value by itself
        else:
            trial_config(request, params)


def space_problems(request: SweepRequest) -> list[Problem]:
    """All that is wrong with a space of settings, a sentence for each of its settings; for who types it."""
    try:
        check_space(request)
        check_trials(request, None)
    except InputError as error:
        whole = list(error.problems) or [Problem("space", str(error))]
    else:
        return []
    found: dict[str, str] = {}
    for name, item in request.space.items():
        for value in item.values if isinstance(item, Choices) else _ends(item):
            if said := _value_problem(request, name, value):
                found[name] = f"{shown_value(value)}: {said}"
                break
    return [Problem(name, text) for name, text in (dict(whole) | found).items()]


def _value_problem(request: SweepRequest, name: str, value: Scalar) -> str | None:
    """What is wrong with one value of a setting; what is wrong with other settings their own fields say."""
    try:
        trial_config(request, {name: value})
    except ConfigError as error:
        return next((each.message for each in error.problems if each.field == name), None)
    return None


def shown_value(value: Scalar) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def sweep_warnings(request: SweepRequest, source: NotebookSource | None) -> list[str]:
    """What is worth knowing of a sweep's values; of a notebook's, since a config computes nothing."""
    if source is None:
        return []
    tuples = warnings(source.parameters, (), request.base)
    points = ({**request.base, **point} for point in corners(request.space))
    every = [unreached(source.derived, source.parameters, point) for point in points]
    return list(dict.fromkeys(itertools.chain(tuples, *every)))


def corners(space: Mapping[str, Choices | Range]) -> Iterator[dict[str, Scalar]]:
    """Points that take each value of the choices and both ends of the ranges at least once."""
    values = {name: item.values if isinstance(item, Choices) else _ends(item) for name, item in space.items()}
    for position in range(max(len(each) for each in values.values())):
        yield {name: each[min(position, len(each) - 1)] for name, each in values.items()}


def _ends(item: Range) -> list[Scalar]:
    return [int(item.low), int(item.high)] if item.whole else [item.low, item.high]


# ── what it means ───────────────────────────────────────────────────────────────────────────────────────────────
def trial_config(request: SweepRequest, params: Mapping[str, Scalar]) -> TrainConfig:
    """The config of a direct trial: its best checkpoint is the best by the sweep's metric. Raises ConfigError."""
    unknown = [name for name in params if name not in TrainConfig.model_fields]
    if unknown:
        close = closest(unknown[0], TrainConfig.known_names())
        hint = f"Did you mean {close}?" if close else "`imgcls-lab configs fields` lists them."
        raise ConfigError(f"There is no setting “{unknown[0]}” to sweep over. {hint}", [Problem(unknown[0], hint)])
    values = {**request.base, "monitor_metric": request.metric, "monitor_mode": request.direction, **params}
    return TrainConfig.parse(values)


def higher_is_better(request: SweepRequest) -> bool:
    return _judge(request).higher_is_better


def metric_tag(request: SweepRequest) -> str:
    """The series that holds the metric."""
    return _judge(request).monitor_tag


def _judge(request: SweepRequest) -> TrainConfig:
    """A config that watches the sweep's metric; with a notebook there is no other."""
    top_k = request.base.get("top_k", TrainConfig.model_fields["top_k"].default)
    watched = {"monitor_metric": request.metric, "monitor_mode": request.direction, "top_k": top_k}
    return TrainConfig.model_construct(**watched)


def pruner_of(request: SweepRequest) -> Pruner:
    return request.pruner or ("asha" if request.strategy == "asha" else "none")


def trials_budget(request: SweepRequest) -> int | None:
    """How many trials it may ask for; None where only the epochs count."""
    if request.strategy == "grid":
        return grid_size(request.space)
    if rungs.halves(request):
        return rungs.trials_of(brackets(request))
    if request.trials is None and request.epochs is None:
        return USUAL_TRIALS
    return request.trials


def most_trials(request: SweepRequest) -> int:
    """How many trials it may ask for at most, also where its budget is in epochs: trials that fail train none."""
    most = MAX_TRIALS // request.replicates
    return min(trials_budget(request) or most, most)


def brackets(request: SweepRequest) -> list[BracketView]:
    """Of a sweep that compares its trials at rungs; none of another one."""
    return rungs.brackets(request, points(request.space)) if rungs.halves(request) else []


def epochs_budget(request: SweepRequest) -> int | None:
    """How many epochs its trials may train together, or will by its rungs; None: there is no limit."""
    return rungs.planned_epochs(brackets(request)) if rungs.halves(request) else request.epochs


def points(space: Mapping[str, Choices | Range]) -> float:
    """How many different trials a space has; infinite with a range of numbers without a step."""
    endless = (isinstance(item, Range) and not item.whole and item.step is None for item in space.values())
    return math.inf if any(endless) else grid_size(space)


def grid(space: Mapping[str, Choices | Range]) -> Iterator[dict[str, Scalar]]:
    """All cells of a grid, the last parameter fastest."""
    for values in itertools.product(*(_values(item) for item in space.values())):
        yield dict(zip(space, values, strict=True))


def grid_size(space: Mapping[str, Choices | Range]) -> int:
    return math.prod(len(item.values) if isinstance(item, Choices) else _count(item) for item in space.values())


def _count(item: Range) -> int:
    """How many values a range with a step has; `TOO_MANY` stands for any number beyond."""
    steps = (item.high - item.low) / (item.step or 1)
    return math.floor(steps + 1e-9) + 1 if steps < TOO_MANY else TOO_MANY


def _values(item: Choices | Range) -> Sequence[Scalar]:
    if isinstance(item, Choices):
        return item.values
    step = item.step or 1
    numbers = [item.low + step * i for i in range(_count(item))]
    return [int(number) for number in numbers] if item.whole else [float(f"{number:.12g}") for number in numbers]


def point_of(params: Mapping[str, Scalar]) -> str:
    """What tells two trials apart: their values, as one text."""
    return json.dumps(params, sort_keys=True)


def describe(params: Mapping[str, Scalar]) -> str:
    """`lr=0.001 batch_size=16`, the name of a trial."""
    return " ".join(f"{name}={shown_value(value)}" for name, value in params.items())
