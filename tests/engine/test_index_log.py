"""The log of the images of each step, and how it counts steps that a later attempt did again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imgcls_lab.engine.reporting.index_log import IndexLog, trained_images
from imgcls_lab.events import EventWriter, Notice, Started
from imgcls_lab.run_layout import indices_name

STARTED = {
    "total_steps": 6, "steps_per_epoch": 3, "epochs": 2, "train_images": 6, "val_images": 1, "classes": 2,
    "device": "cpu", "precision": "fp32", "threads": 1,
}  # fmt: skip


def attempt(folder: Path, number: int, resume_step: int | None, steps: dict[int, list[list[int]]]) -> None:
    """One attempt. steps: number -> the images of each process."""
    with EventWriter(folder, number) as events:
        if resume_step is None:
            events.write(Notice(level="info", text="ended before it began"))
        else:
            events.write(Started(resume_step=resume_step, **STARTED))
    for step, images in steps.items():
        for rank, own in enumerate(images):
            log = IndexLog(folder / indices_name(number, rank))
            for image in own:  # as in two batches of a step
                log.add(np.array([image]))
            log.end_step(step, (step - 1) // 3)


def test_steps_that_were_done_again_count_once(tmp_path: Path) -> None:
    attempt(tmp_path, 1, 0, {1: [[5], [0]], 2: [[1], [2]], 3: [[3], [4]]})  # killed; its checkpoint was of step 1
    attempt(tmp_path, 2, None, {})
    attempt(tmp_path, 3, 1, {2: [[1, 2]], 3: [[3, 4]], 4: [[0, 1]]})
    attempt(tmp_path, 4, 3, {4: [[0], [1]], 5: [[2], [3]], 6: [[4], [5]]})
    assert {epoch: sorted(images) for epoch, images in trained_images(tmp_path).items()} == {
        0: list(range(6)), 1: list(range(6))
    }  # fmt: skip


def test_nothing_is_written_unless_the_config_asks(tmp_path: Path) -> None:
    log = IndexLog(None)
    log.add(np.arange(3))
    log.end_step(1, 0)
    assert trained_images(tmp_path) == {}
