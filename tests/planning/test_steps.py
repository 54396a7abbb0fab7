"""Batches and steps of an epoch, counted beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError
from imgcls_lab.planning.steps import batches_per_epoch, epoch_batches, plan_steps


def make_config(**changes: Any) -> TrainConfig:
    return TrainConfig.parse({"root": "d", **changes})


@settings(deadline=None)
@given(images=st.integers(0, 400), batch_size=st.integers(1, 64), num_processes=st.integers(1, 8))
def test_batches_hold_each_image_once_in_order_and_are_as_many_as_planned(
    images: int, batch_size: int, num_processes: int
) -> None:
    order = np.random.default_rng(0).permutation(images)
    batches = epoch_batches(order, batch_size, num_processes)
    assert len(batches) == batches_per_epoch(images, batch_size, num_processes)
    assert [image for batch in batches for image in batch] == order.tolist()
    assert all(len(batch) == batch_size for batch in batches[:-1])
    smallest = min(2 * num_processes, batch_size, max(1, images))
    assert all(len(batch) >= smallest for batch in batches)
    assert all(len(batch) < batch_size + 2 * num_processes for batch in batches)


@pytest.mark.parametrize(
    ("images", "changes", "steps"),
    [
        (10, {"batch_size": 10}, (1, 1, 3)),
        (10, {"batch_size": 3}, (3, 3, 9)),  # the tenth image joins the batch before it
        (10, {"batch_size": 4}, (3, 3, 9)),
        (10, {"batch_size": 1}, (10, 10, 30)),
        (
            10,
            {"batch_size": 4, "gradient_accumulation_steps": 2},
            (3, 2, 6),
        ),  # the last step of an epoch has the batches that are left
        (10, {"batch_size": 4, "num_processes": 2}, (2, 2, 6)),  # two images are too few for two processes
        (11, {"batch_size": 4, "num_processes": 2}, (2, 2, 6)),
        (12, {"batch_size": 4, "num_processes": 2}, (3, 3, 9)),
        (12, {"batch_size": 4, "num_processes": 2, "gradient_accumulation_steps": 2}, (3, 2, 6)),
        (3, {"batch_size": 8}, (1, 1, 3)),
    ],
)
def test_steps_of_a_run(images: int, changes: dict[str, Any], steps: tuple[int, int, int]) -> None:
    plan = plan_steps(make_config(epochs=3, **changes), images)
    assert (plan.batches_per_epoch, plan.steps_per_epoch, plan.total_steps) == steps


def test_processes_that_were_started_together_count_before_those_of_the_config() -> None:
    config = make_config(batch_size=4, epochs=1)
    assert [plan_steps(config, 10, num_processes).total_steps for num_processes in (1, 2)] == [3, 2]


def test_too_few_images_for_the_processes_are_refused() -> None:
    config = make_config(batch_size=8, num_processes=4)
    assert plan_steps(config, 8).total_steps > 0
    with pytest.raises(ConfigError) as refused:
        plan_steps(config, 7)
    assert [problem.field for problem in refused.value.problems] == ["num_processes"]
