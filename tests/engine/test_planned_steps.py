"""The steps of a real training are those that were planned before it began."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.events import RunState
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.planning.lr_schedules import LR_SCHEDULES, learning_rate
from imgcls_lab.planning.preview import preview

from .conftest import of_type

Make = Callable[..., TrainConfig]
CLASSES = 4


def few(source: Path, root: Path, images: int) -> Path:
    """The first training images of each class, as evenly as their number allows, and the validation images."""
    for label in range(CLASSES):
        name = f"digit-{label}"
        (root / "train" / name).mkdir(parents=True)
        files = sorted((source / "train" / name).iterdir())
        for path in files[: images // CLASSES + (label < images % CLASSES)]:
            shutil.copy(path, root / "train" / name)
    shutil.copytree(source / "val", root / "val")
    return root


@pytest.mark.parametrize(
    ("images", "batch_size", "gradient_accumulation_steps", "num_processes"),
    [
        (16, 8, 1, 1),
        (17, 8, 1, 1),  # the last image joins the batch before it
        (18, 8, 1, 1),
        (18, 8, 2, 1),
        (25, 8, 2, 1),
        (34, 8, 3, 1),
        (7, 16, 4, 1),
        (9, 1, 2, 1),
        (35, 8, 2, 2),  # the last three images are too few for two processes
        pytest.param(19, 8, 1, 2, marks=pytest.mark.slow),
        pytest.param(20, 8, 2, 2, marks=pytest.mark.slow),
        pytest.param(23, 6, 2, 3, marks=pytest.mark.slow),  # five are too few for three
    ],
)
def test_a_training_takes_the_steps_that_were_planned(
    images: int,
    batch_size: int,
    gradient_accumulation_steps: int,
    num_processes: int,
    make_config: Make,
    tiny_vit: Path,  # without batch norm, so that it learns from single images, too
    digits_source: Path,
    tmp_path: Path,
) -> None:
    root = few(digits_source, tmp_path / "data", images)
    sizes = {
        "batch_size": batch_size,
        "gradient_accumulation_steps": gradient_accumulation_steps,
        "num_processes": num_processes,
    }
    config = make_config(root=str(root), model_flavour=str(tiny_vit), log_every=1, **sizes)
    planned = preview(config, inspect_folder(root)).steps
    outcome = train(config, tmp_path / "run")
    assert outcome.state is RunState.SUCCEEDED
    assert outcome.step == planned.total_steps
    points = of_type(outcome.folder, "metrics")
    assert [point.step for point in points] == list(range(1, planned.total_steps + 1))
    assert [event.step for event in of_type(outcome.folder, "epoch")] == [
        planned.steps_per_epoch * epoch for epoch in (1, 2)
    ]
    (started,) = of_type(outcome.folder, "started")
    assert (started.total_steps, started.steps_per_epoch) == (planned.total_steps, planned.steps_per_epoch)
    expected = [learning_rate(LR_SCHEDULES["cosine"], config, point.step - 1, planned) for point in points]
    assert [point.values["lr"] for point in points] == expected


@pytest.mark.parametrize("changes", [{}, {"group_pattern": "([0-9])[.]png"}])
def test_a_training_holds_out_as_many_images_as_were_planned(
    changes: dict[str, Any], make_config: Make, digits: Path, tmp_path: Path
) -> None:
    shutil.rmtree(digits / "val")
    config = make_config(root=str(digits), epochs=1, val_fraction=0.3, **changes)
    planned = preview(config, inspect_folder(digits))
    outcome = train(config, tmp_path / "run")
    (started,) = of_type(outcome.folder, "started")
    assert started.val_images == planned.held_out
    assert started.train_images == 120 - planned.held_out
    assert outcome.step == planned.steps.total_steps
