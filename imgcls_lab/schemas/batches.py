"""Notebooks and sweeps: what queues one, and the matrix of a sweep's trials."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from imgcls_lab.config.evaluation import MonitorMetric
from imgcls_lab.config.optimisation import SEEDS
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import (
    MAX_AFTER,
    MAX_CHOICES,
    MAX_EPOCHS,
    MAX_NAME,
    MAX_PATH,
    MAX_REPLICATES,
    MAX_SPACE,
    MAX_TEXT,
    MAX_TRIALS,
    MAX_WHOLE,
    Device,
    Finite,
    Host,
    Id,
    Key,
    Note,
    PathText,
    Values,
    Whole,
)

Scalar = bool | int | float | str | None
ParameterKind = Literal["int", "float", "str", "bool", "list", "dict", "any"]


class ParameterView(Wire):
    """A parameter that a notebook declares."""

    name: str
    kind: ParameterKind
    optional: bool  # None is a value of it
    default: Any  # null too where `source` is an expression
    source: str  # the default as it stands in the cell
    help: str


class DerivedView(Wire):
    """What the parameters cell makes from its own parameters; given values of these do not reach it."""

    name: str
    sources: list[str]  # parameters
    sentence: str


class NotebookView(Wire):
    """A notebook as the form of a batch needs it."""

    path: str
    parameters: list[ParameterView]
    derived: list[DerivedView]


class NotebookRequest(Wire):
    """A notebook to queue. `path`: as Jupyter's file browser has it, relative to the server's root."""

    path: PathText
    parameters: Values = {}
    name: str | None = Field(None, max_length=MAX_NAME)
    project_id: Whole | None = None
    device: Device | None = None
    host: Host | None = None
    after: list[Id] = Field([], max_length=MAX_AFTER)
    notes: Note = ""
    priority: int = Field(0, ge=-1000, le=1000)
    idempotency_key: Key | None = None


def _wrong_value(item: Any) -> str | None:
    """Why a sweep cannot take a value; None: it can."""
    if isinstance(item, str) and len(item) > MAX_TEXT:
        return f"A value of a sweep has at most {MAX_TEXT} characters."
    if isinstance(item, int) and abs(item) > MAX_WHOLE:
        return f"A whole number of a sweep is at most {MAX_WHOLE:,}, and at least as much below 0."
    if isinstance(item, float) and not math.isfinite(item):
        return f"A number of a sweep is finite, and this holds {item}."
    if isinstance(item, Scalar):
        return None
    what = "list" if isinstance(item, list | tuple) else "mapping" if isinstance(item, dict) else type(item).__name__
    return (
        f"A sweep takes numbers, texts, true, false and null, and this holds a {what}. Write each list of a setting as "
        "a text, such as “0.9, 0.999”."
    )


class Choices(Wire):
    """Values that a parameter of a sweep takes."""

    values: list[
        bool
        | Annotated[int, Field(ge=-MAX_WHOLE, le=MAX_WHOLE)]
        | Finite
        | Annotated[str, Field(max_length=MAX_TEXT)]
        | None
    ] = Field(max_length=MAX_CHOICES)

    @field_validator("values", mode="before")
    @classmethod
    def _plain_values(cls, values: Any) -> Any:
        """One sentence instead of five on what an item of the union is not. No whole number becomes another."""
        if not isinstance(values, list | tuple):
            return values
        if len(values) > MAX_CHOICES:
            text = "A parameter of a sweep takes at most {most} values."
            raise PydanticCustomError("too_many_values", text, {"most": MAX_CHOICES})
        wrong = next(filter(None, map(_wrong_value, values)), None)
        if wrong is not None:
            raise PydanticCustomError("sweep_values", "{text}", {"text": wrong})
        return values


class Range(Wire):
    """Numbers from `low` to `high`, both included. `log`: evenly over the orders of magnitude; `whole`: integers."""

    low: Finite
    high: Finite
    log: bool = False
    whole: bool = False
    step: Finite | None = Field(None, gt=0)


def _kind_of_item(item: Any) -> str:
    """Which of the two an item is meant to be, so that what is wrong with it is said once."""
    named = item if isinstance(item, dict) else {}
    return "range" if isinstance(item, Range) or ("low" in named or "high" in named) else "values"


SpaceItem = Annotated[Annotated[Choices, Tag("values")] | Annotated[Range, Tag("range")], Discriminator(_kind_of_item)]
Strategy = Literal["grid", "random", "tpe", "asha", "halving", "hyperband"]
Pruner = Literal["none", "median", "asha"]


class SweepRequest(Wire):
    """A sweep to queue.

    `base` holds the values that all trials share: of TrainConfig, or with `notebook` of the notebook's parameters.
    The budget is `trials`, `epochs` (of all trials together), or both; a grid needs none. `halving` and `hyperband`
    have the budget `trials`; `eta` and `min_epochs` are theirs. `replicates`: runs of each trial, which differ by
    their seed; the value of a trial is their mean.
    """

    base: Values
    space: dict[Annotated[str, Field(max_length=MAX_NAME)], SpaceItem] = Field(min_length=1, max_length=MAX_SPACE)
    notebook: str | None = Field(None, max_length=MAX_PATH)
    strategy: Strategy = "grid"
    pruner: Pruner | None = None  # None: asha for the strategy of that name, else none
    metric: MonitorMetric = "accuracy"
    direction: Literal["auto", "max", "min"] = "auto"
    trials: int | None = Field(None, ge=1, le=MAX_TRIALS)
    epochs: int | None = Field(None, ge=1, le=MAX_EPOCHS)
    eta: int | None = Field(None, ge=2, le=1000)  # the best 1/eta of a rung go on; None: 3
    min_epochs: int | None = Field(None, ge=1, le=100_000)  # at least, until the first rung; None: 1
    replicates: int = Field(1, ge=1, le=MAX_REPLICATES, strict=True)  # true and "3" are no numbers of runs
    parallel: int | None = Field(None, ge=1, le=1000)  # runs at once; None: as many as devices allow
    seed: int = Field(0, ge=0, lt=SEEDS)
    device: Device | None = None
    name: str | None = Field(None, max_length=MAX_NAME)
    project_id: Whole | None = None
    notes: Note = ""
    priority: int = Field(0, ge=-1000, le=1000)
    idempotency_key: Key | None = None


class CurvePoint(Wire):
    """The metric of a sweep at the end of an epoch."""

    epoch: int
    value: float


class RungView(Wire):
    """A rung of a bracket: trials are compared by their best value until so many epochs."""

    epochs: int
    trials: int  # that reach it at most, as planned


class BracketView(Wire):
    """Trials that are compared with each other; the last rung is the end of the training."""

    rungs: list[RungView]


TrialState = Literal["waiting", "queued", "running", "succeeded", "pruned", "failed", "stopped", "missing"]


class ReplicateView(Wire):
    """One of the runs of a trial with replicates."""

    seed: int
    run_id: str | None
    run_name: str | None
    state: TrialState
    value: float | None  # of the metric, at the best epoch of this run
    message: str | None
    device: str | None
    started_at: float | None
    ended_at: float | None
    ran: float | None


class TrialView(Wire):
    """A cell of the matrix. A trial whose run failed, was stopped, was deleted or never began is a hole.

    With replicates the run is that with the best value so far, and a trial with a hole among them is a hole.
    """

    number: int
    params: dict[str, Scalar]
    identity: str | None  # hash of config, data and code
    run_id: str | None
    run_name: str | None
    state: TrialState
    hole: bool
    value: float | None  # of the metric, at its best epoch; with replicates the mean of these, once all are there
    deviation: float | None  # standard deviation of the replicates' values
    curve: list[CurvePoint]  # with replicates the mean at each epoch that all have reached
    replicates: list[ReplicateView]  # in the order of their seeds; empty where a trial is one run
    bracket: int | None  # of halving and hyperband, from 0
    rung: int | None  # from 1: to which it trains, at which it waits, or at which it was left
    message: str | None
    device: str | None
    started_at: float | None
    ended_at: float | None
    ran: float | None  # seconds, as RunView's; of all replicates together


class SweepView(Wire):
    """A sweep as its page shows it."""

    run_id: str
    name: str
    strategy: Strategy
    pruner: Pruner
    metric: str
    higher_is_better: bool
    notebook: str | None
    space: dict[str, Choices | Range]
    titles: dict[str, str]  # of the parameters, as the form calls them; that of a notebook is called as it is
    replicates: int  # runs of each trial
    planned: int | None  # trials; None where the budget is in epochs
    epochs_budget: int | None  # halving and hyperband: what their rungs need, unless a trial fails
    epochs_done: float
    eta: int | None  # of halving and hyperband
    brackets: list[BracketView]  # of halving and hyperband
    trials: list[TrialView]
    best: int | None  # number of the best trial
    importance: dict[str, float]  # share of each parameter; empty while there are too few results
    holes: int
