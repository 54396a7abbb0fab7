"""Runs as a tree from a notebook: the real executor trains a fork and an extension, and the parent goes."""

from __future__ import annotations

import re

import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.api.display import LiveCell
from imgcls_lab.errors import ConfigError, NotFoundError
from imgcls_lab.events import RunState
from imgcls_lab.schemas import ForkRequest
from imgcls_lab.settings import Settings


def test_a_run_is_forked_and_extended_and_may_be_deleted(few: TrainConfig, own: Settings) -> None:
    parent = lab.launch(few.with_changes(save_every_epochs=1), name="digits").wait(timeout=120)
    planned = context.store().runs.fork_preview(parent.id, ForkRequest(at="epoch 1"))
    same = parent.fork(1).wait(timeout=120)
    assert planned.continued is not None
    assert planned.continued.lr == pytest.approx(same.metrics(["lr"])["lr"].tolist())
    assert (same.state, same.view.fork_step, same.view.step) == (RunState.SUCCEEDED, 5, 10)
    assert (same.best_checkpoint / "model.safetensors").read_bytes() == (
        parent.best_checkpoint / "model.safetensors"
    ).read_bytes()
    drawn = re.findall(r'points="([^"]*)"', lab.compare(parent, same).picture()["image/svg+xml"])
    assert [len(curve.split()) for curve in drawn] == [2, 2]  # that of the fork begins with its parent's
    kept = LiveCell(same._source(), served=True).bundle()["text/plain"]
    assert [row.split()[0] for row in kept.splitlines()[1:]] == ["epoch", "1", "2"]
    assert parent.fork("step 5").id == same.id
    anew = context.store().runs.fork_preview(parent.id, ForkRequest(fields={"epochs": 3}))
    long = parent.extend(3, on_schedule="restart")
    assert [run.id for run in long.lineage()] == [parent.id, same.id, long.id]
    parent.delete()
    assert long.wait(timeout=120).state is RunState.SUCCEEDED
    assert (long.name, long.view.step, long.view.epochs) == ("digits, to 3 epochs", 15, 3)
    assert list(long.metrics(["loss/train"]).index) == [*range(11, 16)]
    assert anew.restarted is not None
    assert anew.restarted.lr == pytest.approx(long.metrics(["lr"])["lr"].tolist())
    assert [run.id for run in long.lineage()] == [same.id, long.id]
    with pytest.raises(NotFoundError, match="It has"):
        long.fork("epoch 1")
    with pytest.raises(ConfigError, match="epochs"):
        long.extend(3)
