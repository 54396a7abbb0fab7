"""The search of a sweep: an Optuna study in the sweep's own folder. Used by the driver alone; knows no run.

A trial's values depend on the seed, its number and the results before it. They do not depend on how often the driver
was killed, because the sampler is seeded again for each trial.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sqlite3
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from imgcls_lab import run_layout, run_paths
from imgcls_lab.batch.rungs import halves
from imgcls_lab.batch.sweep_spec import grid, higher_is_better, most_trials, point_of, pruner_of, trials_budget
from imgcls_lab.config.saved import FORMER_FIELDS, upgraded
from imgcls_lab.errors import InputError
from imgcls_lab.schemas import Choices, Range, Scalar, SweepRequest

log = logging.getLogger(__name__)
DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
DRAWS = 200  # samples for each trial that is wanted, before the space counts as too small
MIN_RESULTS = 8  # with fewer the importance means nothing


class Study:
    """The trials of one sweep, as Optuna remembers them."""

    def __init__(self, folder: Path, request: SweepRequest) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.request = request
        self.distributions = {name: _distribution(item) for name, item in request.space.items()}
        # SQLite follows a link by itself, and would write its tables into another program's database
        os.close(run_paths.open_to_write(folder, run_layout.STUDY, os.O_RDWR))
        if request.notebook is None:
            _upgrade(folder / run_layout.STUDY)
        self._study = optuna.create_study(
            study_name="sweep",
            storage=f"sqlite:///{folder / run_layout.STUDY}",
            direction="maximize" if higher_is_better(request) else "minimize",
            pruner=_pruner(request),
            load_if_exists=True,
        )
        for params in _known_beforehand(request, self.distributions):
            self._study.enqueue_trial(dict(params), skip_if_exists=True)

    # ── what there is ───────────────────────────────────────────────────────────────────────────────────────
    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def params_of(self, trial: FrozenTrial) -> dict[str, Scalar]:
        """The values of a trial, also of one that waits in line."""
        return trial.params or dict(trial.system_attrs.get("fixed_params", {}))

    def running(self) -> list[FrozenTrial]:
        """Trials without a result. A trial that a kill cut off while it was made is given up."""
        found = self.trials(TrialState.RUNNING)
        for trial in found:
            if trial.params.keys() != self.distributions.keys():
                self._study.tell(trial.number, state=TrialState.FAIL)
        return [trial for trial in found if trial.params.keys() == self.distributions.keys()]

    def budget_used(self) -> int:
        """Trials that count against the budget: all but those that fill holes."""
        return sum("fills" not in trial.user_attrs for trial in self.trials(TrialState.RUNNING, *DONE))

    def has_more(self) -> bool:
        """Whether there is another trial: an enqueued one, or one more of the budget."""
        if self.trials(TrialState.WAITING):
            return True
        beforehand = self.request.strategy == "grid" or halves(self.request)
        return not beforehand and self.budget_used() < most_trials(self.request)

    # ── changes ─────────────────────────────────────────────────────────────────────────────────────────────
    def ask(self) -> FrozenTrial:
        """The next trial."""
        number = len(self.trials())
        self._study.sampler = _sampler(self.request, _seed(self.request, number))
        trial = self._study.ask(self.distributions)
        return self.trials()[trial.number]

    def enqueue(self, params: Mapping[str, Scalar], fills: int) -> None:
        """Enqueue the values of an earlier trial again."""
        self._study.enqueue_trial(dict(params), user_attrs={"fills": fills})

    def set_attributes(self, trial: FrozenTrial, **attributes: Any) -> None:
        """Store user attributes of a trial."""
        for name, value in attributes.items():
            self._trial(trial).set_user_attr(name, value)
        trial.user_attrs.update(attributes)

    def report(self, trial: FrozenTrial, curve: Iterable[tuple[int, float]]) -> bool:
        """Report a trial's values by epoch. Returns whether the pruner would end it now."""
        handle, news = self._trial(trial), False
        for epoch, value in curve:
            if epoch not in trial.intermediate_values and math.isfinite(value):
                handle.report(value, epoch)
                news = True
        return news and handle.should_prune()

    def tell(self, trial: FrozenTrial, value: float | None, state: TrialState) -> None:
        self._study.tell(trial.number, value if state is TrialState.COMPLETE else None, state, skip_if_finished=True)

    def importance(self) -> dict[str, float]:
        """How much each parameter matters for the result, by fANOVA, in sum 1; empty with too few results."""
        if len(self.trials(TrialState.COMPLETE)) < MIN_RESULTS or len(self.distributions) < 2:
            return {}
        try:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            return dict(optuna.importance.get_param_importances(self._study, evaluator=evaluator))
        except (ValueError, RuntimeError) as error:  # all results are the same
            log.info("No importance: %s", error)
            return {}

    def _trial(self, trial: FrozenTrial) -> optuna.Trial:
        return optuna.Trial(self._study, trial._trial_id)


def _upgrade(file: Path) -> None:
    """Give the parameters in a study of an earlier version the names of today, where Optuna keeps them.

    `fixed_params` holds the values of a trial that waits in line. Optuna has no call that renames a parameter.
    """
    if not file.exists():
        return
    with contextlib.closing(sqlite3.connect(file, timeout=30)) as connection, connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'trial_params'").fetchone():
            return  # it was cut off while it was made
        names = [(name, former) for former, name in FORMER_FIELDS.items()]
        connection.executemany("UPDATE trial_params SET param_name = ? WHERE param_name = ?", names)
        of_line = "FROM trial_system_attributes WHERE key = 'fixed_params'"
        fixed = connection.execute(f"SELECT trial_system_attribute_id, value_json {of_line}").fetchall()
        connection.executemany(
            "UPDATE trial_system_attributes SET value_json = ? WHERE trial_system_attribute_id = ?",
            [(json.dumps(upgraded(json.loads(values))), number) for number, values in fixed],
        )


def _distribution(item: Choices | Range) -> BaseDistribution:
    if isinstance(item, Choices):
        return CategoricalDistribution(item.values)
    if item.whole:
        return IntDistribution(int(item.low), int(item.high), log=item.log, step=int(item.step or 1))
    return FloatDistribution(item.low, item.high, log=item.log, step=item.step)


def _known_beforehand(
    request: SweepRequest, distributions: Mapping[str, BaseDistribution]
) -> Iterable[Mapping[str, Scalar]]:
    """The trials of a sweep that asks for all at once: they depend on no result."""
    if request.strategy == "grid":
        return grid(request.space)
    return drawn(request, distributions) if halves(request) else ()


def drawn(request: SweepRequest, distributions: Mapping[str, BaseDistribution]) -> list[dict[str, Scalar]]:
    """The trials of the brackets: random samples, each once. More of them begin with the same ones.

    Random search with the same seed draws these, too. Raises InputError where the space seems to have fewer points.
    """
    wanted = trials_budget(request) or 0
    sampled = optuna.create_study()
    found: dict[str, dict[str, Scalar]] = {}
    for number in range(DRAWS * wanted):
        sampled.sampler = _sampler(request, _seed(request, number))
        params = sampled.ask(dict(distributions)).params
        found.setdefault(point_of(params), params)
        if len(found) == wanted:
            return [*found.values()]
    text = f"In {DRAWS * wanted:,} samples of the space there are {len(found)} different ones, and {wanted} are wanted."
    raise InputError(f"{text} Take fewer trials, or more values.")


def _seed(request: SweepRequest, number: int) -> int:
    """Of the sampler of one trial."""
    return (request.seed * 1_000_003 + number) % 2**32


def _sampler(request: SweepRequest, seed: int) -> optuna.samplers.BaseSampler:
    if request.strategy == "tpe":
        startup = max(4, min(10, (trials_budget(request) or 40) // 4))
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True)
    return optuna.samplers.RandomSampler(seed=seed)


def _pruner(request: SweepRequest) -> optuna.pruners.BasePruner:
    match pruner_of(request):
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1)
        case "asha":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        case _:
            return optuna.pruners.NopPruner()
