"""Successive halving as arithmetic: the rungs of published tables, who goes on, and what cannot be halved."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from imgcls_lab.batch.optuna_study import drawn
from imgcls_lab.batch.rungs import planned_epochs, ranked, trials_of, value_at
from imgcls_lab.batch.sweep_spec import (
    brackets,
    check_space,
    epochs_budget,
    make_request,
    point_of,
    pruner_of,
    trials_budget,
)
from imgcls_lab.errors import InputError
from imgcls_lab.schemas import CurvePoint, SweepRequest

RATES = {"lr": {"low": 1e-5, "high": 1e-1, "log": True}}


def request(epochs: int = 9, space: Any = None, base: Any = None, **values: Any) -> SweepRequest:
    values = {"strategy": "halving", **values}
    return make_request(base={"epochs": epochs, **(base or {})}, space=space or RATES, **values)


def rungs(wanted: SweepRequest) -> list[list[tuple[int, int]]]:
    return [[(rung.epochs, rung.trials) for rung in bracket.rungs] for bracket in brackets(wanted)]


def test_the_brackets_of_hyperband_are_those_of_the_paper() -> None:
    # Li et al. 2018, table 1: R = 81, eta = 3
    assert rungs(request(81, strategy="hyperband")) == [
        [(1, 81), (3, 27), (9, 9), (27, 3), (81, 1)],
        [(3, 34), (9, 11), (27, 3), (81, 1)],
        [(9, 15), (27, 5), (81, 1)],
        [(27, 8), (81, 2)],
        [(81, 5)],
    ]
    more = rungs(request(9, strategy="hyperband", trials=20))
    assert [bracket[0][1] for bracket in more] == [9, 5, 3, 3]  # they begin anew, and the last one is smaller
    assert more[3] == [(3, 3), (9, 1)]


@pytest.mark.parametrize(
    ("wanted", "found", "epochs"),
    [
        (request(9, trials=27), [(1, 27), (3, 9), (9, 3)], 27 + 9 * 2 + 3 * 6),
        (request(27), [(1, 27), (3, 9), (9, 3), (27, 1)], 81),
        (request(27, trials=9), [(3, 9), (9, 3), (27, 1)], 63),  # as many rungs as the trials allow
        (request(243, trials=243), [(1, 243), (3, 81), (9, 27), (27, 9), (81, 3), (243, 1)], 243 + 162 * 5),
        (request(10, trials=20, eta=2, min_epochs=2), [(2, 20), (5, 10), (10, 5)], 40 + 30 + 25),
        (request(10), [(1, 9), (3, 3), (10, 1)], 9 + 6 + 7),
    ],
)
def test_a_bracket_has_the_rungs_that_epochs_and_trials_allow(
    wanted: SweepRequest, found: list[tuple[int, int]], epochs: int
) -> None:
    assert rungs(wanted) == [found]
    assert trials_budget(wanted) == trials_of(brackets(wanted)) == found[0][1]
    assert epochs_budget(wanted) == planned_epochs(brackets(wanted)) == epochs
    assert pruner_of(wanted) == "none"


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"eta": 1}, "eta", "must be at least 2"),
        ({"eta": 2.5}, "eta", "whole number|integer"),
        ({"min_epochs": 10}, "min_epochs", "A trial has 9 epochs, and the first rung would come after 10"),
        ({"min_epochs": 4}, "min_epochs", "a second one needs 12 epochs"),
        ({"trials": 2}, "trials", "take at least 3 trials"),
        ({"space": {"lr": [1e-3, 1e-2, 1e-1]}, "trials": 9}, "trials", "The space has 3 points"),
        ({"base": {"early_stopping_patience": 3}}, "early_stopping_patience", "before their rung"),
        ({"space": {"early_stopping_patience": [2, 3, 4]}}, "early_stopping_patience", "before their rung"),
        ({"space": {"epochs": [9, 27, 81]}}, "epochs", "all have the same number"),
        ({"pruner": "median"}, "pruner", "no pruner beside them"),
        ({"notebook": "train.ipynb"}, "strategy", "cannot be paused"),
        ({"strategy": "random", "eta": 3}, "eta", "belongs to halving and hyperband"),
        ({"strategy": "asha", "min_epochs": 3}, "min_epochs", "belongs to halving and hyperband"),
    ],
)
def test_what_cannot_be_halved_is_said_at_its_field(values: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        check_space(request(**values))
    assert field in {problem.field for problem in caught.value.problems}


def test_a_budget_of_epochs_is_refused() -> None:
    with pytest.raises(InputError, match="give the number of trials"):
        check_space(make_request(base={"epochs": 9}, space=RATES, strategy="halving", epochs=100))


def test_a_small_space_is_taken_whole() -> None:
    assert trials_budget(request(27, {"lr": [1e-3, 1e-2, 1e-1, 1.0]})) == 4
    assert rungs(request(27, {"lr": [1e-3, 1e-2, 1e-1, 1.0]})) == [[(9, 4), (27, 1)]]


def test_trials_are_drawn_once_each_and_more_of_them_begin_with_the_same() -> None:
    space = {"lr": FloatDistribution(1e-5, 1e-1, log=True), "batch_size": CategoricalDistribution([16, 32])}
    of_space = {**RATES, "batch_size": [16, 32]}
    few, many = (drawn(request(27, of_space, trials=trials), space) for trials in (9, 27))
    assert many[:9] == few
    assert len({point_of(params) for params in many}) == 27
    assert drawn(request(27, of_space, trials=9, seed=1), space) != few
    choices = {"batch_size": CategoricalDistribution([8, 16, 32])}
    whole = drawn(request(27, {"batch_size": [8, 16, 32]}), choices)
    assert sorted(params["batch_size"] for params in whole) == [8, 16, 32]  # type: ignore[type-var]


def test_a_trial_is_judged_by_its_best_value_until_the_rung() -> None:
    curve = {1: 0.2, 2: 0.5, 3: 0.4, 4: 0.9}
    assert value_at(curve, 3, higher=True) == 0.5
    assert value_at(curve, 1, higher=True) == 0.2
    assert value_at(curve, 3, higher=False) == 0.2
    assert value_at(curve, 5, higher=True) is None
    assert value_at([CurvePoint(epoch=1, value=0.2)], 1, higher=True) == 0.2
    assert value_at({}, 1, higher=True) is None
    assert ranked({0: 0.5, 1: 0.7, 2: 0.5}, higher=True) == [1, 0, 2]
    assert ranked({0: 0.5, 1: 0.7, 2: 0.5}, higher=False) == [0, 2, 1]
