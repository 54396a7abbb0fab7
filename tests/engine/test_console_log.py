"""The log tells the run's story in words."""

from __future__ import annotations

import pytest

from imgcls_lab.engine.reporting.console_log import ConsoleLog
from imgcls_lab.events import EpochEnded, Finished, Metrics, Phase, Started


def test_start_epochs_and_end_are_lines_a_person_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    journal = ConsoleLog()
    journal(Phase(name="loading the model"))
    journal(Phase(name="scanning images", done=3, total=9))
    journal(
        Started(
            total_steps=40, steps_per_epoch=20, epochs=2, train_images=1259, val_images=269, classes=10,
            device="cpu", precision="bf16", threads=1,
        )
    )  # fmt: skip
    journal(Metrics(step=20, epoch=1, values={"loss/train": 0.5}))
    journal(EpochEnded(step=20, epoch=1, seconds=2.04, values={"loss/val": 0.25, "metric/macro_f1": 0.9312}, best=True))
    journal(Finished(step=40, best_epoch=1, values={}))
    said = [line[20:] for line in capsys.readouterr().out.splitlines()]
    assert said == [
        "loading the model …",
        "training begins: 1,259 images to train on, 269 to validate, 10 classes, 20 steps an epoch; "
        "cpu, bf16, 1 thread",
        "epoch 1 of 2: train loss 0.5000, val loss 0.2500, macro f1 93.12 %, the best so far; 2.0 s",
        "finished at step 40; the best epoch is 1",
    ]
