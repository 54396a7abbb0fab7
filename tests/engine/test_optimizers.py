"""The settings of an optimizer reach it, and are refused where it has none of that name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm.optim
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.optim.optimizers import OPTIMIZERS, check_optimizer, make_optimizer
from imgcls_lab.errors import ConfigError

Make = Callable[..., TrainConfig]


def settings(config: TrainConfig) -> dict[str, Any]:
    return make_optimizer(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), config).param_groups[0]


@pytest.mark.parametrize(
    ("optimizer", "changes"),
    [
        ("adamw", {"betas": (0.8, 0.95), "eps": 1e-6}),
        ("adan", {"betas": (0.97, 0.9, 0.98)}),
        ("lion", {"betas": (0.95, 0.98)}),
        ("sgd", {"momentum": 0.5}),
        ("muon", {"momentum": 0.5}),
        ("rmsprop", {"momentum": 0.0, "eps": 1e-3}),
    ],
)
def test_settings_reach_the_optimizer(make_config: Make, optimizer: str, changes: dict[str, Any]) -> None:
    config = make_config(optimizer=optimizer)
    plain, changed = settings(config), settings(config.with_changes(**changes))
    for name, value in changes.items():
        assert changed[name] == value
        assert plain[name] != value


@pytest.mark.parametrize(
    ("optimizer", "changes", "sentence"),
    [
        ("adamw", {"momentum": 0.9}, "“adamw” takes no momentum, but betas and eps. Leave momentum empty."),
        ("sgd", {"betas": (0.9, 0.999)}, "“sgd” takes no betas, but momentum. Leave betas empty."),
        ("lion", {"eps": 1e-6}, "“lion” takes no eps, but betas. Leave eps empty."),
        ("adan", {"betas": (0.9, 0.999)}, "“adan” takes 3 betas, not 2."),
    ],
)
def test_settings_that_an_optimizer_does_not_take_are_refused_first(
    make_config: Make, tmp_path: Path, optimizer: str, changes: dict[str, Any], sentence: str
) -> None:
    config = make_config(optimizer=optimizer, **changes)
    for attempt in (lambda: check_optimizer(config), lambda: train(config, tmp_path / "run")):
        with pytest.raises(ConfigError, match=sentence) as caught:
            attempt()
        assert caught.value.problems[0].field in changes
    assert not (tmp_path / "run/manifest.json").exists()


def test_an_optimizer_of_a_plugin_reads_the_config_itself(make_config: Make) -> None:
    with OPTIMIZERS.scope():
        OPTIMIZERS.register("mine")(lambda groups, config: torch.optim.SGD(groups, lr=1.0, momentum=config.betas[0]))
        assert settings(make_config(optimizer="mine", betas="0.7", plugins=["mine.py"]))["momentum"] == 0.7


def test_lists_of_numbers_may_come_as_one_text(make_config: Make) -> None:
    assert make_config(betas="0.9, 0.95").betas == (0.9, 0.95)
    assert make_config(betas="").betas == ()
    wrongs: list[tuple[Any, str]] = [
        (0.9, "must be a list, not “0.9”"),
        ("0.9, much", "must be a number, not “much”"),
        ("0.9, 1", "less than 1"),
        ([0] * 4, "must have at most 3 parts"),
    ]
    for wrong, sentence in wrongs:
        with pytest.raises(ConfigError, match=sentence) as caught:
            make_config(betas=wrong)
        assert caught.value.problems[0].field == "betas"


def test_every_optimizer_takes_what_the_table_says_that_it_takes(make_config: Make) -> None:
    refused = set()
    for name in timm.optim.list_optimizers():
        info = timm.optim.get_optimizer_info(name)
        given: dict[str, Any] = {"momentum": 0.5} if info.has_momentum else {}
        given |= {"betas": (0.8, 0.85, 0.95)[: info.num_betas]} if info.has_betas else {}
        given |= {"eps": 1e-5} if info.has_eps else {}
        try:
            settings(config := make_config(optimizer=name))
        except ConfigError:
            refused.add(name)  # cannot be used here at all
            continue
        changed = settings(config.with_changes(**given))
        if name in ("adafactor", "cadafactor"):  # these keep the first alone
            given["beta1"] = given.pop("betas")[0]
        assert {detail: changed[detail] for detail in given} == given, name
    assert {name for name in refused if not name.startswith(("bnb", "fused"))} == {"adahessian"}
