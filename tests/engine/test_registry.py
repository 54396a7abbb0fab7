"""Named tables: what they give, and what they say about names they do not have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm.optim

from imgcls_lab.config.names import NAMED, TAKE_BETAS, TAKE_EPS, TAKE_MOMENTUM
from imgcls_lab.engine.optim.losses import LOSSES
from imgcls_lab.engine.optim.lr_scheduler import SCHEDULES
from imgcls_lab.engine.optim.optimizers import OPTIMIZERS
from imgcls_lab.engine.registry import Registry
from imgcls_lab.engine.transforms.augment_recipes import RECIPES
from imgcls_lab.errors import ConfigError


@pytest.fixture
def table() -> Registry[Callable[[], int]]:
    made: Registry[Callable[[], int]] = Registry("loss")

    @made.register("one")
    def one() -> int:
        return 1

    made.register("three")(lambda: 3)
    return made


def test_what_was_registered_is_found_by_its_name(table: Registry[Callable[[], int]]) -> None:
    assert table.get("one")() == 1
    assert table.names() == ["one", "three"]
    assert "three" in table
    assert "two" not in table


def test_an_unknown_name_is_refused_with_those_that_come_close(table: Registry[Callable[[], int]]) -> None:
    with pytest.raises(ConfigError, match=r"“thre”.*three") as caught:
        table.get("thre")
    assert caught.value.problems[0].field == "loss"
    with pytest.raises(ConfigError, match="there are one, three"):
        table.get("xyzzy")


def test_a_name_is_given_once(table: Registry[Callable[[], int]]) -> None:
    with pytest.raises(ConfigError, match="“one” already"):
        table.register("one")(lambda: 2)


def test_what_a_scope_adds_ends_with_it(table: Registry[Callable[[], int]]) -> None:
    with table.scope():
        table.register("four")(lambda: 4)
        assert table.get("four")() == 4
    assert table.names() == ["one", "three"]


def test_what_a_form_offers_beside_an_optimizer_is_what_timm_says_it_takes() -> None:
    info = {name: timm.optim.get_optimizer_info(name) for name in NAMED["optimizer"][1]}
    assert {name for name in info if info[name].has_momentum} == set(TAKE_MOMENTUM)
    assert {name for name in info if info[name].has_betas} == set(TAKE_BETAS)
    assert {name for name in info if info[name].has_eps} == set(TAKE_EPS)


def test_what_a_config_may_name_is_what_the_engine_has() -> None:
    tables = {"loss": LOSSES, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "augmentation": RECIPES}
    assert {field: sorted(table.names()) for field, table in tables.items()} == {
        field: sorted(names) for field, (_, names) in NAMED.items()
    }
