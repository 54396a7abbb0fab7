"""docs/training.md: its plugin trains as it stands, and every field that it names exists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.optim.losses import LOSSES
from imgcls_lab.engine.optim.lr_scheduler import SCHEDULES
from imgcls_lab.events import RunState

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.S)
    assert found is not None
    return found[1]


def test_the_plugin_of_the_docs_trains(
    make_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(block("python"))
    outcome = train(make_config(epochs=1, mixup=0.5, **json.loads(block("json"))), tmp_path / "run")
    assert outcome.state is RunState.SUCCEEDED


def test_every_setting_that_the_docs_name_exists() -> None:
    fields = TrainConfig.model_fields
    named = {name for name in re.findall(r"`([a-z_]+)(?:=[^`]*)?`", TEXT) if "_" in name}
    other = {"precision_reason", "lr_scale"} | set(LOSSES.names()) | set(SCHEDULES.names())
    assert named - set(fields) - other == set()
    assert {"lora_rank", "unfreeze_epoch", "plateau_epochs", "focal_gamma"} <= named


def test_every_setting_is_in_the_docs() -> None:
    text = "".join(path.read_text() for path in (Path(__file__).parents[2] / "docs").glob("*.md"))
    assert [name for name in TrainConfig.model_fields if not re.search(rf"`{name}\b", text)] == []


def test_every_loss_and_schedule_is_in_the_docs() -> None:
    for name in (*LOSSES.names(), *SCHEDULES.names()):
        assert f"`{name}`" in TEXT, name
