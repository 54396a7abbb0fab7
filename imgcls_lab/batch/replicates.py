"""Replicates: each trial of a sweep as several runs that differ by their seed alone. No run here.

A trial's value is the mean of its runs' values, so a search is told means, and the best trial is the best mean. The
first replicate has the seed of the sweep's base, each further one the next number: it is the run that a sweep
without replicates has, and more replicates begin with the same ones. A study has of the first run of a trial what it
has of a trial that is one run, and of a further one the same names with its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from pydantic import TypeAdapter, ValidationError

from imgcls_lab.batch.notebook_source import NotebookSource
from imgcls_lab.batch.rungs import halves
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.optimisation import SEEDS
from imgcls_lab.errors import InputError, Problem
from imgcls_lab.schemas import Scalar, SweepRequest
from imgcls_lab.schemas.limits import MAX_TRIALS

SEED = "seed"  # the field of a config, and the parameter of a notebook
_WHOLE = TypeAdapter(int)


def values_of_runs(request: SweepRequest, params: Mapping[str, Scalar], first: int) -> list[dict[str, Scalar]]:
    """The values of each run of a trial. first: the seed of the first one, which has the values as they are."""
    return [{**params, SEED: first + number} if number else dict(params) for number in range(request.replicates)]


def first_seed(request: SweepRequest, source: NotebookSource | None) -> int:
    """The seed of the first replicate. Raises InputError where a notebook has none."""
    if source is None:
        try:
            return _WHOLE.validate_python(request.base.get(SEED, TrainConfig.model_fields[SEED].default))
        except ValidationError:  # the check of the config says what is wrong with it
            return 0
    declared = next((item.default for item in source.parameters if item.name == SEED), None)
    given = request.base.get(SEED, declared)
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    text = f"Replicates differ by their seed, and “{source.name}” has no parameter `seed` with a whole number."
    text += " Write `seed = 0` into its cell of parameters and use it, or leave out replicates."
    raise InputError(f"This sweep cannot be used. replicates: {text}", [Problem("replicates", text)])


def problems(request: SweepRequest, trials: int | None, *, pruned: bool) -> list[Problem]:
    """What is wrong with a sweep's replicates. trials: its budget, where that is a number; pruned: it has a pruner."""
    count = request.replicates
    if count == 1:
        return []
    found: list[Problem] = []
    if SEED in request.space:
        text = "Replicates differ by their seed; take the seed out of the space, or leave out replicates."
        found.append(Problem(SEED, text))
    if halves(request) or pruned:
        text = "Trials that are ended early are judged by one curve, and replicates have several."
        found.append(Problem("replicates", f"{text} Take grid, random or tpe without a pruner, or leave them out."))
    seed = first_seed(request, None)
    if seed < SEEDS < seed + count:
        text = f"{count} replicates from seed {seed} on would pass the largest seed, 2^32 - 1; take a smaller seed."
        found.append(Problem("replicates", text))
    if trials is not None and trials * count > MAX_TRIALS:
        text = f"{trials:,} trials with {count} replicates each are {trials * count:,} runs,"
        found.append(Problem("replicates", f"{text} and {MAX_TRIALS:,} are the most; take fewer of one."))
    return found


def mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """The mean at each epoch that all runs have reached: a later value of one run does not change it."""
    points = [dict(curve) for curve in curves]
    shared = set(points[0]).intersection(*points[1:]) if points else set()
    return [(epoch, fmean(each[epoch] for each in points)) for epoch in sorted(shared)]


def deviation_of(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample; one value has none."""
    return stdev(values) if len(values) > 1 else None


def attribute(name: str, number: int) -> str:
    """Under which name a study keeps something of a trial's run; of the first one as of a trial with one run."""
    return name if number == 0 else f"{name}:{number}"


def attributes_of(attributes: Mapping[str, Any], names: Sequence[str], number: int) -> dict[str, Any]:
    """What a study has of one of a trial's runs."""
    keys = {name: attribute(name, number) for name in names}
    return {name: attributes[key] for name, key in keys.items() if key in attributes}
