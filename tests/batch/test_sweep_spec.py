"""What a sweep may ask for, and what its search suggests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcls_lab.batch.optuna_study import Study, TrialState
from imgcls_lab.batch.sweep_file import read_file
from imgcls_lab.batch.sweep_spec import (
    check_space,
    check_trials,
    corners,
    grid,
    grid_size,
    make_request,
    trial_config,
    trials_budget,
)
from imgcls_lab.errors import ConfigError, InputError
from imgcls_lab.schemas import Choices, Range, SweepRequest

BASE = {"root": "/data", "model_flavour": "m"}


def request(space: dict[str, Any], **values: Any) -> SweepRequest:
    return make_request(base=BASE, space=space, **values)


def test_short_forms_of_a_space_mean_choices_and_ranges() -> None:
    space = request({"lr": (1e-5, 1e-2), "batch_size": [16, 32], "epochs": (1, 5), "seed": 3}, strategy="tpe").space
    assert space["lr"] == Range(low=1e-5, high=1e-2)
    assert space["batch_size"] == Choices(values=[16, 32])
    assert space["epochs"] == Range(low=1, high=5, whole=True)
    assert space["seed"] == Choices(values=[3])


@pytest.mark.parametrize(
    ("space", "more", "sentence"),
    [
        ({"lr": (1e-5, 1e-2)}, {}, "A grid needs values, or a range with a step."),
        ({"lr": [1e-3, 1e-3]}, {}, "The same value stands there twice."),
        ({"lr": {"low": 1.0, "high": 0.1}}, {"strategy": "random"}, "The range must rise"),
        ({"lr": {"low": 0.0, "high": 0.1, "log": True}}, {"strategy": "tpe"}, "must begin above 0"),
        ({"lr": [1e-3]}, {"trials": 3}, "A grid runs each of its cells"),
        ({"seed": list(range(100)), "epochs": list(range(1, 100))}, {}, "more than 2000 cells"),
        ({"lr": [1e-3]}, {"strategy": "magic"}, "strategy"),
        ({}, {}, "space"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(space: Any, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_space(request(space, **more))


def test_base_and_space_must_make_runs_before_anything_is_queued() -> None:
    with pytest.raises(ConfigError, match="no setting “learning_rate”"):
        check_trials(request({"learning_rate": [1e-3]}), None)
    with pytest.raises(ConfigError, match=r"lr: .*at most 10"):
        check_trials(request({"lr": [1e-3, 100.0]}), None)
    check_trials(request({"lr": [1e-3, 1.0]}), None)


def test_a_grid_holds_every_combination_and_corners_every_value() -> None:
    space = request({"lr": [1e-3, 1e-2], "mixup": {"low": 0.0, "high": 0.4, "step": 0.2}}).space
    cells = list(grid(space))
    assert len(cells) == grid_size(space) == 6
    assert cells[1] == {"lr": 1e-3, "mixup": 0.2}
    assert {item["mixup"] for item in corners(space)} == {0.0, 0.4}
    assert trials_budget(request({"lr": [1e-3]}, strategy="random")) == 20


@pytest.mark.parametrize("strategy", ["grid", "random"])
@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ({"low": 0, "high": 1, "step": 5e-324}, "A step of 4.94066e-324 is none for a range from 0 to 1."),
        ({"low": 1, "high": 9, "whole": True, "step": 5e-324}, "A step of 4.94066e-324 is none"),
        ({"low": 0, "high": 1, "step": math.inf}, "space.betas.range.step: must be a finite number"),
        ({"low": -math.inf, "high": 1}, "space.betas.range.low: must be a finite number"),
        ([0.5, math.nan], "A number of a sweep is finite, and this holds nan."),
        ([1, -(2**53) - 1], "A whole number of a sweep is at most 9,007,199,254,740,992"),
        ({"low": 1, "high": 1e300, "whole": True}, "A range of whole numbers ends at 2^53."),
        ([[0.9, 0.999], [0.9, 0.99]], "this holds a list. Write each list of a setting as a text"),
        ({"values": [{"a": 1}]}, "this holds a mapping."),
        ({"low": "x", "high": 1}, "space.betas.range.low: must be a number"),
    ],
)
def test_a_space_that_cannot_be_searched_is_one_sentence(item: Any, sentence: str, strategy: str) -> None:
    with pytest.raises(InputError) as caught:
        check_space(request({"betas": item}, strategy=strategy))
    assert sentence in str(caught.value)
    assert len(caught.value.problems) == 1


def test_lists_are_swept_over_as_texts_and_scalars_of_numpy_as_numbers() -> None:
    asked = request({"betas": ["0.9, 0.999", "0.8, 0.99"], "lr": np.logspace(-4, -3, 2), "epochs": [np.int64(2)]})
    check_space(asked)
    found = [trial_config(asked, point) for point in grid(asked.space)]
    assert {config.betas for config in found} == {(0.9, 0.999), (0.8, 0.99)}
    assert sorted({config.lr for config in found}) == pytest.approx([1e-4, 1e-3])
    assert {config.epochs for config in found} == {2}


def test_a_file_reads_exponents_budgets_and_paths_as_they_are_meant(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    file = tmp_path / "it.yaml"
    file.write_text(
        "base: {root: digits, model_flavour: google/vit, lr: 1e-4}\n"
        "space: {lr: {low: 1e-5, high: 1e-2, log: true}, batch_size: [16, 32]}\n"
        "strategy: tpe\nbudget: {trials: 8, epochs: 30}\n"
    )
    read = read_file(file)
    assert read.base == {"root": str(tmp_path / "digits"), "model_flavour": "google/vit", "lr": 1e-4}
    assert read.space["lr"] == Range(low=1e-5, high=1e-2, log=True)
    assert (read.name, read.trials, read.epochs) == ("it", 8, 30)
    file.write_text("space: [")
    with pytest.raises(InputError, match="not valid YAML"):
        read_file(file)
    file.write_text("space: {lr: [1e-3]}\nstrategi: grid\n")
    with pytest.raises(InputError, match="strategi"):
        read_file(file)


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_a_search_that_was_killed_suggests_what_it_would_have_suggested(tmp_path: Path, strategy: str) -> None:
    asked = request(
        {"lr": {"low": 1e-5, "high": 1.0, "log": True}, "batch_size": [16, 32]}, strategy=strategy, trials=9
    )

    def suggestions(folder: Path, *, reopened: bool) -> list[dict[str, Any]]:
        folder.mkdir()
        study, found = Study(folder, asked), []
        while study.has_more():
            if reopened:
                study = Study(folder, asked)
            trial = study.ask()
            found.append(trial.params)
            study.tell(trial, -abs(trial.params["lr"] - 1e-2), TrialState.COMPLETE)
        return found

    straight = suggestions(tmp_path / "straight", reopened=False)
    assert straight == suggestions(tmp_path / "again", reopened=True)
    assert len({item["lr"] for item in straight}) == 9


def test_a_budget_in_epochs_has_an_end_also_where_trials_train_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcls_lab.batch.sweep_spec.MAX_TRIALS", 7)
    asked = request({"lr": {"low": 1e-5, "high": 1.0}}, strategy="tpe", epochs=10**9, replicates=2)
    study, asks = Study(tmp_path, asked), 0
    while study.has_more():
        study.tell(study.ask(), None, TrialState.FAIL)
        asks += 1
        assert asks < 10
    assert asks == 3  # seven runs have room for three trials of two


def test_a_grid_is_queued_once_however_often_its_study_is_opened(tmp_path: Path) -> None:
    asked = request({"lr": [1e-3, 1e-2], "batch_size": [16, 32]})
    study = Study(tmp_path, asked)
    study.ask()
    assert len(Study(tmp_path, asked).trials()) == 4
